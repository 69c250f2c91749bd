"""Clicking through one crop: in which order, for how long, and which answers are kept."""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segany.masks import LogitWindow

__all__ = ["MASK_OVERHEAD", "Answer", "Clock", "Kept", "Progress", "spread_order"]

# Called with the clicks made, the clicks in all (fewer, once some are left out), and the seconds that the rest should
# take.
Progress = Callable[[int, int, float], None]
# What Python needs for a kept mask beside its logits, bytes.
MASK_OVERHEAD = 1000

# Predicted IoU, click and level, so that of two equal scores the earlier click is the better one; no two are the same.
_Rank = tuple[float, int, int]


@dataclass(frozen=True, eq=False)
class Answer:
    """One mask that came back; see `CropProposals`.

    Attributes:
        click: Number of the click.
        level: 1 whole, 2 part, 3 subpart.
        iou_prediction: The model's estimate.
        stability: Estimated at low resolution.
        inner: XYXY with inclusive maxima, pixels of the crop: no larger than the enlarged mask's box.
        outer: No smaller.
        window: Its logits; of a mask that is not drawn yet, a sample of them.
        slack: How much higher the stability may be.
        is_drawn: Whether the window holds all its logits.
    """

    click: int
    level: int
    iou_prediction: float
    stability: float
    inner: tuple[int, int, int, int]
    outer: tuple[int, int, int, int]
    window: LogitWindow
    slack: float
    is_drawn: bool = True

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        return self.window.cells.nbytes + MASK_OVERHEAD


class Kept:
    """Answers of one crop within a budget of bytes."""

    def __init__(self, max_bytes: int) -> None:
        """Keep answers of up to so many bytes in all; at least one."""
        self._max_bytes = max_bytes
        # A heap, the least sure answer first.
        self._answers: list[tuple[_Rank, Answer]] = []
        self._best_forgotten: _Rank | None = None
        self.nbytes = 0
        self.forgotten = 0

    def add(self, answer: Answer) -> None:
        """Keep an answer, and forget those of lowest predicted IoU if it is too much."""
        rank = (answer.iou_prediction, -answer.click, -answer.level)
        if self._best_forgotten is not None and rank < self._best_forgotten:
            # There may be room, but a better one had to go before.
            self.forgotten += 1
            return
        heapq.heappush(self._answers, (rank, answer))
        self.nbytes += answer.nbytes
        while self.nbytes > self._max_bytes and len(self._answers) > 1:
            self._best_forgotten, least = heapq.heappop(self._answers)
            self.nbytes -= least.nbytes
            self.forgotten += 1

    def ranked(self) -> list[Answer]:
        """From the highest predicted IoU to the lowest, ties by click."""
        return [answer for _, answer in sorted(self._answers, reverse=True)]


class Clock:
    """Counts clicks, tells progress and says when time is over."""

    def __init__(self, total: int, max_seconds: float | None, progress: Progress | None) -> None:
        """Start.

        Args:
            total: Clicks to make.
            max_seconds: After this time it is over; None for never.
            progress: Told after each group of clicks.
        """
        self.done = 0
        self.total = total
        self._started = time.monotonic()
        self._max_seconds = max_seconds
        self._progress = progress

    def tick(self, clicks: int) -> None:
        """So many more clicks were made."""
        self.done += clicks
        if self._progress is not None:
            spent = time.monotonic() - self._started
            self._progress(self.done, self.total, spent / self.done * (self.total - self.done))

    def leave_out(self, clicks: int) -> None:
        """So many clicks need not be made."""
        self.total -= clicks

    @property
    def is_over(self) -> bool:
        """Whether to stop; never before the first group of clicks, since an answer of nothing helps nobody."""
        late = self._max_seconds is not None and time.monotonic() - self._started > self._max_seconds
        return late and self.done > 0


def spread_order(count: int) -> NDArray[np.int64]:
    """An order of clicks in which every beginning is spread over all of them.

    Steps of the golden ratio (a Kronecker sequence): after any number of clicks the gaps differ little.

    Args:
        count: Number of clicks.

    Returns:
        [count] int64, a permutation.
    """
    golden = (5**0.5 - 1) / 2
    return np.argsort(np.arange(count) * golden % 1.0, kind="stable").argsort(kind="stable").astype(np.int64)
