"""Average precision of masks, by COCO's rule: how many of those that are ranked high are right?"""

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError, RecordError
from segany.evaluate.average_recall import AREA_RANGES
from segany.evaluate.coco_matching import IOU_THRESHOLDS, match_masks
from segany.formats.coco import stated_area
from segany.masks import rle_iou_matrix
from segany.predict.automatic.proposals import proposal_score
from segany.schema import Annotation, Record

__all__ = [
    "AveragePrecision",
    "MatchedMasks",
    "PrecisionScores",
    "average_precision",
    "matched_masks",
    "pack_matches",
    "unpack_matches",
]

_RECALLS = np.linspace(0, 1, 101)


class PrecisionScores(NamedTuple):
    """Average precision, 0..1; NaN where people drew no such object.

    Attributes:
        all: Of objects of any size, mean over the IoU thresholds 0.5, 0.55 ... 0.95.
        at_50: At an IoU of 0.5.
        at_75: At an IoU of 0.75.
        small: Up to 32 x 32 pixels.
        medium: Up to 96 x 96 pixels.
        large: Larger.
    """

    all: float
    at_50: float
    at_75: float
    small: float
    medium: float
    large: float


class MatchedMasks(NamedTuple):
    """One image's N masks, the best-ranked first; A area ranges, T IoU thresholds.

    Attributes:
        scores: [N] float64.
        hits: [A, T, N] bool: matches an object.
        ignored: [A, T, N] bool: counts neither as right nor as wrong.
        objects: [A] int64: how many there were to match.
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]


class AveragePrecision:
    """Average precision over images; equal to `pycocotools`' COCOeval for "segm".

    Crowd regions are no objects, and masks that match one count for nothing; the same holds, for a range of areas, for
    objects outside it and for unmatched masks outside it. Scores and matches are kept, no masks.
    """

    def __init__(
        self,
        max_detections: int = 100,
        *,
        by_category: bool = False,
        score: Callable[[Annotation], float] = proposal_score,
    ) -> None:
        """Choose what counts.

        Args:
            max_detections: Most masks for each image (and category), the best-ranked.
            by_category: Masks match objects of their own category only, and the figure is the mean over the categories
                that objects have. Else categories are not looked at.
            score: Ranks masks, the highest first.

        Raises:
            ConfigError: `max_detections` is below 1.
        """
        if max_detections < 1:
            raise ConfigError(f"max_detections must be 1 or more, got {max_detections}.")
        self._limit, self._by_category, self._score = max_detections, by_category, score
        self.reset()

    def reset(self) -> None:
        """Forget every image."""
        self._images: dict[str | None, list[MatchedMasks]] = defaultdict(list)

    def update(self, found: Record, truth: Record) -> None:
        """Take in one image.

        Args:
            found: The masks that a model found.
            truth: The objects that people drew.

        Raises:
            RecordError: The images have two sizes.
        """
        if not self._by_category:
            self._images[None].append(matched_masks(found, truth, self._limit, self._score))
            return
        for category in {annotation.category for annotation in (*found.annotations, *truth.annotations)}:
            own, real = _of_category(found, category), _of_category(truth, category)
            self._images[category].append(matched_masks(own, real, self._limit, self._score))

    def compute(self) -> PrecisionScores:
        """Average precision so far."""
        rows = [average_precision(images) for images in self._images.values()]
        means = []
        for column in zip(*rows, strict=True):
            known = [value for value in column if not np.isnan(value)]
            means.append(float(np.mean(known)) if known else float("nan"))
        return PrecisionScores(*means) if means else PrecisionScores(*[float("nan")] * len(PrecisionScores._fields))


def matched_masks(
    found: Record,
    truth: Record,
    max_detections: int = 100,
    score: Callable[[Annotation], float] = proposal_score,
) -> MatchedMasks:
    """Match the masks of one image.

    Args:
        found: As in `AveragePrecision.update`.
        truth: Likewise.
        max_detections: Most masks, the best-ranked.
        score: Ranks masks; ties keep the record's order.

    Raises:
        RecordError: The images have two sizes.
    """
    if found.image.size != truth.image.size:
        raise RecordError(
            f"two records of one image must have one size, got {found.image.size} of {found.image.file_name} and "
            f"{truth.image.size} of {truth.image.file_name}."
        )
    ranked = sorted(found.annotations, key=score, reverse=True)[:max_detections]
    crowd = np.array([annotation.iscrowd for annotation in truth.annotations], dtype=np.bool_)
    areas = np.array([stated_area(annotation) for annotation in truth.annotations], dtype=np.float64)
    own_areas = np.array([annotation.segmentation.area for annotation in ranked], dtype=np.float64)
    ious = rle_iou_matrix(
        [annotation.segmentation for annotation in ranked],
        [annotation.segmentation for annotation in truth.annotations],
        crowd.tolist(),
    )
    shape = (len(AREA_RANGES), len(IOU_THRESHOLDS), len(ranked))
    hits, ignored = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    objects = np.zeros(len(AREA_RANGES), dtype=np.int64)
    for place, (low, high) in enumerate(AREA_RANGES.values()):
        wanted = ~crowd & (areas >= low) & (areas <= high)
        outside = (own_areas < low) | (own_areas > high)
        objects[place] = np.count_nonzero(wanted)
        for row, threshold in enumerate(IOU_THRESHOLDS.tolist()):
            matches = match_masks(ious, wanted, crowd, threshold)
            hits[place, row] = matches.hits
            ignored[place, row] = matches.ignored | (outside & ~matches.hits)
    return MatchedMasks(np.array([score(each) for each in ranked], dtype=np.float64), hits, ignored, objects)


def average_precision(images: Sequence[MatchedMasks]) -> PrecisionScores:
    """Average precision of several images, an image may come more than once.

    Args:
        images: From `matched_masks`.
    """
    precisions = np.full((len(AREA_RANGES), len(IOU_THRESHOLDS)), np.nan)
    objects = np.sum([image.objects for image in images], axis=0) if images else np.zeros(len(AREA_RANGES))
    if images:
        # A stable order of the images' own, as COCO's evaluation has it.
        order = np.argsort(-np.concatenate([image.scores for image in images]), kind="stable")
        hits = np.concatenate([image.hits for image in images], axis=2)[:, :, order]
        counted = ~np.concatenate([image.ignored for image in images], axis=2)[:, :, order]
        for place in np.flatnonzero(objects):
            for row in range(len(IOU_THRESHOLDS)):
                kept = hits[place, row][counted[place, row]]
                precisions[place, row] = _interpolated(kept, int(objects[place]))
    whole, *by_size = (float(np.mean(row)) for row in precisions)
    return PrecisionScores(whole, float(precisions[0, 0]), float(precisions[0, 5]), *by_size)


def pack_matches(matched: MatchedMasks, limit: int = 100) -> str:
    """Matches as text for a row's column; `unpack_matches` is the inverse.

    Args:
        matched: One image's.
        limit: Most masks, the best-ranked.
    """
    bits = [
        base64.b85encode(np.packbits(part[:, :, :limit]).tobytes()).decode("ascii")
        for part in (matched.hits, matched.ignored)
    ]
    return json.dumps([matched.scores[:limit].tolist(), matched.objects.tolist(), *bits])


@lru_cache(maxsize=8192)
def unpack_matches(text: str) -> MatchedMasks:
    """The inverse of `pack_matches`."""
    scores, objects, *packed = json.loads(text)
    shape = (len(AREA_RANGES), len(IOU_THRESHOLDS), len(scores))
    hits, ignored = (
        np.unpackbits(np.frombuffer(base64.b85decode(part), dtype=np.uint8), count=int(np.prod(shape)))
        .reshape(shape)
        .astype(np.bool_)
        for part in packed
    )
    return MatchedMasks(np.array(scores, dtype=np.float64), hits, ignored, np.array(objects, dtype=np.int64))


def _interpolated(hits: NDArray[np.bool_], objects: int) -> float:
    """Mean over 101 recalls of the highest precision at that recall or a higher one; 0 where none reaches it."""
    right = np.cumsum(hits)
    precision = right / (np.arange(len(hits)) + 1 + np.spacing(1))
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(right / objects, _RECALLS, side="left")
    return float(np.mean(np.append(best, 0.0)[places]))


def _of_category(record: Record, category: str | None) -> Record:
    own = tuple(annotation for annotation in record.annotations if annotation.category == category)
    return replace(record, annotations=own)
