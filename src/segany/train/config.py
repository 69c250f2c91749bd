"""TrainConfig: everything that decides what a run does. Imports no torch."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from segany.errors import ConfigError

__all__ = ["Device", "Precision", "Schedule", "ScoreLoss", "TrainConfig", "Tune"]

Tune = Literal["scores", "decoder", "lora", "full", "distil"]
Schedule = Literal["steps", "cosine"]
ScoreLoss = Literal["all", "best"]
Precision = Literal["float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]

# Of a batch of some 16 objects, where the paper has 256 images; the paper's 8e-4 is for training from nothing.
_LEARNING_RATES: Mapping[Tune, float] = {
    "scores": 5e-4,
    "decoder": 1e-4,
    "lora": 5e-4,
    "full": 5e-5,
    "distil": 1e-3,
}


@dataclass(frozen=True)
class TrainConfig:
    """What is trained, from what, how long and how. The numbers are the SAM paper's (app. A) where it has some.

    Attributes:
        tune: "scores": the IoU head alone. "decoder": the mask decoder, on embeddings that are made once. "lora":
            narrow additions to the encoder's linear layers, and the decoder if `with_decoder`. "full": everything.
            "distil": a small encoder that imitates the model's own.
        model: A name of the weights registry, or a checkpoint file.
        steps: Updates of the parameters.
        images_per_step: Images whose gradients make one update, over all devices.
        objects_per_image: Most objects of one image in a step.
        count_power: Images with many masks are drawn more often: in proportion to their number to this power; 0 for all
            images alike, 1 for all masks alike.
        clicks: Clicks after the first prompt, each drawn from what is wrong.
        repeats: Further rounds without a new click: the first at a random place between the clicks, the others last.
        lone_share: How often objects get their first prompt alone: three masks and their scores are then all there is
            to learn, in half the time.
        box_share: How often the first prompt is a box.
        max_area_share: Masks over this share of their image are left out.
        min_cells: Masks of fewer cells of the decoder's grid (256 a side) are left out.
        focal_weight: Of the focal loss.
        dice_weight: Of the dice loss.
        score_weight: Of the squared error of predicted IoU.
        score_masks: Whether "all" candidates of a lone prompt teach the IoU head, or only the "best" one, whose masks
            are taught. It is the scores that choose the mask, and those of the others would go astray.
        learning_rate: Highest; None for the strategy's own.
        weight_decay: AdamW's, not for biases and norms.
        betas: AdamW's.
        warmup_steps: From 0 to the highest rate, at most a tenth of the steps.
        schedule: "steps": a tenth after 2/3 and again after 26/27 of the steps, as in the paper; or "cosine".
        clip_norm: Most that the gradient's norm may be.
        layer_decay: "full": each encoder layer learns this much slower than the one above it.
        drop_path: "full": how often the last encoder block is passed over; linearly less for earlier ones.
        checkpoint_activations: "full" and "lora": compute the encoder's activations twice instead of keeping them.
        lora_rank: Inner width of the additions.
        lora_alpha: Their scale is this over the rank.
        merge: "lora": write one merged model; else also the additions alone.
        with_decoder: "lora": train the mask decoder too.
        views: Variants of each image for strategies that keep the encoder: turned, mirrored, cut and lit otherwise.
            The first is the image itself. Other strategies draw a new one each time.
        keep_weight: How much answers on other images (`train(..., keep=...)`) must stay as the model's own.
        keep_score_weight: Of such an image's scores beside its masks: those that are off by .1 cost more than a mask
            that is off by as much, because they decide which mask is chosen.
        keep_clicks: Clicks on such an image in a step.
        keep_every: Of so many images that teach, one is followed by such an image.
        refit_objects: Objects on which, at the end, the IoU head alone is fitted once more to masks that no longer
            change, and photos' clicks on which its answers are kept; 0 for not at all. It stays as it was if
            that validates worse.
        blend: Share of the trained parameters in the result; the rest are the original's (arXiv 2109.01903).
        student_dims: "distil": widths of the small encoder.
        student_depths: "distil": its blocks.
        mask_weight: "distil": weight of the masks' difference beside the embeddings'.
        val_share: Share of the images that validate; of images that share a group, all or none. Not for data that
            bring a split of their own.
        val_objects: Most objects to validate on.
        val_every: Steps between validations.
        patience: Validations without a better one before the run stops; 0 to never stop early.
        save_every: Steps between checkpoints.
        seed: The same seed gives the same run.
        device: "auto", "cpu" or "cuda".
        devices: Processes, each with a device of its own; a step's images are shared out.
        precision: Of the products; parameters stay float32.
    """

    tune: Tune = "decoder"
    model: str = "mobile_sam"
    steps: int = 200
    images_per_step: int = 2
    objects_per_image: int = 8
    count_power: float = 0.5
    clicks: int = 8
    repeats: int = 2
    lone_share: float = 0.0
    box_share: float = 0.5
    max_area_share: float = 0.9
    min_cells: int = 4
    focal_weight: float = 20.0
    dice_weight: float = 1.0
    score_weight: float = 1.0
    score_masks: ScoreLoss = "all"
    learning_rate: float | None = None
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 250
    schedule: Schedule = "steps"
    clip_norm: float = 1.0
    layer_decay: float = 0.8
    drop_path: float = 0.4
    checkpoint_activations: bool = True
    lora_rank: int = 4
    lora_alpha: float = 8.0
    merge: bool = True
    with_decoder: bool = True
    views: int = 4
    keep_weight: float = 1.0
    keep_score_weight: float = 20.0
    keep_clicks: int = 4
    keep_every: int = 1
    refit_objects: int = 400
    blend: float = 1.0
    student_dims: tuple[int, int, int, int] = (32, 64, 96, 128)
    student_depths: tuple[int, int, int, int] = (1, 1, 2, 1)
    mask_weight: float = 1.0
    val_share: float = 0.15
    val_objects: int = 60
    val_every: int = 50
    patience: int = 0
    save_every: int = 25
    seed: int = 0
    device: Device = "auto"
    devices: int = 1
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        """Check words and ranges. Raises ConfigError."""
        for name, known in (
            ("tune", Tune),
            ("schedule", Schedule),
            ("score_masks", ScoreLoss),
            ("device", Device),
            ("precision", Precision),
        ):
            value = getattr(self, name)
            _require(value in get_args(known), f"{name} must be one of {', '.join(get_args(known))}, got {value!r}")
        for name in ("steps", "images_per_step", "objects_per_image", "views", "val_every", "save_every", "devices"):
            _at_least(name, getattr(self, name), 1)
        for name in ("min_cells", "lora_rank", "val_objects", "keep_clicks", "keep_every"):
            _at_least(name, getattr(self, name), 1)
        for name in ("clicks", "repeats", "warmup_steps", "patience", "seed", "refit_objects"):
            _at_least(name, getattr(self, name), 0)
        for name in ("box_share", "lone_share", "blend", "drop_path", "count_power"):
            value = getattr(self, name)
            _require(0 <= value <= 1, f"{name} must lie between 0 and 1, got {value}")
        for name in ("max_area_share", "layer_decay"):
            value = getattr(self, name)
            _require(0 < value <= 1, f"{name} must be above 0 and at most 1, got {value}")
        _require(0 <= self.val_share < 1, f"val_share must be at least 0 and below 1, got {self.val_share}")
        weights = ("focal_weight", "dice_weight", "score_weight", "keep_weight", "keep_score_weight", "mask_weight")
        for name in (*weights, "weight_decay"):
            _require(getattr(self, name) >= 0, f"{name} must be at least 0, got {getattr(self, name)}")
        _require(self.rate > 0, f"learning_rate must be above 0, got {self.learning_rate}")
        _require(self.clip_norm > 0, f"clip_norm must be above 0, got {self.clip_norm}")
        _require(
            self.images_per_step % self.devices == 0,
            f"images_per_step ({self.images_per_step}) must be a multiple of devices ({self.devices})",
        )

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        return _LEARNING_RATES[self.tune] if self.learning_rate is None else self.learning_rate

    @property
    def interactions(self) -> int:
        """Rounds with one object: the first prompt, the clicks and the repeats; the paper has 11."""
        return 1 + self.clicks + self.repeats

    @property
    def trains_encoder(self) -> bool:
        """Whether images go through the encoder in every step."""
        return self.tune in ("lora", "full", "distil")

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON types."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TrainConfig":
        """The inverse of `to_dict`; keys may be left out.

        Raises:
            ConfigError: A key is unknown, or a value is of another type or out of range.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(data) - set(fields))
        if unknown:
            raise ConfigError(f"unknown key in the training config: {', '.join(unknown)}. Known: {', '.join(fields)}.")
        return cls(**{key: _typed(key, value, fields[key].default) for key, value in data.items()})

    @classmethod
    def parse(cls, words: Mapping[str, str]) -> dict[str, Any]:
        """Settings in words, as a command line has them: `steps=100`, `student_dims=32,64,96,128`.

        Raises:
            ConfigError: A key is unknown, or a value cannot be read.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(words) - set(fields))
        if unknown:
            raise ConfigError(f"unknown training setting {unknown[0]!r}. Known: {', '.join(fields)}.")
        return {key: _read(key, text, fields[key].default) for key, text in words.items()}

    @property
    def digest(self) -> str:
        """sha256 of the whole config, hexadecimal."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(f"{message}.")


