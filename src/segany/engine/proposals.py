"""Proposals: masks of everything in an image, with what is known of each before anybody looks."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.engine.confidence import mask_evidence
from segany.engine.features import mask_features
from segany.engine.quality import SAME_OBJECT
from segany.engine.tasks import OPEN
from segany.masks import RLE, rle_iou_matrix
from segany.predict import ImageEmbedding, Predictor
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Thresholds
from segany.schema import Annotation, Image
from segany.store import Store

__all__ = [
    "GOOD",
    "LEARNED",
    "Finished",
    "evidence_of",
    "finished_images",
    "propose",
    "without_doubles",
    "would_be_accepted",
]

GOOD = 0.85
"""IoU from which on two masks are the same outline: people agree with each other at .85 to .91 (SAM paper, sec. 5)."""

LEARNED = Thresholds(pred_iou_thresh=0.6, stability_score_thresh=0.8)
"""What masks must pass once it was learned which ones people accept.

The paper's thresholds suit photos. Of nuclei and leaves in the eight images of a benchmark's last round, 45 % had a
mask of IoU .85 among those that pass them, and 64 % among those that pass these; lower ones bring nothing.
"""


class Finished(NamedTuple):
    """An image that a person has finished.

    Attributes:
        record: Its number.
        accepted: Masks that people accepted or drew.
        undecided: Masks that are kept, and that nobody looked at.
    """

    record: int
    accepted: list[RLE]
    undecided: list[RLE]


def propose(
    predictor: Predictor, image: Image, thresholds: Thresholds, *, points_per_side: int = 32
) -> list[Annotation]:
    """Everything in an image.

    Args:
        predictor: The model in use.
        image: Which.
        thresholds: What masks must pass.
        points_per_side: Clicks along each side.
    """
    generator = AutomaticMaskGenerator(predictor, GridSettings(points_per_side=points_per_side))
    return list(generator.generate(image, thresholds).annotations)


def evidence_of(embedding: ImageEmbedding, masks: Sequence[Annotation]) -> NDArray[np.float64]:
    """[N, C] float64: `mask_evidence` of automatic masks, at least one.

    Args:
        embedding: Of their image.
        masks: With scores, and with pixels.
    """
    return mask_evidence(
        mask_features(embedding, [one.segmentation for one in masks]),
        [float(one.predicted_iou or 0.0) for one in masks],
        [float(one.stability_score or 0.0) for one in masks],
        [one.area / one.segmentation.size.area for one in masks],
    )


def without_doubles(masks: Sequence[RLE], chances: Sequence[float], overlap_thresh: float) -> list[int]:
    """Places of the masks that overlap no likelier one by more than this IoU, the likeliest first.

    Args:
        masks: N masks of one image.
        chances: N probabilities.
        overlap_thresh: IoU, 0 to 1.
    """
    if not masks:
        return []
    overlap = rle_iou_matrix(masks, masks) > overlap_thresh
    taken: list[int] = []
    for place in np.argsort(-np.asarray(chances), kind="stable").tolist():
        if not overlap[place, taken].any():
            taken.append(place)
    return taken


def would_be_accepted(masks: Sequence[Annotation], image: Finished) -> list[bool | None]:
    """Whether each mask is the outline of something that people accepted in its image.

    Args:
        masks: Of the image.
        image: What is known of it.

    Returns:
        None for what shows the object of a mask that nobody looked at: nobody has said what it is worth.
    """
    best = _best_overlap(masks, image.accepted)
    open_ones = _best_overlap(masks, image.undecided)
    return [
        bool(iou >= GOOD) if iou >= other or other <= SAME_OBJECT else None
        for iou, other in zip(best, open_ones, strict=True)
    ]


def finished_images(store: Store) -> Iterator[Finished]:
    """Images that a person has finished, the highest number first.

    In a finished image all that is wanted has a mask: the person decided on what was shown, and added what was missing.

    Args:
        store: Whose.
    """
    for stored in store.records.iterate(store.jobs.record_ids([OPEN], ["done"])[::-1]):
        objects = stored.record.objects
        yield Finished(
            stored.id,
            [one.segmentation for one in objects if one.review_state == "accepted"],
            [one.segmentation for one in objects if one.review_state in ("unreviewed", "flagged")],
        )


def _best_overlap(masks: Sequence[Annotation], others: Sequence[RLE]) -> list[float]:
    if not masks or not others:
        return [0.0] * len(masks)
    return [float(iou) for iou in rle_iou_matrix([one.segmentation for one in masks], others).max(axis=1)]
