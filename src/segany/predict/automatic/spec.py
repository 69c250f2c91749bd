"""EverythingSpec: how to find everything in an image, as a value that can be sent to another process."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from segany import weights
from segany.errors import ConfigError, DeviceError, DigestError
from segany.formats.label_map import record_from_label_map
from segany.predict.automatic._clicks import Progress
from segany.predict.automatic._stages import StageClock, TimedPredictor
from segany.predict.automatic.cover import cover
from segany.predict.automatic.generator import AutomaticMaskGenerator
from segany.predict.automatic.hierarchy import link_parts
from segany.predict.automatic.settings import GridSettings, Thresholds
from segany.predict.backends.base import Backend
from segany.predict.cache import EmbeddingCache
from segany.predict.load import load_backend
from segany.schema import Image, Record

__all__ = ["MODES", "EverythingSpec", "Found"]

# full: every click of the grid. adaptive: without those that would hardly find anything new. hierarchy: the masks of
# full, each with the one that it is a part of. cover: what is seen of them when they are laid over each other, so that
# every pixel belongs to one.
MODES = ("full", "adaptive", "hierarchy", "cover")


class Found(NamedTuple):
    """Everything in an image.

    Attributes:
        record: The masks.
        clicks: Clicks that were made.
        complete: False when time ran out before all that were wanted were made.
    """

    record: Record
    clicks: int
    complete: bool


@dataclass(frozen=True, eq=False)
class EverythingSpec:
    """Everything that decides which masks are found; it can be pickled.

    Attributes:
        model: A name of the weights registry, or a checkpoint file.
        model_digest: Digest of the model's parameters; whoever loads another model under that name says so. Empty
            until `resolved`.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: As in `Predictor`.
        runtime: As in `Predictor`.
        backend_key: Key of the backend that `resolved` found. Its runtime and precision decide masks, so a worker for
            which "auto" means others says so.
        mode: One of `MODES`.
        grid: Where to click.
        thresholds: What to keep.
        max_seconds: Stop clicking in an image after this time, or None.
        max_pixels: Largest image that is read whole, or None for `Settings.max_pixels`.
        use_cache: Look for embeddings in the cache, and keep them there.
    """

    model: str = "mobile_sam"
    model_digest: str = ""
    device: str = "auto"
    precision: str = "auto"
    runtime: str = "auto"
    backend_key: str = ""
    mode: str = "full"
    grid: GridSettings = field(default_factory=GridSettings)
    thresholds: Thresholds = field(default_factory=Thresholds)
    max_seconds: float | None = None
    max_pixels: int | None = None
    use_cache: bool = True

    def __post_init__(self) -> None:
        """Check mode and limits."""
        if self.mode not in MODES:
            raise ConfigError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}.")
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ConfigError(f"max_seconds must be above 0, got {self.max_seconds:g}.")

    @property
    def clicking(self) -> GridSettings:
        """The grid as mode and thresholds want it."""
        # A threshold below the floor would ask for masks that were never kept.
        floor = min(self.grid.floor, self.thresholds.pred_iou_thresh)
        return replace(self.grid, floor=floor, adaptive=self.grid.adaptive or self.mode == "adaptive")

    def resolved(self, progress: weights.Progress | None = None) -> "EverythingSpec":
        """The same with model and backend as they are here; the model is loaded for it.

        Args:
            progress: Told how far weights are fetched, as in `load_backend`.

        Raises:
            WeightsError: As `backend`.
            DeviceError: As `backend`.
        """
        backend = self.backend(progress)
        return replace(self, model_digest=backend.model_digest, backend_key=backend.key)

    def settings(self) -> dict[str, Any]:
        """What decides the answer, as JSON values: not the device, nor what the model is called."""
        grid: dict[str, Any] = {one.name: getattr(self.clicking, one.name) for one in fields(self.grid)}
        if self.grid.point_grids is not None:
            grid["point_grids"] = [clicks.tolist() for clicks in self.grid.point_grids]
        # How many clicks are decoded at once is a matter of speed.
        del grid["points_per_batch"]
        runtime, precision = _kind(self.backend_key) if self.backend_key else (self.runtime, self.precision)
        thresholds = {one.name: getattr(self.thresholds, one.name) for one in fields(self.thresholds)}
        return {
            "mode": self.mode,
            "model_digest": self.model_digest,
            "runtime": runtime,
            "precision": precision,
            **grid,
            **thresholds,
            "max_seconds": self.max_seconds,
        }

    def backend(self, progress: weights.Progress | None = None) -> Backend:
        """The model, loaded once for each process.

        Args:
            progress: As in `resolved`.

        Raises:
            WeightsError: The weights cannot be had, or are not those of `model_digest`.
            DeviceError: This machine does not have the device, precision or runtime, or "auto" is another one here than
                where the spec was resolved.
        """
        backend = _load((self.model, self.device, self.precision, self.runtime), progress)
        if self.model_digest and backend.model_digest != self.model_digest:
            raise DigestError(
                f"{self.model} is another model here: its parameters have the digest {backend.model_digest[:12]}, not "
                f"{self.model_digest[:12]}; use the same weights everywhere."
            )
        if self.backend_key and _kind(backend.key) != _kind(self.backend_key):
            here, there = (" in ".join(_kind(key)) for key in (backend.key, self.backend_key))
            raise DeviceError(f"{self.model} would run by {here} here, not by {there}; name runtime and precision.")
        return backend

    def find(self, image: Image, clock: StageClock, progress: Progress | None = None) -> Found:
        """Find everything in an image.

        Args:
            image: The image.
            clock: Counts the stages embed, click and select.
            progress: As in `AutomaticMaskGenerator.propose`.
        """
        predictor = TimedPredictor(self.backend(), EmbeddingCache.default() if self.use_cache else None, clock)
        generator = AutomaticMaskGenerator(predictor, self.clicking)
        with clock.stage("click"):
            proposals = generator.propose(image, progress=progress, max_seconds=self.max_seconds)
        with clock.stage("select"):
            record = proposals.select(self.thresholds)
            if self.mode == "hierarchy":
                record = link_parts(record)
            elif self.mode == "cover":
                record = _exclusive(record)
        return Found(record, proposals.clicks, proposals.complete)


def _exclusive(record: Record) -> Record:
    """The masks of a cover, each cut to what is seen of it; ids and scores are those of the whole masks."""
    laid = cover(record, fill=True)
    seen = record_from_label_map(laid.labels, record.image).annotations
    cut = [
        replace(whole, segmentation=part.segmentation, box=part.box, area=part.area)
        for whole, part in zip(laid.annotations, seen, strict=True)
    ]
    return replace(record, annotations=tuple(cut))


def _kind(backend_key: str) -> tuple[str, str]:
    """Runtime and precision of a backend's key: what changes masks by more than rounding."""
    parts = backend_key.split("/")
    return parts[0], parts[-1]


# The one model that this process works with, by model, device, precision and runtime.
_loaded: dict[tuple[str, str, str, str], Backend] = {}


def _load(key: tuple[str, str, str, str], progress: weights.Progress | None) -> Backend:
    if key not in _loaded:
        model, device, precision, runtime = key
        _loaded.clear()
        _loaded[key] = load_backend(model, device=device, precision=precision, runtime=runtime, progress=progress)
    return _loaded[key]