def _at_least(name: str, value: int, least: int) -> None:
    _require(value >= least, f"{name} must be at least {least}, got {value}")


def _typed(key: str, value: Any, default: Any) -> Any:
    """The value as the field's type, or ConfigError; numbers may be whole where they need not be."""
    if default is None:
        wanted: tuple[type, ...] = (int, float, type(None))
    elif isinstance(default, bool):
        wanted = (bool,)
    elif isinstance(default, tuple):
        wanted = (list, tuple)
    else:
        wanted = (int, float) if isinstance(default, float) else (type(default),)
    fits = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
    if not fits:
        raise ConfigError(f"the training setting {key} must be {_kind(default)}, got {value!r}.")
    if isinstance(default, tuple):
        numbers = tuple(one for one in value if isinstance(one, int | float))
        if len(numbers) != len(default) or len(numbers) != len(value):
            raise ConfigError(f"the training setting {key} must be {_kind(default)}, got {value!r}.")
        return numbers
    return value


def _read(key: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        if isinstance(default, tuple):
            return tuple(type(default[0])(part) for part in text.split(","))
        return text if isinstance(default, str) else int(text) if isinstance(default, int) else float(text)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"the training setting {key} must be {_kind(default)}, got {text!r}.") from error


def _kind(default: Any) -> str:
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, tuple):
        return f"{len(default)} numbers"
    return "a word" if isinstance(default, str) else "a whole number" if isinstance(default, int) else "a number"
