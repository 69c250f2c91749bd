"""Adaptive clicking: a coarse grid first, then only the clicks that may find something new.

Of a regular grid, every other click is made at first, as on a checkerboard. Then those between are made beside masks
that are small for the grid and where there is no mask at all; or everywhere, where most masks are so small that one or
two clicks are all they get.

Average recall of annotated objects, as a share of the full grid's, with 634 instead of 1024 clicks a picture: 99.5 % on
12 COCO pictures, 97.6 % on 6 of leaves, 98.4 % on 6 of BSDS, 104 % on 6 of litter under water, but 94.0 % on 10 of cell
nuclei; means over pictures. Leaving out clicks of the first round too, where all around lie on the same masks, took 423
clicks, and kept 95 % on leaves and BSDS and 84 % on nuclei.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segany.geometry import Frame, nms
from segany.predict.automatic._clicks import Answer
from segany.predict.automatic.settings import Thresholds

__all__ = ["ROUNDS", "clicks_of_round"]

ROUNDS = 2
# What counts as found while clicking, whatever is selected afterwards.
_CERTAIN = Thresholds()
# A mask is small when its box has at most this share of the distance between two clicks of a row in the first round.
_SMALL = 0.5
# So many masks of at most this size, and half of all, and the image is full of small things.
_MANY, _SMALLISH = 24, 1.5

Flags = NDArray[np.bool_]


def clicks_of_round(
    number: int, clicks: NDArray[np.float64], clicked: Flags, answers: Sequence[Answer], frame: Frame
) -> NDArray[np.int64]:
    """Which clicks of a square grid to make in a round.

    Args:
        number: Of the round, from 0.
        clicks: [n * n, 2] (x, y), row by row, pixels of the region.
        clicked: [n * n] bool, the clicks made so far.
        answers: What they found.
        frame: Where the region lies in the model's input.

    Returns:
        [K] int64, indexes into `clicks`.
    """
    side = round(len(clicks) ** 0.5)
    row, column = np.divmod(np.arange(len(clicks)), side)
    if number == 0:
        return np.flatnonzero(row % 2 == column % 2)
    certain = _certain(answers)
    step = np.array([frame.original.width, frame.original.height]) * 2 / side
    small = sum(_is_small(mask, _SMALLISH * step) for mask in certain)
    if small >= _MANY and 2 * small >= len(certain):
        return np.flatnonzero(~clicked)
    on_none = ~_on(certain, clicks, frame).any(axis=1)
    return np.flatnonzero(~clicked & (_beside_small(certain, clicks, step) | on_none))


def _certain(answers: Sequence[Answer]) -> list[Answer]:
    """Masks that pass without duplicates, told from low resolution."""
    passing = [
        one
        for one in answers
        if one.iou_prediction > _CERTAIN.pred_iou_thresh and one.stability >= _CERTAIN.stability_score_thresh
    ]
    boxes = np.array([one.outer for one in passing], dtype=np.float64).reshape(-1, 4)
    return [passing[k] for k in nms(boxes, [one.iou_prediction for one in passing], _CERTAIN.box_nms_thresh)]


def _on(masks: Sequence[Answer], clicks: NDArray[np.float64], frame: Frame) -> Flags:
    """[clicks, masks]: whether a click lies on a mask."""
    on = np.zeros((len(clicks), len(masks)), dtype=np.bool_)
    points = frame.to_model(clicks)
    for number, mask in enumerate(masks):
        window = mask.window
        x = (points[:, 0] * window.side.width / frame.padded.width).astype(np.int64) - window.corner[1]
        y = (points[:, 1] * window.side.height / frame.padded.height).astype(np.int64) - window.corner[0]
        height, width = window.cells.shape
        within = np.flatnonzero((x >= 0) & (x < width) & (y >= 0) & (y < height))
        on[within, number] = window.cells[y[within], x[within]] > 0
    return on


def _beside_small(masks: Sequence[Answer], clicks: NDArray[np.float64], step: NDArray[np.float64]) -> Flags:
    """[clicks]: within half a step of the first round from the box of a small mask."""
    beside = np.zeros(len(clicks), dtype=np.bool_)
    for mask in masks:
        if _is_small(mask, _SMALL * step):
            low, high = np.array(mask.outer[:2]), np.array(mask.outer[2:])
            beside |= ((clicks >= low - step / 2) & (clicks <= high + step / 2)).all(axis=1)
    return beside


def _is_small(mask: Answer, most: NDArray[np.float64]) -> bool:
    """Whether a mask's box is at most so wide and high."""
    return bool((np.subtract(mask.outer[2:], mask.outer[:2]) <= most).all())
