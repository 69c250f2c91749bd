"""Non-maximum suppression, greedy by score; the semantic of `torchvision.ops.nms`, in numpy."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segany.errors import InputError
from segany.geometry.boxes import as_boxes

__all__ = ["batched_nms", "nms"]


def nms(boxes: ArrayLike, scores: ArrayLike, iou_threshold: float) -> NDArray[np.int64]:
    """Keep the best boxes: from the highest score on, drop each box whose IoU with a kept one is above the threshold.

    Equal scores keep the order they came in. Areas and IoU are computed in float32 for float32 boxes and in
    float64 otherwise. A box without area suppresses nothing and is not suppressed.

    Args:
        boxes: [N, 4] XYXY.
        scores: [N].
        iou_threshold: Drop where IoU > threshold.

    Returns:
        [K] indexes of the kept boxes, by decreasing score.

    Raises:
        InputError: Boxes and scores do not fit together, or a score is not a number.
    """
    given = as_boxes(boxes)
    rank = _by_score(given, scores)
    floats = given if given.dtype == np.float32 else given.astype(np.float64)
    return _suppress(floats, rank, iou_threshold)


def batched_nms(boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike, iou_threshold: float) -> NDArray[np.int64]:
    """NMS within each class: boxes of different classes never suppress each other.

    Args:
        boxes: [N, 4] XYXY.
        scores: [N].
        classes: [N], any values that can be compared.
        iou_threshold: Drop where IoU > threshold.

    Returns:
        [K] indexes of the kept boxes of all classes, by decreasing score.

    Raises:
        InputError: As `nms`, or the number of classes differs.
    """
    given = as_boxes(boxes)
    rank = _by_score(given, scores)
    labels = np.asarray(classes)
    if labels.shape != (len(given),):
        raise InputError(f"NMS needs one class per box, got {list(labels.shape)} classes for {len(given)} boxes.")
    floats = given if given.dtype == np.float32 else given.astype(np.float64)
    kept = np.zeros(len(given), dtype=bool)
    ranked_labels = labels[rank]
    for label in np.unique(labels):
        kept[_suppress(floats, rank[ranked_labels == label], iou_threshold)] = True
    return rank[kept[rank]]


def _by_score(boxes: NDArray[Any], scores: ArrayLike) -> NDArray[np.int64]:
    """Indexes by decreasing score, ties in the order they came."""
    values = np.asarray(scores, dtype=np.float64)
    if boxes.ndim != 2 or values.shape != (len(boxes),):
        raise InputError(
            f"NMS needs boxes [N, 4] and one score per box, got {list(boxes.shape)} and {list(values.shape)}."
        )
    if np.isnan(values).any():
        raise InputError("NMS needs scores that are numbers, got NaN; remove those boxes first.")
    return np.argsort(-values, kind="stable").astype(np.int64)


def _suppress(boxes: NDArray[Any], rank: NDArray[np.int64], iou_threshold: float) -> NDArray[np.int64]:
    # A float64 scalar makes numpy compare float32 IoU in float64, as torchvision does.
    threshold = np.float64(iou_threshold)
    x0, y0, x1, y1 = (np.ascontiguousarray(side) for side in np.asarray(boxes[rank]).T)
    areas = (x1 - x0) * (y1 - y0)
    remaining = np.arange(len(rank))
    kept: list[int] = []
    with np.errstate(invalid="ignore", divide="ignore"):
        while len(remaining):
            best, remaining = remaining[0], remaining[1:]
            kept.append(int(best))
            width = np.minimum(x1[best], x1[remaining]) - np.maximum(x0[best], x0[remaining])
            height = np.minimum(y1[best], y1[remaining]) - np.maximum(y0[best], y0[remaining])
            shared = np.maximum(width, 0) * np.maximum(height, 0)
            iou = shared / (areas[best] + areas[remaining] - shared)
            # Written as "not above" so that 0 / 0 of two boxes without area keeps both.
            remaining = remaining[~(iou > threshold)]
    return rank[np.array(kept, dtype=np.int64)]
