"""What a model is made of, as data: encoder, preprocessing and decoder widths. Imports no torch."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

from segany.errors import ConfigError

__all__ = [
    "CONFIGS",
    "PREPROCESS_VERSION",
    "EncoderConfig",
    "ModelConfig",
    "PreprocessConfig",
    "TinyViTConfig",
    "ViTConfig",
]

_T = TypeVar("_T")

PREPROCESS_VERSION = 1
"""Raised when the same image and config would give other model pixels; embeddings are keyed by it."""

Resample = Literal["bilinear_antialias", "area"]
Normalize = Literal["mean_std", "min_max"]


@dataclass(frozen=True)
class PreprocessConfig:
    """How an image becomes the model's input.

    Attributes:
        input_side: Side of the square input, model pixels.
        resample: How the long side is brought to `input_side`.
        normalize: "mean_std" subtracts `mean` and divides by `std`; "min_max" maps the resized
            image's own range to 0..1. Both pad with zeros afterwards, on the right and below.
        mean: RGB, 0..255; read for "mean_std" only.
        std: RGB, 0..255; read for "mean_std" only.
    """

    input_side: int = 1024
    resample: Resample = "bilinear_antialias"
    normalize: Normalize = "mean_std"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)

    def __post_init__(self) -> None:
        """Check the ranges. Raises ConfigError."""
        _require(self.input_side >= 1, f"input_side must be at least 1 pixel, got {self.input_side}")
        for key, kinds in (("resample", get_args(Resample)), ("normalize", get_args(Normalize))):
            value = getattr(self, key)
            _require(value in kinds, f"{key} must be one of {', '.join(kinds)}, got {value!r}")
        _require({len(self.mean), len(self.std)} == {3}, "mean and std must have three values each")
        _require(min(self.std) > 0, f"std must be positive, got {self.std}")


@dataclass(frozen=True)
class ViTConfig:
    """SAM's plain vision transformer (SAM paper, app. A; ViTDet, arXiv 2203.16527).

    Attributes:
        dim: Width.
        depth: Number of blocks.
        heads: Attention heads.
        global_blocks: Indices of the blocks that attend to the whole image; the others to windows.
        window: Side of a window, patches.
        patch: Side of a patch, pixels; also the total stride.
        mlp_ratio: Hidden width of a block's MLP over `dim`.
        pretrain_side: Input side for which the position tables are sized, pixels; another input
            side interpolates them.
    """

    dim: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    window: int = 14
    patch: int = 16
    mlp_ratio: float = 4.0
    pretrain_side: int = 1024

    def __post_init__(self) -> None:
        """Check the ranges. Raises ConfigError."""
        _require(min(self.dim, self.depth, self.heads, self.window, self.patch) >= 1, "ViT sizes must be at least 1")
        _require(self.dim % self.heads == 0, f"dim {self.dim} must be a multiple of heads {self.heads}")
        inside = all(0 <= index < self.depth for index in self.global_blocks)
        _require(inside, f"global_blocks {self.global_blocks} must lie in 0..{self.depth - 1}")
        _require(
            self.pretrain_side >= 1 and self.pretrain_side % self.patch == 0,
            f"pretrain_side {self.pretrain_side} must be a multiple of the patch, {self.patch}",
        )

    @property
    def stride(self) -> int:
        """Model pixels per cell of the embedding."""
        return self.patch


@dataclass(frozen=True)
class TinyViTConfig:
    """TinyViT with the last stage's stride removed (arXiv 2207.10666; MobileSAM, arXiv 2306.14289).

    Attributes:
        dims: Width of each of the four stages.
        depths: Blocks of each stage; the first stage is convolutional.
        heads: Attention heads of each stage; the first is not read.
        windows: Window side of each stage, cells; the first is not read.
        strides: Stride of the three merges between the stages.
        stem_kernel: 3 for the two strided convolutions of MobileSAM (stride 4 together), 1 for the
            two pointwise ones of LiteMedSAM (no stride).
        mlp_ratio: Hidden width of a block's MLP over its stage's width.
        expand_ratio: The same for the convolutional blocks of the first stage.
    """

    dims: tuple[int, int, int, int] = (64, 128, 160, 320)
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    heads: tuple[int, int, int, int] = (2, 4, 5, 10)
    windows: tuple[int, int, int, int] = (7, 7, 14, 7)
    strides: tuple[int, int, int] = (2, 2, 1)
    stem_kernel: Literal[1, 3] = 3
    mlp_ratio: float = 4.0
    expand_ratio: float = 4.0

    def __post_init__(self) -> None:
        """Check the ranges. Raises ConfigError."""
        stages = (self.dims, self.depths, self.heads, self.windows)
        _require(all(len(values) == 4 for values in stages), "dims, depths, heads and windows must have four values")
        _require(min(map(min, stages)) >= 1, "TinyViT sizes must be at least 1")
        strides = [*self.strides]
        _require(len(strides) == 3 and set(strides) <= {1, 2}, f"strides must be three of 1 or 2, got {strides}")
        _require(self.stem_kernel in (1, 3), f"stem_kernel must be 1 or 3, got {self.stem_kernel}")
        divisible = all(dim % heads == 0 for dim, heads in zip(self.dims, self.heads, strict=True))
        _require(divisible, f"dims {self.dims} must be multiples of heads {self.heads}")

    @property
    def stride(self) -> int:
        """Model pixels per cell of the embedding."""
        total = 4 if self.stem_kernel == 3 else 1
        for stride in self.strides:
            total *= stride
        return total


EncoderConfig = ViTConfig | TinyViTConfig

_ENCODERS: dict[str, type[ViTConfig] | type[TinyViTConfig]] = {"vit": ViTConfig, "tiny_vit": TinyViTConfig}


@dataclass(frozen=True)
class ModelConfig:
    """One model of the family: image encoder, preprocessing, prompt encoder and mask decoder.

    Attributes:
        name: The model's name: a key of `CONFIGS`, or any name for a model of one's own.
        encoder: The image encoder's sizes.
        preprocess: How an image becomes its input.
        embed_dim: Width of the image embedding, the prompt tokens and the mask decoder.
        decoder_depth: Two-way layers of the mask decoder.
        decoder_heads: Its attention heads.
        decoder_mlp_dim: Hidden width of its MLPs.
        iou_hidden_dim: Hidden width of the head that predicts each mask's IoU.
        mask_channels: Channels of the mask prompt's second convolution.
    """

    name: str
    encoder: EncoderConfig
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    embed_dim: int = 256
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_mlp_dim: int = 2048
    iou_hidden_dim: int = 256
    mask_channels: int = 16

    def __post_init__(self) -> None:
        """Check the ranges. Raises ConfigError."""
        _require(
            self.input_side % self.encoder.stride == 0,
            f"input_side {self.input_side} must be a multiple of the encoder's stride, {self.encoder.stride}",
        )
        _require(self.embed_dim % 8 == 0, f"embed_dim must be a multiple of 8, got {self.embed_dim}")
        _require(
            self.decoder_heads >= 1 and self.embed_dim % (2 * self.decoder_heads) == 0,
            f"embed_dim {self.embed_dim} must be a multiple of twice decoder_heads, {self.decoder_heads}",
        )
        _require(self.mask_channels % 4 == 0, f"mask_channels must be a multiple of 4, got {self.mask_channels}")
        _require(min(self.decoder_depth, self.decoder_mlp_dim, self.iou_hidden_dim) >= 1, "widths must be at least 1")

    @property
    def input_side(self) -> int:
        """Side of the square input, model pixels."""
        return self.preprocess.input_side

    @property
    def embedding_side(self) -> int:
        """Side of the image embedding, cells: 64 for every published model."""
        return self.input_side // self.encoder.stride

    @property
    def low_res_side(self) -> int:
        """Side of the decoder's masks and of a mask prompt: 256 for every published model."""
        return 4 * self.embedding_side

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON types, with the encoder's family under "kind"."""
        kind = next(kind for kind, cls in _ENCODERS.items() if isinstance(self.encoder, cls))
        data = dataclasses.asdict(self)
        data["encoder"] = {"kind": kind, **data["encoder"]}
        return {key: _to_json(value) for key, value in data.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ModelConfig":
        """The inverse of `to_dict`.

        Raises:
            ConfigError: A key is unknown or missing, or a value is out of range.
        """
        values = dict(data)
        encoder = dict(_section(values, "encoder"))
        kind = encoder.pop("kind", None)
        if kind not in _ENCODERS:
            raise ConfigError(f"encoder kind must be one of {', '.join(_ENCODERS)}, got {kind!r}.")
        values["encoder"] = _build(_ENCODERS[kind], encoder, f"{kind} encoder")
        values["preprocess"] = _build(PreprocessConfig, _section(values, "preprocess"), "preprocess")
        return _build(cls, values, "model")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(f"{message}.")


def _to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _section(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = values.get(key)
    if not isinstance(section, Mapping):
        raise ConfigError(f"a model config needs a section {key!r}, got {section!r}.")
    return section


def _build(cls: type[_T], values: Mapping[str, Any], what: str) -> _T:
    """Make the dataclass from JSON types; lists become tuples; unknown and missing keys fail."""
    fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(f"unknown key in the {what} config: {', '.join(unknown)}. Known: {', '.join(fields)}.")
    required = {
        name
        for name, item in fields.items()
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    }
    missing = sorted(required - set(values))
    if missing:
        raise ConfigError(f"the {what} config lacks: {', '.join(missing)}.")
    try:
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except TypeError as error:
        raise ConfigError(f"a value of the {what} config has the wrong type: {error}.") from error


_MOBILE_SAM = ModelConfig("mobile_sam", TinyViTConfig())

CONFIGS: Mapping[str, ModelConfig] = MappingProxyType(
    {
        config.name: config
        for config in (
            ModelConfig("vit_b", ViTConfig(768, 12, 12, (2, 5, 8, 11))),
            ModelConfig("vit_l", ViTConfig(1024, 24, 16, (5, 11, 17, 23))),
            ModelConfig("vit_h", ViTConfig(1280, 32, 16, (7, 15, 23, 31))),
            _MOBILE_SAM,
            ModelConfig(
                "lite_medsam",
                TinyViTConfig(stem_kernel=1),
                PreprocessConfig(input_side=256, resample="area", normalize="min_max"),
            ),
        )
    }
)
"""The published models, by name."""
