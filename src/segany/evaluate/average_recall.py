"""Class-agnostic average recall of masks, by COCO's rule: of what people drew, how much was found?"""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from segany.errors import ConfigError, RecordError
from segany.evaluate.coco_matching import IOU_THRESHOLDS, match_masks
from segany.formats.coco import stated_area
from segany.masks import rle_iou_matrix
from segany.predict.automatic.proposals import proposal_score
from segany.schema import Annotation, Record

__all__ = ["AREA_RANGES", "AverageRecall", "RecallScores"]

# Square pixels, both ends included, as COCO's evaluation has them.
AREA_RANGES = MappingProxyType(
    {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
)


class RecallScores(NamedTuple):
    """Average recall with so many masks for each image, 0..1; NaN where people drew no such object.

    Attributes:
        all: Of objects of any size.
        small: Up to 32 x 32 pixels.
        medium: Up to 96 x 96 pixels.
        large: Larger.
    """

    all: float
    small: float
    medium: float
    large: float


class AverageRecall:
    """Recall, averaged over the IoU thresholds 0.5, 0.55 ... 0.95 (Hosang et al. 2016; COCO's AR without classes).

    For each image the best-ranked masks choose, one after the other, the object that they overlap most and that is not
    taken yet. Crowd regions are no objects; nor are, for a range of areas, objects outside it. It equals `pycocotools`'
    COCOeval with `useCats = 0`. Only counts are kept.
    """

    def __init__(
        self,
        max_detections: Sequence[int] = (1, 10, 100, 1000),
        score: Callable[[Annotation], float] = proposal_score,
    ) -> None:
        """Choose how many masks may be used.

        Args:
            max_detections: Numbers of masks for each image, each from 1 up.
            score: Ranks an image's masks, the highest first; ties keep the record's order.

        Raises:
            ConfigError: There is no number, or one below 1.
        """
        if not max_detections or min(max_detections) < 1:
            raise ConfigError(f"max_detections must be numbers from 1 up, got {list(max_detections)}.")
        self._limits = tuple(sorted(set(max_detections)))
        self._score = score
        self.reset()

    def reset(self) -> None:
        """Forget every image."""
        self._found = np.zeros((len(AREA_RANGES), len(self._limits), len(IOU_THRESHOLDS)), dtype=np.int64)
        self._objects = np.zeros(len(AREA_RANGES), dtype=np.int64)

    def update(self, found: Record, truth: Record) -> None:
        """Take in one image.

        Args:
            found: The masks that a model found.
            truth: The objects that people drew.

        Raises:
            RecordError: The images have two sizes.
        """
        if found.image.size != truth.image.size:
            raise RecordError(
                f"two records of one image must have one size, got {found.image.size} of {found.image.file_name} and "
                f"{truth.image.size} of {truth.image.file_name}."
            )
        ranked = sorted(found.annotations, key=self._score, reverse=True)[: self._limits[-1]]
        crowd = np.array([annotation.iscrowd for annotation in truth.annotations], dtype=np.bool_)
        areas = np.array([stated_area(annotation) for annotation in truth.annotations], dtype=np.float64)
        ious = rle_iou_matrix(
            [annotation.segmentation for annotation in ranked],
            [annotation.segmentation for annotation in truth.annotations],
            crowd.tolist(),
        )
        for place, (low, high) in enumerate(AREA_RANGES.values()):
            wanted = ~crowd & (areas >= low) & (areas <= high)
            self._objects[place] += np.count_nonzero(wanted)
            for column, threshold in enumerate(IOU_THRESHOLDS.tolist()):
                hits = match_masks(ious, wanted, crowd, threshold).hits
                self._found[place, :, column] += [np.count_nonzero(hits[:limit]) for limit in self._limits]

    def compute(self) -> dict[int, RecallScores]:
        """Average recall so far: number of masks for each image -> scores."""
        scores = {}
        for row, limit in enumerate(self._limits):
            values = [
                float(np.mean(self._found[place, row] / self._objects[place])) if self._objects[place] else float("nan")
                for place in range(len(AREA_RANGES))
            ]
            scores[limit] = RecallScores(*values)
        return scores
