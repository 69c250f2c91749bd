"""Image encoders in int8: quantised on images, and kept beside the graphs that they were made from."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError, MissingExtraError
from segany.model.config import TinyViTConfig
from segany.predict.backends import _openvino_convert
from segany.predict.backends._openvino_cache import Graphs, Made, find, keep, key_of
from segany.predict.backends._openvino_runtime import import_openvino, without_telemetry

__all__ = ["ENCODER", "find_int8", "keep_int8", "quantize_encoder"]

ENCODER = "encoder_int8"

# The stem and the first two stages are where the cells are many, and where rounding costs least: with the others the
# mean IoU of masks with those in float32 fell from 0.98 to 0.95 (docs/performance.md).
_LEFT_ALONE = (r".*layers\.[23]\b.*", r".*\bneck\b.*")
# Filters of one channel each: next to no work, and ranges that differ by channel.
_LEFT_ALONE_TYPES = ("GroupConvolution", "ScaledDotProductAttention")


def find_int8(folder: Path, source: str) -> Graphs | None:
    """The quantised encoder that is kept for a model, on whatever images it was calibrated last.

    Args:
        folder: As in `find_or_convert`.
        source: As in `find_or_convert`.

    Returns:
        Its graphs, or None; the notes tell `calibration`, a digest of the images.
    """
    return find(folder, _key(source))


def keep_int8(folder: Path, source: str, graphs: Graphs, encoder: Any, notes: Mapping[str, Any]) -> Graphs:
    """Keep a quantised encoder, in place of one that was calibrated on other images.

    Args:
        folder: As in `find_or_convert`.
        source: As in `find_or_convert`.
        graphs: What it was made from.
        encoder: From `quantize_encoder`.
        notes: What is to be known about it, `calibration` at least, as JSON values.
    """
    made = Made(graphs.config, graphs.model_digest, [(ENCODER, encoder)], notes)
    return keep(folder, _key(source), lambda: made, again=True)


def quantize_encoder(graphs: Graphs, inputs: Sequence[NDArray[np.float32]]) -> Any:
    """Quantise an image encoder: weights and activations of its early layers to int8, by their ranges on images.

    Args:
        graphs: The model's.
        inputs: Each [1, 3, S, S], normalised and padded.

    Returns:
        An `openvino.Model`.

    Raises:
        MissingExtraError: NNCF is not installed.
        ConfigError: The encoder is of another kind than those that this was tried with.
    """
    if not isinstance(graphs.config.encoder, TinyViTConfig):
        raise ConfigError(
            f"int8 is made for TinyViT encoders, and {graphs.config.name} has another; use --precision bfloat16."
        )
    nncf = _import_nncf()
    graph = graphs.read("encoder")
    import_openvino()
    from openvino import passes

    manager = passes.Manager()
    # Otherwise weights that are computed from others would not be known as weights.
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(graph)
    scope = nncf.IgnoredScope(patterns=list(_LEFT_ALONE), types=list(_LEFT_ALONE_TYPES), validate=False)
    # Its progress bars would be in the way of whoever reads standard output.
    with redirect_stdout(sys.stderr):
        return nncf.quantize(
            graph,
            nncf.Dataset(list(inputs)),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            ignored_scope=scope,
        )


def _key(source: str) -> str:
    files: Iterable[str] = (_openvino_convert.__file__, __file__)
    return key_of(f"{source} int8", *files)


def _import_nncf() -> Any:
    import logging

    try:
        with without_telemetry("nncf"):
            import nncf
    except ImportError as error:
        raise MissingExtraError("Quantising a model to int8", "quantize") from error
    nncf.set_log_level(logging.ERROR)
    return nncf
