"""The builders: from a model type and a checkpoint to a `Sam`."""

import os
from collections.abc import Callable
from pathlib import Path

from segany import model, weights
from segany.compat.sam import Sam
from segany.errors import UnknownWeightsError, WeightsNotFoundError
from segany.model.checkpoint import load_sam
from segany.model.config import CONFIGS

__all__ = [
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "sam_model_registry",
]

Checkpoint = str | os.PathLike[str] | None


def build_sam_vit_h(checkpoint: Checkpoint = None) -> Sam:
    """SAM with the ViT-H encoder.

    Args:
        checkpoint: A checkpoint file, a name of `segany weights list`, or None for random parameters.

    Returns:
        The model in evaluation mode, on the CPU.

    Raises:
        WeightsNotFoundError: No such file and no such name.
        CheckpointError: The file does not hold this model's parameters, or holds more than data.
    """
    return _build("vit_h", checkpoint)


def build_sam_vit_l(checkpoint: Checkpoint = None) -> Sam:
    """SAM with the ViT-L encoder; see `build_sam_vit_h`."""
    return _build("vit_l", checkpoint)


def build_sam_vit_b(checkpoint: Checkpoint = None) -> Sam:
    """SAM with the ViT-B encoder; see `build_sam_vit_h`."""
    return _build("vit_b", checkpoint)


def build_sam_vit_t(checkpoint: Checkpoint = None) -> Sam:
    """MobileSAM; see `build_sam_vit_h`."""
    return _build("mobile_sam", checkpoint)


build_sam = build_sam_vit_h

sam_model_registry: dict[str, Callable[..., Sam]] = {
    "default": build_sam_vit_h,
    "vit_h": build_sam_vit_h,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "vit_t": build_sam_vit_t,
}


def _build(config_name: str, checkpoint: Checkpoint) -> Sam:
    config = CONFIGS[config_name]
    if checkpoint is None:
        return Sam(model.Sam(config).eval())
    return Sam(load_sam(_find(checkpoint), config))


def _find(checkpoint: str | os.PathLike[str]) -> Path:
    """A file, or a name of the registry."""
    path = Path(checkpoint)
    if path.is_file():
        return path
    names = {entry.file_name: entry.name for entry in weights.entries("model")}
    if path.name in names:
        raise WeightsNotFoundError(
            f'no checkpoint at {path}; correct the path, or give checkpoint="{names[path.name]}" to have it fetched.'
        )
    try:
        return weights.path(str(checkpoint))
    except UnknownWeightsError as error:
        raise WeightsNotFoundError(
            f"no checkpoint at {path}, and no weights of that name; give a file, or a name of `segany weights list`."
        ) from error
