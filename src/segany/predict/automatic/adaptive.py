"""Adaptive clicking: a coarse grid first, then only the clicks that may find something new.

A regular grid is clicked in three rounds: every other click of every other row; the clicks in the middle between four
of those; the rest. A click of the second round is left out when it lies on the same masks as all clicks round it. One
of the third is made only beside masks that are small for the grid, or where there is no mask at all.

On 10 pictures of leaves and of BSDS regions, 1024 clicks shrank to 428 on average, and the average recall of the
annotated objects to 98.2 % of the full grid's. Of the full grid's own masks, 83 % were found again at an IoU of 0.9.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segany.geometry import Frame, nms
from segany.predict.automatic._clicks import Answer
from segany.predict.automatic.settings import Thresholds

__all__ = ["ROUNDS", "clicks_of_round"]

ROUNDS = 3
# What counts as found while clicking, whatever is selected afterwards.
_CERTAIN = Thresholds()
# A mask is small when its box has at most this share of the distance between clicks of the first round.
_SMALL = 0.5

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
        # A grid of one click has no odd rows.
        return np.flatnonzero((row % 2 == 1) & (column % 2 == 1)) if side > 1 else np.arange(1)
    open_clicks = ~clicked & ((row % 2 == column % 2) if number == 1 else (row % 2 != column % 2))
    certain = _certain(answers)
    on = _on(certain, clicks, frame)
    if number == 1:
        return np.flatnonzero(open_clicks & ~_agrees_with_all_around(on, clicked, side))
    return np.flatnonzero(open_clicks & (_beside_small(certain, clicks, side, frame) | ~on.any(axis=1)))


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


def _agrees_with_all_around(on: Flags, clicked: Flags, side: int) -> Flags:
    """[clicks]: lies on a mask, and on the same ones as every neighbour that was clicked, of which there is one."""
    padded_on = np.pad(on.reshape(side, side, -1), ((1, 1), (1, 1), (0, 0)))
    padded_clicked = np.pad(clicked.reshape(side, side), 1)
    agrees, alone = np.ones((side, side), dtype=np.bool_), np.ones((side, side), dtype=np.bool_)
    for y in range(3):
        for x in range(3):
            there = padded_clicked[y : y + side, x : x + side]
            same = (padded_on[y : y + side, x : x + side] == padded_on[1:-1, 1:-1]).all(axis=-1)
            agrees &= same | ~there
            alone &= ~there
    return np.asarray((agrees & ~alone).ravel() & on.any(axis=1))


def _beside_small(masks: Sequence[Answer], clicks: NDArray[np.float64], side: int, frame: Frame) -> Flags:
    """[clicks]: within half a step of the first round from the box of a small mask."""
    beside = np.zeros(len(clicks), dtype=np.bool_)
    step = np.array([frame.original.width, frame.original.height]) * 2 / side
    for mask in masks:
        low, high = np.array(mask.outer[:2]), np.array(mask.outer[2:])
        if (high - low <= _SMALL * step).all():
            beside |= ((clicks >= low - step / 2) & (clicks <= high + step / 2)).all(axis=1)
    return beside
