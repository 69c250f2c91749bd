"""From a model's name to a backend that runs it."""

import importlib.util
import os
import platform
import shutil
import sys
import warnings
from pathlib import Path

from segany import weights
from segany.errors import ConfigError, DeviceError
from segany.predict._checkpoints import Checkpoint, locate
from segany.predict.backends.base import Backend
from segany.settings import Settings

__all__ = ["PRECISIONS", "RUNTIMES", "load_backend"]

RUNTIMES = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "float32", "mixed", "balanced", "bfloat16", "int8")
_OPENVINO_ONLY = ("balanced", "int8")


def load_backend(
    model: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: str = "auto",
    runtime: str = "auto",
    progress: weights.Progress | None = None,
) -> Backend:
    """Load a model into the backend that suits the machine.

    Args:
        model: A name of the weights registry, or a checkpoint file (it has a suffix or a folder in it).
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto", "float32", "mixed" (encoder in float32, decoder in bfloat16), "bfloat16", and with OpenVINO
            "balanced" (as "mixed", but the encoder's attention and MLPs in bfloat16) or "int8" (see `quantize`). What
            "auto" is, the backend says.
        runtime: "torch", "openvino", or "auto": OpenVINO on the CPUs that it was made for, torch on everything else.
        progress: Called with a name, the bytes done and the bytes in all while weights are fetched.

    Raises:
        UnknownWeightsError: No model of that name.
        WeightsError: The weights cannot be had or are not what they should be.
        DeviceError: This machine does not have the device, precision or runtime.
        ConfigError: The entry of that name is no model, or the runtime cannot run it.
        MissingExtraError: int8 was not used here before, and NNCF is not installed.
    """
    if runtime not in RUNTIMES:
        raise DeviceError(f"runtime must be one of {', '.join(RUNTIMES)}, got {runtime!r}.")
    if precision not in PRECISIONS:
        raise DeviceError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
    if runtime == "openvino" and device not in ("auto", "cpu"):
        raise DeviceError(f"the OpenVINO runtime computes on the CPU, got device {device!r}; use --runtime torch.")
    checkpoint = locate(model, progress)
    if runtime == "openvino":
        return _openvino(checkpoint, precision)
    if runtime == "auto" and _suits_openvino() and _is_cpu(device):
        try:
            return _openvino(checkpoint, precision)
        except (DeviceError, ConfigError) as error:
            if precision in _OPENVINO_ONLY:
                raise
            # Said once: a warning of the same words at the same place is not repeated.
            warnings.warn(f"torch is used instead of OpenVINO: {error}", RuntimeWarning, stacklevel=2)
    if precision in _OPENVINO_ONLY:
        raise DeviceError(f"precision {precision} needs the OpenVINO runtime, on the CPU; use --precision bfloat16.")
    return _torch(checkpoint, device, precision)


def _openvino(checkpoint: Checkpoint, precision: str) -> Backend:
    from segany.predict.backends.openvino import OpenVINOBackend

    settings = Settings.from_environment()
    int8 = None
    if precision == "int8":
        from segany.predict.quantize import find_or_quantize

        int8 = find_or_quantize(checkpoint)
    return OpenVINOBackend(
        checkpoint.identity,
        checkpoint.load,
        precision,
        threads=settings.threads,
        folder=settings.home / "openvino",
        int8=int8,
    )


def _torch(checkpoint: Checkpoint, device: str, precision: str) -> Backend:
    from segany.predict.backends.torch import TorchBackend, choose_device

    # Before the checkpoint is read: a wrong device is found out at once.
    choose_device(device)
    threads = Settings.from_environment().threads
    return TorchBackend(checkpoint.load(), device=device, precision=precision, threads=threads)


def _suits_openvino() -> bool:
    """Whether OpenVINO is here and the CPU of the kind that it is fast on."""
    return platform.machine().lower() in ("x86_64", "amd64") and importlib.util.find_spec("openvino") is not None


def _is_cpu(device: str) -> bool:
    """Whether "auto" or a device's name means the CPU here. Torch, whose import takes a second, is asked last."""
    if device != "auto":
        return device == "cpu"
    if sys.platform == "darwin":
        may_have_gpu = platform.machine() == "arm64"
    elif sys.platform == "win32":
        may_have_gpu = shutil.which("nvidia-smi") is not None
    else:
        may_have_gpu = any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
    if not may_have_gpu:
        return True
    from segany.predict.backends.torch import choose_device

    return choose_device("auto").type == "cpu"
