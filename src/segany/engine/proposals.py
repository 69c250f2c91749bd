"""Proposals: masks of everything in an image, with what is known of each before anybody looks."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from segany.engine.confidence import mask_evidence
from segany.engine.features import mask_features
from segany.engine.tasks import OPEN
from segany.masks import RLE, rle_iou_matrix
from segany.predict import ImageEmbedding, Predictor
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Thresholds
from segany.schema import Annotation, Image
from segany.store import Store

__all__ = ["GOOD", "LEARNED", "evidence_of", "finished_images", "propose", "without_doubles", "would_be_accepted"]

GOOD = 0.85
"""IoU from which on two masks are the same outline: people agree with each other at .85 to .91 (SAM paper, sec. 5)."""

LEARNED = Thresholds(pred_iou_thresh=0.6, stability_score_thresh=0.8)
"""What masks must pass once it was learned which ones people accept.

The paper's thresholds suit photos. Of nuclei and leaves in ten images of a benchmark's last round, 45 % had a mask of
IoU .85 among those that pass them, and 64 % among those that pass these; lower ones bring nothing.
"""


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


def would_be_accepted(masks: Sequence[Annotation], accepted: Sequence[RLE]) -> list[bool]:
    """Whether each mask is the outline of something that people accepted in its image.

    Args:
        masks: Of the image.
        accepted: All that people accepted in it.
    """
    if not masks or not accepted:
        return [False] * len(masks)
    best = rle_iou_matrix([one.segmentation for one in masks], accepted).max(axis=1)
    return [bool(iou >= GOOD) for iou in best]


def finished_images(store: Store) -> Iterator[tuple[int, list[RLE]]]:
    """Records whose image a person has finished, the highest number first, and what was accepted there.

    In a finished image all that is wanted has a mask: the person decided on what was shown, and added what was missing.

    Args:
        store: Whose.
    """
    for stored in store.records.iterate(store.jobs.record_ids([OPEN], ["done"])[::-1]):
        accepted = [one.segmentation for one in stored.record.objects if one.review_state == "accepted"]
        yield stored.id, accepted
