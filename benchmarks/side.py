"""A side of a benchmark: a process of its own that answers lines with JSON; and on which machine it ran."""

import json
import os
import platform
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

__all__ = ["Side", "add_reference", "busy", "machine", "machine_text", "peak_bytes", "reference_of", "serve"]


class Side:
    """A process that answers one line at a time."""

    def __init__(self, script: str, arguments: list[str], environment: dict[str, str]) -> None:
        command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name(script)), *arguments]
        self.rounds: list[dict[str, float]] = []
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("a side of the benchmark ended early; its message stands above")
        return json.loads(answer)

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=60)


def serve(answers: dict[str, Any], otherwise: Any) -> None:
    """Answer standard input line by line: a named line by its function, every other one by `otherwise(line)`."""
    for line in sys.stdin:
        word = line.strip()
        print(json.dumps(answers[word]() if word in answers else otherwise(word)), flush=True)


def add_reference(parser: ArgumentParser) -> None:
    parser.add_argument("--reference", type=Path, help="checkout that holds mobile_sam or segment_anything")
    parser.add_argument("--shim", type=Path, help="folder of stand-ins for torchvision and timm, if they do not import")


def reference_of(folder: Path | None, shim: Path | None) -> tuple[str, dict[str, str]] | None:
    """The reference's package and the environment that finds it, or None without a folder."""
    if folder is None:
        return None
    found = [name for name in ("mobile_sam", "segment_anything") if (folder / name).is_dir()]
    if not found:
        raise SystemExit(f"{folder} holds neither mobile_sam nor segment_anything; give the checkout")
    paths = [str(path.resolve()) for path in (shim, folder) if path is not None]
    return found[0], os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def machine(threads: int) -> dict[str, Any]:
    import torch

    listing = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else ())
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def machine_text(on: dict[str, Any]) -> str:
    return (
        f"{on['cpu']}, {on['cores']} cores, {on['threads']} threads, {on['system']}, Python {on['python']} "
        f"({on['capability']}), {busy(on['load'], on['cores'])}"
    )


def busy(load: float | None, cores: int) -> str:
    """How busy the machine was before the run: times of a busy one are too long, and ratios blurred."""
    if load is None:
        return "load unknown"
    return f"load {load:g} before the run" + (" (busy: repeat it on a quiet machine)" if load > cores / 2 else "")


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: Linux hands a parent's peak on to its child there.
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        import psutil

        # Of Windows alone, and so not in its types elsewhere.
        return int(psutil.Process().memory_info()._asdict()["peak_wset"])
    # macOS counts in bytes.
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
