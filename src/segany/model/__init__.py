"""The model: image encoders, prompt encoder, mask decoder, preprocessing and checkpoints.

`segany.model.config` and `segany.model.preprocess` import no torch; neither does this package until
one of its other names is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from segany.model.config import CONFIGS, PREPROCESS_VERSION, ModelConfig, PreprocessConfig, TinyViTConfig, ViTConfig
from segany.model.preprocess import normalize_image, resize_image

if TYPE_CHECKING:
    from segany.model.checkpoint import detect_config, encoder_digest, load_sam, model_digest, read_card, save_sam
    from segany.model.hugging_face import from_hugging_face, to_hugging_face
    from segany.model.sam import Sam

__all__ = [
    "CONFIGS",
    "PREPROCESS_VERSION",
    "ModelConfig",
    "PreprocessConfig",
    "Sam",
    "TinyViTConfig",
    "ViTConfig",
    "detect_config",
    "encoder_digest",
    "from_hugging_face",
    "load_sam",
    "model_digest",
    "normalize_image",
    "read_card",
    "resize_image",
    "save_sam",
    "to_hugging_face",
]

_LAZY = {
    "Sam": "sam",
    "detect_config": "checkpoint",
    "encoder_digest": "checkpoint",
    "from_hugging_face": "hugging_face",
    "load_sam": "checkpoint",
    "model_digest": "checkpoint",
    "read_card": "checkpoint",
    "save_sam": "checkpoint",
    "to_hugging_face": "hugging_face",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
