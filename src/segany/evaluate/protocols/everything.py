"""The everything protocol: of what people drew, how much do automatic masks find, and what else do they bring?"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from segany import weights
from segany.errors import ConfigError
from segany.evaluate.average_precision import (
    PrecisionScores,
    average_precision,
    matched_masks,
    pack_matches,
    unpack_matches,
)
from segany.evaluate.average_recall import AREA_RANGES
from segany.evaluate.baselines import BASELINES
from segany.evaluate.items import Item
from segany.evaluate.metrics import Mean, Metric, Ratio, Resampled, Row, Value
from segany.evaluate.protocol import EvaluationProtocol, Published, Stages
from segany.evaluate.segmenter import PredictorSegmenter
from segany.evaluate.subjects import SubjectSpec, open_segmenter
from segany.masks import RLE, rle_iou_matrix
from segany.predict import Predictor
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Thresholds, rank
from segany.schema import Image, Record

__all__ = ["Everything", "GridFinder", "MaskFinder"]

_LVIS = "LVIS v1, 64 x 64 clicks, SAM paper"
_LIMITS = (1, 10, 100, 1000)


class MaskFinder(Protocol):
    """Finds masks without being asked for any one of them.

    Attributes:
        name: In reports.
        digest: Of everything that the masks depend on.
        about: In words.
    """

    name: str
    digest: str
    about: Mapping[str, str]

    def find(self, image: Image) -> Record:
        """All masks of an image."""
        ...


class GridFinder:
    """A model that is clicked on a grid."""

    def __init__(self, segmenter: PredictorSegmenter, grid: GridSettings, thresholds: Thresholds) -> None:
        """Take a model and settings."""
        self.name, self.digest, self.about = segmenter.name, segmenter.digest, segmenter.about
        # Without the embedding cache: the seconds are those of an image that was not seen before.
        self._generator = AutomaticMaskGenerator(Predictor(backend=segmenter.predictor.backend), grid)
        self._thresholds = thresholds

    def find(self, image: Image) -> Record:
        """See `MaskFinder`."""
        return self._generator.generate(image, self._thresholds)


@dataclass(frozen=True)
class Everything(EvaluationProtocol):
    """Automatic masks against all objects of an image, classes not looked at.

    Attributes:
        points_per_side: Clicks along each side of the image.
        crop_n_layers: Layers of zoomed-in crops.
        adaptive: Whether to leave out clicks that would hardly find anything new.
        pred_iou_thresh: Keep masks of a predicted IoU above this.
        stability_score_thresh: Keep masks at least this stable.
        box_nms_thresh: Of two masks whose boxes overlap by more than this, the better is kept.
        ap_detections: Masks of each image that count for AP, the best-ranked.
        duplicate_iou: A mask that overlaps a better-ranked one by this much says nothing new.
    """

    name: ClassVar[str] = "everything"
    summary: ClassVar[str] = (
        "Average recall and precision of all masks of an image, classes not looked at, ranked by the mean of predicted "
        "IoU and stability."
    )
    unit: ClassVar[Literal["object", "image"]] = "image"
    main: ClassVar[str] = "AR@1000"
    axis: ClassVar[str] = "masks an image"
    published: ClassVar[Sequence[Published]] = (
        Published("SAM (ViT-H)", "AR@1000", 0.593, _LVIS),
        Published("SAM (ViT-H)", "AR@1000 small", 0.455, _LVIS),
        Published("SAM (ViT-H)", "AR@1000 medium", 0.816, _LVIS),
        Published("SAM (ViT-H)", "AR@1000 large", 0.869, _LVIS),
        Published("ViTDet-H", "AR@1000", 0.630, _LVIS),
    )

    points_per_side: int = 32
    crop_n_layers: int = 0
    adaptive: bool = False
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    box_nms_thresh: float = 0.7
    ap_detections: int = 100
    duplicate_iou: float = 0.9

    def open_subject(self, spec: SubjectSpec, progress: weights.Progress | None = None) -> Any:
        """A model, or a baseline that finds masks by itself. See `EvaluationProtocol.open_subject`."""
        segmenter = open_segmenter(spec, progress)
        if isinstance(segmenter, PredictorSegmenter):
            grid = GridSettings(
                points_per_side=self.points_per_side,
                crop_n_layers=self.crop_n_layers,
                adaptive=self.adaptive,
                floor=self.pred_iou_thresh,
            )
            kept = Thresholds(self.pred_iou_thresh, self.stability_score_thresh, self.box_nms_thresh)
            return GridFinder(segmenter, grid, kept)
        if not hasattr(segmenter, "find"):
            able = ", ".join(name for name, baseline in BASELINES.items() if hasattr(baseline, "find"))
            raise ConfigError(f"{spec.text} answers prompts only; of the baselines, {able or 'none'} finds masks.")
        return segmenter

    def rows(self, item: Item, subjects: Sequence[Any], stages: Stages) -> list[Row]:
        """See `EvaluationProtocol.rows`."""
        finder: MaskFinder = subjects[0]
        with stages("read"):
            image = item.open()
        # One image at a time, so that its seconds are its own.
        with _ALONE, stages("predict"):
            started = time.perf_counter()
            found = rank(finder.find(image))
            seconds = time.perf_counter() - started
        with stages("score"):
            columns = self._columns(found, item.record)
        return [{"seconds": seconds, **columns}]

    def _columns(self, found: Record, truth: Record) -> dict[str, Value]:
        matched = matched_masks(found, truth, max(_LIMITS))
        columns: dict[str, Value] = {"masks": len(found.annotations)}
        for place, area in enumerate(AREA_RANGES):
            columns[f"objects_{area}"] = int(matched.objects[place])
            for limit in _LIMITS:
                # Recall's numerator: objects found, mean over the IoU thresholds.
                hits = np.count_nonzero(matched.hits[place, :, :limit], axis=1)
                columns[f"found_{limit}_{area}"] = float(hits.mean())
        rles = [annotation.segmentation for annotation in found.annotations]
        objects = [annotation.segmentation for annotation in truth.annotations]
        covered, drawn = (RLE.merge(each) if each else None for each in (rles, objects))
        columns["coverage"] = 0.0 if covered is None else covered.area / truth.image.size.area
        if drawn is not None and drawn.area > 0:
            columns["object_coverage"] = 0.0 if covered is None else drawn.intersection(covered) / drawn.area
        columns["duplicates"] = _duplicates(rles, self.duplicate_iou)
        columns["matches"] = pack_matches(matched, self.ap_detections)
        return columns

    def metrics(self) -> Mapping[str, Metric]:
        """See `EvaluationProtocol.metrics`."""
        metrics: dict[str, Metric] = {
            f"AR@{limit}": Ratio(f"found_{limit}_all", "objects_all") for limit in reversed(_LIMITS)
        }
        for area in list(AREA_RANGES)[1:]:
            metrics[f"AR@1000 {area}"] = Ratio(f"found_1000_{area}", f"objects_{area}")
        metrics["AP"] = Resampled(_figure(lambda scores: scores.all))
        metrics["AP50"] = Resampled(_figure(lambda scores: scores.at_50))
        metrics["pixels covered"] = Mean("coverage")
        metrics["object pixels covered"] = Mean("object_coverage")
        metrics["masks an image"] = Mean("masks", unit="number")
        metrics["duplicates"] = Ratio("duplicates", "masks", lower_is_better=True)
        metrics["seconds an image"] = Mean("seconds", unit="number", lower_is_better=True)
        return metrics

    def curve(self) -> Mapping[float, str]:
        """See `EvaluationProtocol.curve`."""
        return {limit: f"AR@{limit}" for limit in _LIMITS}


_ALONE = threading.Lock()


def _duplicates(ranked: Sequence[RLE], least_iou: float) -> int:
    """How many masks overlap a better-ranked one by so much."""
    if len(ranked) < 2:
        return 0
    ious = np.triu(rle_iou_matrix(ranked, ranked), 1)
    return int(np.count_nonzero((ious >= least_iou).any(axis=0)))


def _figure(pick: Callable[[PrecisionScores], float]) -> Callable[[Sequence[Sequence[Row]]], float]:
    def figure(images: Sequence[Sequence[Row]]) -> float:
        return pick(average_precision([unpack_matches(str(row["matches"])) for rows in images for row in rows]))

    return figure
