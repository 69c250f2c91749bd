"""Filters and greedy non-maximum suppression of one crop's masks, of which little is known until it matters.

A mask is known by a sample, or drawn at low resolution, or enlarged; each step costs more than the one before and
bounds its box and stability more tightly. Whoever can be told to fail goes at once; only the best that is left is
drawn, then enlarged, and decided. The answer is that of greedy suppression over the boxes at full size.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from segany.geometry import nms
from segany.predict.automatic._enlarged import EnlargedMask
from segany.predict.automatic._measure import measure
from segany.predict.automatic._sampled import DrawnLater
from segany.predict.automatic._suppress import inclusive, overlap, touches_inner_edge
from segany.predict.automatic.crop import CropProposals
from segany.predict.automatic.settings import Thresholds

__all__ = ["greedy"]

# Masks that are drawn together, and among how many of the best they are looked for.
_TOGETHER = 32
_AHEAD = 400
_AT_LEAST = 8


def greedy(
    crop: CropProposals,
    whole: NDArray[np.int64],
    wanted: Thresholds,
    offset: float,
    full: Callable[[int], EnlargedMask],
) -> Iterator[tuple[int, EnlargedMask]]:
    """The masks that pass without duplicates, from the highest predicted IoU to the lowest.

    Args:
        crop: The masks.
        whole: [4] XYXY, the whole image.
        wanted: What to keep.
        offset: Of the stability score, in logits.
        full: Enlarges the mask of an index.
    """
    contest = _Contest(crop, wanted, offset)
    try:
        yield from _decide(contest, crop, whole, wanted, full)
    finally:
        if isinstance(crop.windows, DrawnLater):
            crop.windows.trim()


def _decide(
    contest: "_Contest",
    crop: CropProposals,
    whole: NDArray[np.int64],
    wanted: Thresholds,
    full: Callable[[int], EnlargedMask],
) -> Iterator[tuple[int, EnlargedMask]]:
    while len(contest.alive):
        best = int(contest.alive[0])
        if not contest.is_drawn[best]:
            contest.draw_ahead()
            continue
        contest.alive = contest.alive[1:]
        mask = full(best)
        if mask.rle.area == 0 or mask.stability < wanted.stability_score_thresh:
            continue
        box = inclusive(mask.rle.box)
        if contest.in_doubt[best] and contest.overlaps_kept(box):
            continue
        if touches_inner_edge(box, crop.box, whole):
            continue
        yield best, mask
        contest.keep(box)


class _Contest:
    """What is known of the masks that are left, in the order of their scores.

    Attributes:
        alive: [A] int64, those not decided.
        is_drawn: [K] bool.
        in_doubt: [K] bool, whether their box may overlap a kept one.
    """

    def __init__(self, crop: CropProposals, wanted: Thresholds, offset: float) -> None:
        self._crop, self._wanted, self._offset = crop, wanted, offset
        self._shift = np.array(crop.box[:2] * 2)
        self._inner, self._outer = crop.inner + self._shift, crop.outer + self._shift
        self._kept = np.empty((0, 4), dtype=np.int64)
        count = len(crop.windows)
        self.in_doubt = np.zeros(count, dtype=np.bool_)
        self.is_drawn = np.ones(count, dtype=np.bool_)
        if isinstance(crop.windows, DrawnLater):
            self.is_drawn = np.array([crop.windows.has(number) for number in range(count)], dtype=np.bool_)
        passing = crop.stability >= wanted.stability_score_thresh - crop.stability_slack
        if wanted.pred_iou_thresh > 0:
            passing &= crop.iou_predictions > wanted.pred_iou_thresh
        self.alive = np.flatnonzero(passing)

    def draw_ahead(self) -> None:
        """Draw the best mask that is left, and those after it that no other is likely to put out."""
        assert isinstance(self._crop.windows, DrawnLater)
        ahead = self.alive[:_AHEAD]
        boxes = (self._inner[ahead] + self._outer[ahead]) / 2
        likely = ahead[np.sort(nms(boxes, -np.arange(len(ahead)), self._wanted.box_nms_thresh))]
        # A few prompts cost as much as these: whoever comes next may as well be drawn.
        wishes = dict.fromkeys([*likely[~self.is_drawn[likely]].tolist(), *ahead[~self.is_drawn[ahead]].tolist()])
        chosen = np.array(list(wishes)[: max(_AT_LEAST, min(_TOGETHER, len(likely)))])
        self._crop.windows.prefetch(chosen.tolist())
        failed = [number for number in chosen.tolist() if not self._tighten(number)]
        self.is_drawn[chosen] = True
        does, may = overlap(self._kept, self._inner[chosen], self._outer[chosen], self._wanted.box_nms_thresh)
        self.in_doubt[chosen] = may.any(axis=0)
        self.alive = self.alive[~np.isin(self.alive, [*failed, *chosen[does.any(axis=0)].tolist()])]

    def _tighten(self, number: int) -> bool:
        """Bound a mask that has just been drawn; whether it may still pass."""
        measured = measure(self._crop.windows[number], self._crop.frame, self._offset)
        self._inner[number] = measured.inner + self._shift
        self._outer[number] = measured.outer + self._shift
        return not measured.is_empty and measured.stability >= self._wanted.stability_score_thresh - measured.slack

    def overlaps_kept(self, box: tuple[int, int, int, int]) -> bool:
        """Whether a box at full size overlaps a kept one."""
        exact = np.array([box])
        does, _ = overlap(self._kept, exact, exact, self._wanted.box_nms_thresh)
        return bool(does.any())

    def keep(self, box: tuple[int, int, int, int]) -> None:
        """Keep a box: what surely overlaps it goes."""
        kept = np.array([box])
        self._kept = np.concatenate([self._kept, kept])
        does, may = overlap(kept, self._inner[self.alive], self._outer[self.alive], self._wanted.box_nms_thresh)
        self.in_doubt[self.alive] |= may[0]
        self.alive = self.alive[~does[0]]
