"""From a model's name to a backend that runs it."""

import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segany import weights
from segany.errors import ConfigError, DeviceError, WeightsNotFoundError
from segany.predict.backends.base import Backend
from segany.settings import Settings

if TYPE_CHECKING:
    from segany.model.sam import Sam

__all__ = ["PRECISIONS", "RUNTIMES", "load_backend"]

RUNTIMES = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "float32", "mixed", "bfloat16")


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
        precision: "auto", "float32", "mixed" (encoder in float32, decoder in bfloat16) or "bfloat16". What "auto" is,
            the backend says.
        runtime: "torch", "openvino", or "auto": OpenVINO on the CPUs that it was made for, torch on everything else.
        progress: Called with a name, the bytes done and the bytes in all while weights are fetched.

    Raises:
        UnknownWeightsError: No model of that name.
        WeightsError: The weights cannot be had or are not what they should be.
        DeviceError: This machine does not have the device, precision or runtime.
        ConfigError: The entry of that name is no model, or the runtime cannot run it.
    """
    if runtime not in RUNTIMES:
        raise DeviceError(f"runtime must be one of {', '.join(RUNTIMES)}, got {runtime!r}.")
    if precision not in PRECISIONS:
        raise DeviceError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
    if runtime == "openvino" and device not in ("auto", "cpu"):
        raise DeviceError(f"the OpenVINO runtime computes on the CPU, got device {device!r}; use --runtime torch.")
    checkpoint = _locate(model, progress)
    if runtime == "openvino":
        return _openvino(checkpoint, precision)
    if runtime == "auto" and _suits_openvino() and _is_cpu(device):
        try:
            return _openvino(checkpoint, precision)
        except (DeviceError, ConfigError) as error:
            # Said once: a warning of the same words at the same place is not repeated.
            warnings.warn(f"torch is used instead of OpenVINO: {error}", RuntimeWarning, stacklevel=2)
    return _torch(checkpoint, device, precision)


@dataclass(frozen=True)
class _Checkpoint:
    """A checkpoint file; its config's name and its digest when the registry knows them."""

    path: Path
    config_name: str | None
    sha256: str | None

    def load(self) -> "Sam":
        from segany.model.checkpoint import load_sam
        from segany.model.config import CONFIGS

        return load_sam(self.path, None if self.config_name is None else CONFIGS[self.config_name])

    @property
    def identity(self) -> str:
        """What the model that it gives depends on."""
        return f"{self.sha256 or _sha256(self.path)} {self.config_name or 'as the file says'}"


def _openvino(checkpoint: _Checkpoint, precision: str) -> Backend:
    from segany.predict.backends.openvino import OpenVINOBackend

    settings = Settings.from_environment()
    return OpenVINOBackend(
        checkpoint.identity, checkpoint.load, precision, threads=settings.threads, folder=settings.home / "openvino"
    )


def _torch(checkpoint: _Checkpoint, device: str, precision: str) -> Backend:
    from segany.predict.backends.torch import TorchBackend, choose_device

    # Before the checkpoint is read: a wrong device is found out at once.
    choose_device(device)
    threads = Settings.from_environment().threads
    return TorchBackend(checkpoint.load(), device=device, precision=precision, threads=threads)


def _locate(model: str | os.PathLike[str], progress: weights.Progress | None) -> _Checkpoint:
    given = Path(model)
    if given.suffix in (".pt", ".pth", ".safetensors") or len(given.parts) > 1:
        if not given.is_file():
            raise WeightsNotFoundError(f"no checkpoint at {given}; give a file, or a name of `segany weights list`.")
        return _Checkpoint(given, None, None)
    entry = weights.get(str(model))
    if entry.architecture is None:
        raise ConfigError(f"{entry.name} is a {entry.kind}, not a model that takes prompts; see `segany weights list`.")
    return _Checkpoint(weights.path(entry.name, progress=progress), entry.architecture, entry.sha256)


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
