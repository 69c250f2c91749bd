"""Image encoders in int8: quantised on images, and kept beside the graphs that they were made from."""

import hashlib
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

__all__ = ["find_int8", "identity", "keep_int8", "quantize_encoder"]

# Quantised are the products of attention and MLPs in the third stage, where smoothing evens out their ranges. Each of
# the others costs masks more than it saves time; docs/performance.md has the figures.
_LEFT_ALONE = tuple(rf".*{part}.*" for part in ("patch_embed", r"layers\.[013]", "downsample", "neck"))
_LEFT_ALONE_TYPES = ("Add", "Convolution", "GroupConvolution", "ScaledDotProductAttention")
# How much of the activations' range is moved into the weights (Xiao et al. 2023, "SmoothQuant"); convolutions none.
_SMOOTHING, _NO_SMOOTHING = 0.5, -1.0


def find_int8(folder: Path, source: str) -> Graphs | None:
    """The quantised encoder that is kept for a model, on whatever images it was calibrated last.

    Args:
        folder: As in `find_or_convert`.
        source: As in `find_or_convert`.

    Returns:
        Its graphs, or None; the notes tell its `identity`.
    """
    return find(folder, _key(source))


def identity(source: str, calibration: str) -> str:
    """What tells a quantised encoder from all others, in eight characters.

    Args:
        source: As in `find_or_convert`.
        calibration: Digest of the images.
    """
    made_by = f"{_key(source)} {calibration} {_import_nncf().__version__}"
    return hashlib.sha256(made_by.encode()).hexdigest()[:8]


def keep_int8(folder: Path, source: str, graphs: Graphs, encoder: Any, notes: Mapping[str, Any]) -> Graphs:
    """Keep a quantised encoder, in place of one that was calibrated on other images.

    Args:
        folder: As in `find_or_convert`.
        source: As in `find_or_convert`.
        graphs: What it was made from.
        encoder: From `quantize_encoder`.
        notes: What is to be known about it, its `identity` at least, as JSON values.
    """
    made = Made(graphs.config, graphs.model_digest, graphs.encoder_digest, [("encoder", encoder)], notes)
    return keep(folder, _key(source), lambda: made, again=True)


def quantize_encoder(graphs: Graphs, inputs: Sequence[NDArray[np.float32]]) -> Any:
    """Quantise an image encoder: weights and activations of most products to int8, by their ranges on images.

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
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(inputs),
            ignored_scope=scope,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                disable_bias_correction=True,
                smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(convolution=_NO_SMOOTHING, matmul=_SMOOTHING),
            ),
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
