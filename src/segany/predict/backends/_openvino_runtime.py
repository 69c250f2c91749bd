"""OpenVINO itself: imported when needed, and without its telemetry."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from segany.errors import DeviceError

__all__ = ["available_threads", "core", "has_bfloat16", "import_openvino", "version", "without_telemetry"]

_TELEMETRY = "openvino_telemetry"


@lru_cache(maxsize=1)
def import_openvino() -> Any:
    """The package `openvino`, without its telemetry.

    Raises:
        DeviceError: It is not installed, or does not run on this machine.
    """
    try:
        with without_telemetry("openvino"):
            import openvino
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceError(f"OpenVINO cannot be imported: {error}; use --runtime torch.") from error
    return openvino


@contextmanager
def without_telemetry(package: str) -> Iterator[None]:
    """Import a package of OpenVINO's makers so that it reports nothing to them.

    It does, unless the package that sends cannot be imported: then it falls back to a stub of its own. So that one is
    hidden meanwhile; where somebody imported either before, that is left as it is.

    Args:
        package: The package's name.
    """
    hidden = package not in sys.modules and _TELEMETRY not in sys.modules
    if hidden:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules[_TELEMETRY]


@lru_cache(maxsize=1)
def core() -> Any:
    """The one `openvino.Core` of this process.

    Raises:
        DeviceError: OpenVINO does not run on this CPU.
    """
    openvino = import_openvino()
    try:
        made = openvino.Core()
        made.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except RuntimeError as error:
        raise DeviceError(f"OpenVINO does not run on this CPU: {error}; use --runtime torch.") from error
    return made


def has_bfloat16() -> bool:
    """Whether the CPU computes in bfloat16 (AVX-512 BF16 or AMX)."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def version() -> str:
    """OpenVINO's version, such as 2026.4.1, without the build."""
    return str(import_openvino().get_version()).split("-")[0]


def available_threads() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
