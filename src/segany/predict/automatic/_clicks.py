"""Clicking through one crop: in which order, for how long, and which answers are kept."""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segany.geometry import Size
from segany.masks import LogitWindow

__all__ = ["MASK_OVERHEAD", "Answer", "Clock", "Kept", "Progress", "spread_order"]

# Called with the clicks made, the clicks in all (fewer, once some are left out), and the seconds that the rest should
# take.
Progress = Callable[[int, int, float], None]
# What Python needs for a kept mask beside its logits, bytes.
MASK_OVERHEAD = 1000

# What is kept of a mask that is to be drawn again: every fourth logit of every fourth row, as `Backend.sample` has
# them; and what stands for those that lie outside its window.
_STEP, _FAR_OUTSIDE = 4, -32.0

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

    @property
    def can_shrink(self) -> bool:
        """Whether it takes less memory when it is drawn again later."""
        return self.is_drawn and self.window.cells.size > (self.window.side.height // _STEP) * (
            self.window.side.width // _STEP
        )

    def shrunk(self) -> "Answer":
        """The same with a sample of its logits, to be drawn again when it is wanted."""
        window = self.window
        (top, left), (height, width) = window.corner, window.cells.shape
        whole = np.full(window.side, _FAR_OUTSIDE, dtype=np.float32)
        whole[top : top + height, left : left + width] = window.cells
        sample = whole[_STEP // 2 :: _STEP, _STEP // 2 :: _STEP].copy()
        return replace(self, window=LogitWindow(sample, (0, 0), Size(*sample.shape), (0, 0, 0, 0)), is_drawn=False)


class Kept:
    """Answers of one crop within a budget of bytes."""

    def __init__(self, max_bytes: int) -> None:
        """Keep answers of up to so many bytes in all; at least one."""
        self._max_bytes = max_bytes
        self._answers: dict[_Rank, Answer] = {}
        # Heaps, the least sure answer first: of those that can shrink, and of all.
        self._large: list[_Rank] = []
        self._all: list[_Rank] = []
        self._best_forgotten: _Rank | None = None
        self.nbytes = 0
        self.forgotten = 0

    def add(self, answer: Answer) -> None:
        """Keep an answer; if it is too much, shrink those of lowest predicted IoU, and if that is, forget them."""
        rank = (answer.iou_prediction, -answer.click, -answer.level)
        if self._best_forgotten is not None and rank < self._best_forgotten:
            # There may be room, but a better one had to go before.
            self.forgotten += 1
            return
        self._answers[rank] = answer
        heapq.heappush(self._all, rank)
        if answer.can_shrink:
            heapq.heappush(self._large, rank)
        self.nbytes += answer.nbytes
        while self.nbytes > self._max_bytes and self._large:
            least = heapq.heappop(self._large)
            if least in self._answers:
                self.nbytes -= self._answers[least].nbytes
                self._answers[least] = self._answers[least].shrunk()
                self.nbytes += self._answers[least].nbytes
        while self.nbytes > self._max_bytes and len(self._answers) > 1:
            self._best_forgotten = heapq.heappop(self._all)
            self.nbytes -= self._answers.pop(self._best_forgotten).nbytes
            self.forgotten += 1

    def ranked(self) -> list[Answer]:
        """From the highest predicted IoU to the lowest, ties by click."""
        return [self._answers[rank] for rank in sorted(self._answers, reverse=True)]


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
