"""From a model's name to a backend that runs it."""

import os
from pathlib import Path

from segany import weights
from segany.errors import ConfigError, WeightsNotFoundError
from segany.predict.backends.base import Backend

__all__ = ["load_backend"]


def load_backend(
    model: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: str = "auto",
    progress: weights.Progress | None = None,
) -> Backend:
    """Load a model into the backend that suits the machine.

    Args:
        model: A name of the weights registry, or a checkpoint file (it has a suffix or a folder in it).
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto", "float32" or "bfloat16".
        progress: Called with a name, the bytes done and the bytes in all while weights are fetched.

    Raises:
        UnknownWeightsError: No model of that name.
        WeightsError: The weights cannot be had or are not what they should be.
        DeviceError: This machine does not have the device or precision.
    """
    path, config_name = _locate(model, progress)

    from segany.model.checkpoint import load_sam
    from segany.model.config import CONFIGS
    from segany.predict.backends.torch import TorchBackend, choose_device

    choose_device(device)
    sam = load_sam(path, None if config_name is None else CONFIGS[config_name])
    return TorchBackend(sam, device=device, precision=precision)


def _locate(model: str | os.PathLike[str], progress: weights.Progress | None) -> tuple[Path, str | None]:
    """The checkpoint's path, and its config's name when the registry knows it."""
    given = Path(model)
    if given.suffix in (".pt", ".pth", ".safetensors") or len(given.parts) > 1:
        if not given.is_file():
            raise WeightsNotFoundError(f"no checkpoint at {given}; give a file, or a name of `segany weights list`.")
        return given, None
    entry = weights.get(str(model))
    if entry.architecture is None:
        raise ConfigError(f"{entry.name} is a {entry.kind}, not a model that takes prompts; see `segany weights list`.")
    return weights.path(entry.name, progress=progress), entry.architecture
