"""Parameter names of `transformers`' SamModel (facebook/sam-vit-*), to and from the published ones."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from segany.errors import CheckpointError
from segany.model.config import ModelConfig, ViTConfig

__all__ = ["from_hugging_face", "is_hugging_face", "to_hugging_face"]

# Beginnings of names, (published, Hugging Face); on either side no two of them begin alike.
_PREFIXES = [
    ("image_encoder.patch_embed.proj.", "vision_encoder.patch_embed.projection."),
    ("image_encoder.blocks.", "vision_encoder.layers."),
    ("image_encoder.neck.0.", "vision_encoder.neck.conv1."),
    ("image_encoder.neck.1.", "vision_encoder.neck.layer_norm1."),
    ("image_encoder.neck.2.", "vision_encoder.neck.conv2."),
    ("image_encoder.neck.3.", "vision_encoder.neck.layer_norm2."),
    ("image_encoder.pos_embed", "vision_encoder.pos_embed"),
    ("prompt_encoder.point_embeddings.", "prompt_encoder.point_embed."),
    ("prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    ("mask_decoder.transformer.norm_final_attn.", "mask_decoder.transformer.layer_norm_final_attn."),
    ("mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
]
_HEADS = r"(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head)\.)"
_HEAD_LAYERS = [("layers.0.", "proj_in."), ("layers.1.", "layers.0."), ("layers.2.", "proj_out.")]
_BLOCKS = r"((?:image_encoder\.blocks|vision_encoder\.layers|mask_decoder\.transformer\.layers)\.\d+\.)"

_POSITION = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
# One matrix that SamModel holds under two names.
_SHARED_POSITION = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)


def is_hugging_face(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of `transformers`' SamModel."""
    return any(name.startswith("vision_encoder.") for name in state)


def from_hugging_face(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename SamModel's parameters to the published names; the tensors are shared.

    Raises:
        CheckpointError: The two copies of the position matrix differ.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name in _SHARED_POSITION:
            known = renamed.setdefault(_POSITION, tensor)
            if not torch.equal(known, tensor):
                raise CheckpointError(
                    f"{_SHARED_POSITION[0]} and {_SHARED_POSITION[1]} must be one matrix, but differ. "
                    "Save the model again with its tied weights."
                )
        else:
            renamed[_published_name(name)] = tensor
    return renamed


def to_hugging_face(state: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Rename published parameters to SamModel's names; the tensors are shared.

    Args:
        state: Parameters under the published names.
        config: The model's config.

    Returns:
        What `SamModel.load_state_dict` takes; the position matrix is there under both its names.

    Raises:
        CheckpointError: SamModel has no such image encoder.
    """
    if not isinstance(config.encoder, ViTConfig):
        raise CheckpointError(
            f"transformers' SamModel has ViT image encoders only; {config.name} has a TinyViT. "
            "Save it with save_sam instead."
        )
    renamed = {_hugging_face_name(name): tensor for name, tensor in state.items() if name != _POSITION}
    return renamed | dict.fromkeys(_SHARED_POSITION, state[_POSITION])


def _published_name(name: str) -> str:
    for published, other in _PREFIXES:
        if name.startswith(other):
            name = published + name.removeprefix(other)
            break
    head = re.match(_HEADS, name)
    if head:
        layer = name[head.end() :]
        for published, other in _HEAD_LAYERS:
            if layer.startswith(other):
                return head[1] + published + layer.removeprefix(other)
    return re.sub(_BLOCKS + r"layer_norm(\d)", r"\1norm\2", name)


def _hugging_face_name(name: str) -> str:
    head = re.match(_HEADS, name)
    if head:
        layer = name[head.end() :]
        for published, other in _HEAD_LAYERS:
            if layer.startswith(published):
                return head[1] + other + layer.removeprefix(published)
    name = re.sub(_BLOCKS + r"norm(\d)", r"\1layer_norm\2", name)
    for published, other in _PREFIXES:
        if name.startswith(published):
            return other + name.removeprefix(published)
    return name
