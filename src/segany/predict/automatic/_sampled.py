"""Masks known by a sample, one logit in sixteen, and drawn when somebody needs them.

Of some 2,000 masks of a grid of clicks about 100 are kept, and the sample tells of most others that a better one stands
in their place. A mask that is drawn later is scored once more: that costs less than keeping what drawing needs of all.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from segany.geometry import Frame
from segany.masks import LogitWindow

__all__ = ["DrawnLater", "SampleBounds", "sample_bounds"]

# How far, in steps of the sample, a side of a mask's box was from where the sample had it, but for specks far from the
# rest. Those mostly show in the sample as logits not far below 0: of 2,343 stable masks of nine images, 0.3 % reached
# farther than two steps beyond the samples above this level.
_STEP_SLACK = 0.25
_SPECKS_ABOVE = -0.3
# How far the stability score was from the sample's, by the number of samples above the lower threshold.
_STABILITY_SLACK = ((1024, 0.03), (64, 0.06), (0, 0.14))
# Masks of fewer samples are better drawn at once.
_FEW = 12


class SampleBounds(NamedTuple):
    """What samples tell of K masks.

    Attributes:
        stability: [K] float64, an estimate.
        slack: [K] float64, how much higher it may be.
        inner: [K, 4] int64, XYXY with inclusive maxima, pixels of the region: no larger than the mask's box.
        outer: [K, 4] int64, no smaller.
        told: [K] bool, False for a mask so small that the sample tells nothing of it.
    """

    stability: NDArray[np.float64]
    slack: NDArray[np.float64]
    inner: NDArray[np.int64]
    outer: NDArray[np.int64]
    told: NDArray[np.bool_]


def sample_bounds(samples: NDArray[np.float32], frame: Frame, offset: float) -> SampleBounds:
    """Bound stability and box of masks.

    Args:
        samples: [K, s, s] float32 logits, evenly spaced over the model's padded input.
        frame: Where the region lies in that input.
        offset: Of the stability score, in logits.
    """
    flat = samples.reshape(len(samples), -1)
    low, high = (np.count_nonzero(flat > bound, axis=1) for bound in (-offset, offset))
    stability = np.divide(high, low, out=np.zeros(len(low)), where=low > 0)
    slack = np.empty(len(low))
    for count, value in reversed(_STABILITY_SLACK):
        slack[low >= count] = value
    inner = _box(samples, 0.0, _STEP_SLACK, frame)
    outer = _box(samples, _SPECKS_ABOVE, -_STEP_SLACK, frame)
    told = (np.count_nonzero(flat > 0, axis=1) >= _FEW) & (inner[:, :2] <= inner[:, 2:]).all(axis=1)
    return SampleBounds(stability, slack, inner, outer, told)


def _box(samples: NDArray[np.float32], level: float, narrower: float, frame: Frame) -> NDArray[np.int64]:
    """[K, 4] of the samples above a level, each side moved in by some steps."""
    across, down = (_crossings(samples.max(axis=axis) - level) for axis in (1, 2))
    edges = np.stack([across[0], down[0], across[1], down[1]], axis=1)
    return _to_pixels(edges + np.array([1, 1, -1, -1]) * narrower, samples.shape[1:], frame)


def _crossings(maxima: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where rows of logits [K, s] first rise above 0 and last fall below it, between the samples, in steps."""
    side = maxima.shape[1]
    positive = maxima > 0
    found = []
    for row, above in ((maxima, positive), (maxima[:, ::-1], positive[:, ::-1])):
        at = above.argmax(axis=1)
        inside = np.take_along_axis(row, at[:, None], 1)[:, 0].astype(np.float64)
        outside = np.take_along_axis(row, np.maximum(at - 1, 0)[:, None], 1)[:, 0].astype(np.float64)
        share = np.divide(inside, inside - outside, out=np.full(len(at), 0.5), where=(at > 0) & (inside > outside))
        found.append(at - np.where(at > 0, share, 1.0))
    return found[0], side - 1 - found[1]


def _to_pixels(edges: NDArray[np.float64], side: tuple[int, ...], frame: Frame) -> NDArray[np.int64]:
    """Boxes in steps of the sample to the pixels of the region whose centres lie in them."""
    # A sample stands in the middle of the third of four pixels.
    step = np.array([frame.padded.width / side[1], frame.padded.height / side[0]] * 2)
    scale = np.array([*frame.scale[::-1]] * 2)
    place = (edges + 0.625) * step / scale
    size = np.array([frame.original.width, frame.original.height] * 2)
    pixels: NDArray[np.int64] = np.clip(np.round(place - 0.5), 0, size - 1).astype(np.int64)
    return pixels


class DrawnLater(Sequence[LogitWindow]):
    """Windows that are drawn when they are asked for, best many at a time."""

    def __init__(
        self, count: int, draw: Callable[[Sequence[int]], Iterable[LogitWindow]], room: int | None = None
    ) -> None:
        """Take the number of windows, what draws those of some numbers, and bytes for those that are drawn later."""
        self._count = count
        self._draw = draw
        self._room = room
        self._drawn: dict[int, LogitWindow] = {}
        # Those of them that were drawn later, the earliest first.
        self._later: dict[int, int] = {}

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Draw those of them that are not drawn yet; others that were drawn later may go for them."""
        missing = [number for number in numbers if number not in self._drawn]
        if missing:
            self.trim()
            self._drawn.update(zip(missing, self._draw(missing), strict=True))
            self._later.update((number, self._drawn[number].cells.nbytes) for number in missing)

    def trim(self) -> None:
        """Give back what was drawn later and has no room."""
        excess = 0 if self._room is None else sum(self._later.values()) - self._room
        while excess > 0 and self._later:
            number = next(iter(self._later))
            excess -= self._later.pop(number)
            del self._drawn[number]

    def has(self, number: int) -> bool:
        """Whether one is drawn."""
        return number in self._drawn

    def put(self, number: int, window: LogitWindow) -> None:
        """Take one that is drawn already."""
        self._drawn[number] = window

    @property
    def nbytes(self) -> int:
        """Memory that the drawn ones take, in bytes."""
        return sum(window.cells.nbytes for window in self._drawn.values())

    def __len__(self) -> int:
        """How many windows there are, drawn or not."""
        return self._count

    @overload
    def __getitem__(self, index: int) -> LogitWindow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LogitWindow]: ...
    def __getitem__(self, index: int | slice) -> LogitWindow | Sequence[LogitWindow]:
        """One window, or several."""
        numbers = range(self._count)[index]
        if isinstance(numbers, int):
            self.prefetch([numbers])
            return self._drawn[numbers]
        self.prefetch(numbers)
        return [self._drawn[number] for number in numbers]
