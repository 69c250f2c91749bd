"""What a figure was measured on: processor and its abilities, memory used, versions."""

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["describe_machine", "peak_memory_bytes"]

_PACKAGES = ("segany", "numpy", "opencv-python-headless", "openvino", "torch", "pillow")
# Instruction sets that change how numbers are rounded, or how fast.
_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")


def describe_machine(threads: int | None) -> dict[str, Any]:
    """The machine, without anything that tells whose it is.

    Args:
        threads: Threads that were asked for, or None for the runtime's choice.
    """
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cpu_flags": _flags(),
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
    }


def peak_memory_bytes() -> int | None:
    """Most memory that this process held at once; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: Linux hands a parent's peak on to its child there.
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in kibibytes, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    name = re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return name[1].strip() if name else platform.processor() or platform.machine()


def _flags() -> list[str]:
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    there = set(found[1].split()) if found else set()
    return [flag for flag in _FLAGS if flag in there]


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
