"""Which masks to draw while what drawing needs of them is still at hand: those that nothing found so far puts out.

It saves scoring them again later, which costs six times as much as drawing. Whatever is drawn or not, the selection
comes to the same masks.
"""

import numpy as np
from numpy.typing import NDArray

from segany.geometry import box_iou, nms
from segany.predict.automatic._clicks import Answer
from segany.predict.automatic._sampled import SampleBounds
from segany.predict.automatic.settings import Thresholds

__all__ = ["Contenders"]


# How far beyond the threshold, on the way to 1, boxes have to overlap for one mask to put out the other, as nearly as a
# sample tells. Of 2/3, the threshold itself and 5/6, and of all or half the slack below, these cost least on three
# images.
_BEYOND = 2 / 3


class Contenders:
    """The drawn masks of one crop that pass, as far as is known."""

    def __init__(self, thresholds: Thresholds) -> None:
        """Expect that masks will be selected by these thresholds."""
        self._thresholds = thresholds
        self._boxes = np.empty((0, 4))
        self._scores = np.empty(0)

    def choose(self, scores: NDArray[np.float32], bounds: SampleBounds) -> NDArray[np.bool_]:
        """Which of K new masks to draw now: [K] bool."""
        boxes = (bounds.inner + bounds.outer) / 2
        promising = bounds.stability + bounds.slack >= self._thresholds.stability_score_thresh
        promising &= scores > self._thresholds.pred_iou_thresh
        threshold = self._thresholds.box_nms_thresh
        threshold += _BEYOND * (1 - threshold)
        rivals = box_iou(self._boxes, boxes) > threshold
        promising &= ~(rivals & (self._scores[:, None] > scores)).any(axis=0)
        places = np.flatnonzero(promising)
        best = places[nms(boxes[places], scores[places], threshold)]
        chosen = ~bounds.told
        chosen[best] = True
        return chosen

    def add(self, answer: Answer) -> None:
        """Take one that was drawn."""
        if answer.stability >= self._thresholds.stability_score_thresh:
            box = (np.array(answer.inner) + answer.outer) / 2
            self._boxes = np.concatenate([self._boxes, box[None]])
            self._scores = np.append(self._scores, answer.iou_prediction)
