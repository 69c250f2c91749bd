"""Which model a set of parameters belongs to, told from names and shapes."""

import dataclasses
import math
import re
from collections.abc import Mapping

from torch import Tensor

from segany.errors import CheckpointError, ConfigError
from segany.model.config import CONFIGS, EncoderConfig, ModelConfig, PreprocessConfig, TinyViTConfig, ViTConfig

__all__ = ["detect_config"]

_ENCODER = "image_encoder."


def detect_config(state: Mapping[str, Tensor]) -> ModelConfig:
    """Tell family and size from parameter names and shapes.

    Input side and preprocessing are not in the parameters: ViT and MobileSAM's TinyViT get SAM's,
    a TinyViT with a pointwise stem gets LiteMedSAM's.

    Args:
        state: Parameters under the published names (`segany.model.hugging_face` translates others).

    Returns:
        An entry of `CONFIGS` where the sizes are a published model's, else a config with the name "vit"
        or "tiny_vit".

    Raises:
        CheckpointError: These are no parameters of this model family.
    """
    try:
        if f"{_ENCODER}pos_embed" in state:
            found = _widths(state, "vit", _vit(state), PreprocessConfig())
        elif f"{_ENCODER}patch_embed.seq.0.c.weight" in state:
            encoder = _tiny_vit(state)
            lite = CONFIGS["lite_medsam"].preprocess
            found = _widths(state, "tiny_vit", encoder, lite if encoder.stem_kernel == 1 else PreprocessConfig())
        else:
            raise CheckpointError(_foreign(state))
    except (KeyError, IndexError, ValueError, ConfigError) as error:
        raise CheckpointError(
            f"looks like a Segment Anything model, but its sizes do not fit together ({error}). "
            "Is the file complete? Pass the config if it is a model of your own."
        ) from error
    for config in CONFIGS.values():
        if dataclasses.replace(found, name=config.name) == config:
            return config
    return found


def _foreign(state: Mapping[str, Tensor]) -> str:
    parts = ", ".join(sorted({name.split(".")[0] for name in state})[:6]) or "none"
    advice = "Wanted: image_encoder.*, prompt_encoder.* and mask_decoder.* of SAM, MobileSAM or LiteMedSAM"
    if any(name.startswith(("sam_mask_decoder.", "image_encoder.trunk.", "memory_attention.")) for name in state):
        advice = "This looks like SAM 2, which has another architecture. " + advice
    elif any(name.startswith("mask_decoder.") for name in state) or "MaskDecoder" in parts:
        advice = "This looks like a decoder without its image encoder. " + advice
    return f"no image encoder of this model family among {len(state)} tensors (top names: {parts}). {advice}."


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Number of different indices that follow the prefix."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
    return len({match[1] for match in map(pattern.match, state) if match})


def _vit(state: Mapping[str, Tensor]) -> ViTConfig:
    _, side, _, dim = state[f"{_ENCODER}pos_embed"].shape
    depth = _count(state, f"{_ENCODER}blocks.")
    tables = [state[f"{_ENCODER}blocks.{index}.attn.rel_pos_h"].shape for index in range(depth)]
    patch = state[f"{_ENCODER}patch_embed.proj.weight"].shape[-1]
    # A window of another side than the whole grid tells the two kinds of blocks apart.
    is_global = [rows == 2 * side - 1 for rows, _ in tables]
    windows = {(rows + 1) // 2 for (rows, _), whole in zip(tables, is_global, strict=True) if not whole}
    if len(windows) > 1:
        raise ValueError(f"windows of different sides: {sorted(windows)}")
    return ViTConfig(
        dim=dim,
        depth=depth,
        heads=dim // tables[0][1],
        global_blocks=tuple(index for index, whole in enumerate(is_global) if whole),
        window=windows.pop() if windows else 14,
        patch=patch,
        mlp_ratio=state[f"{_ENCODER}blocks.0.mlp.lin1.weight"].shape[0] / dim,
        pretrain_side=side * patch,
    )


def _tiny_vit(state: Mapping[str, Tensor]) -> TinyViTConfig:
    layers = f"{_ENCODER}layers."
    stem = state[f"{_ENCODER}patch_embed.seq.0.c.weight"].shape[-1]
    stem_dim = state[f"{_ENCODER}patch_embed.seq.2.c.weight"].shape[0]
    merges = [state[f"{layers}{index}.downsample.conv1.c.weight"].shape[0] for index in range(3)]
    biases = [state[f"{layers}{index}.blocks.0.attn.attention_biases"].shape for index in (1, 2, 3)]
    heads, cells = zip(*biases, strict=True)
    default = TinyViTConfig()
    if stem not in (1, 3):
        raise ValueError(f"stem kernel {stem}")
    return TinyViTConfig(
        dims=(stem_dim, merges[0], merges[1], merges[2]),
        depths=tuple(_count(state, f"{layers}{index}.blocks.") for index in range(4)),  # type: ignore[arg-type]
        heads=(default.heads[0] if stem_dim == default.dims[0] else 1, *heads),
        windows=(default.windows[0], *(math.isqrt(count) for count in cells)),  # type: ignore[arg-type]
        stem_kernel=1 if stem == 1 else 3,
        mlp_ratio=state[f"{layers}1.blocks.0.mlp.fc1.weight"].shape[0] / merges[0],
        expand_ratio=state[f"{layers}0.blocks.0.conv1.c.weight"].shape[0] / stem_dim,
    )


def _widths(
    state: Mapping[str, Tensor], name: str, encoder: EncoderConfig, preprocess: PreprocessConfig
) -> ModelConfig:
    """The rest of the config; without a decoder in the state, strict loading says what is missing."""
    own = ModelConfig(name, encoder)
    if isinstance(encoder, ViTConfig):
        preprocess = dataclasses.replace(preprocess, input_side=encoder.pretrain_side)

    def rows(key: str, default: int) -> int:
        return state[key].shape[0] if key in state else default

    return ModelConfig(
        name,
        encoder,
        preprocess,
        embed_dim=rows(f"{_ENCODER}neck.0.weight", own.embed_dim),
        decoder_depth=_count(state, "mask_decoder.transformer.layers.") or own.decoder_depth,
        decoder_mlp_dim=rows("mask_decoder.transformer.layers.0.mlp.lin1.weight", own.decoder_mlp_dim),
        iou_hidden_dim=rows("mask_decoder.iou_prediction_head.layers.0.weight", own.iou_hidden_dim),
        mask_channels=rows("prompt_encoder.mask_downscaling.3.weight", own.mask_channels),
    )
