"""Metrics: rows in, a figure with its interval out, in the vocabulary of torchmetrics: update, compute, reset.

A row holds what was measured of one object (or of one image): column -> value. Intervals are bootstraps over images:
what is drawn again and again are whole images, as the objects of one image are not independent.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segany.evaluate.intervals import Interval, percentile_interval

__all__ = ["RESAMPLES", "Mean", "Metric", "Ratio", "Resampled", "Row", "Value"]

Value = str | int | float | bool | None
Row = Mapping[str, Value]

RESAMPLES = 2000
_FEWEST = 2
# Draws of so many images take 32 MB.
_FEW_IMAGES = 2000


class Metric(ABC):
    """One figure of a report, gathered image by image.

    It reads columns that are written to `items.parquet`, so that two reports can be compared afterwards.

    Attributes:
        unit: "share": from 0 to 1, shown in percent; "number": shown as it is.
        lower_is_better: Whether less of it is better.
    """

    unit: Literal["share", "number"] = "share"
    lower_is_better = False

    @abstractmethod
    def update(self, rows: Sequence[Row]) -> None:
        """Take in the rows of one image, all of them at once."""

    @abstractmethod
    def reset(self) -> None:
        """Forget every image."""

    @property
    @abstractmethod
    def n(self) -> int:
        """How many rows (of those that have a value) the figure is of."""

    @abstractmethod
    def value(self) -> float:
        """The figure; NaN where there is nothing to take it from."""

    @abstractmethod
    def draws(self, seed: int = 0) -> NDArray[np.float64]:
        """The figure for images drawn again with replacement, [RESAMPLES] float64; the same seed, the same draws.

        NaN where fewer than two images count: one image drawn again and again does not tell what chance leaves open.
        """

    def compute(self, seed: int = 0) -> Interval:
        """The figure with its 95 % interval."""
        return percentile_interval(self.value(), self.draws(seed), self.n)


class Ratio(Metric):
    """One column's sum over another's: what is missing (None, NaN) in either counts for nothing."""

    def __init__(
        self,
        numerator: str,
        denominator: str | None = None,
        *,
        unit: Literal["share", "number"] = "share",
        lower_is_better: bool = False,
    ) -> None:
        """Name the columns.

        Args:
            numerator: Column that is summed; true counts as 1.
            denominator: Column that it is divided by the sum of; the number of rows when left out.
            unit: See `Metric`.
            lower_is_better: See `Metric`.
        """
        self._numerator, self._denominator = numerator, denominator
        self.unit, self.lower_is_better = unit, lower_is_better
        self.reset()

    def reset(self) -> None:
        """See `Metric.reset`."""
        self._sums: list[tuple[float, float]] = []
        self._n = 0

    def update(self, rows: Sequence[Row]) -> None:
        """See `Metric.update`."""
        above = below = 0.0
        count = 0
        for row in rows:
            top = _number(row.get(self._numerator))
            bottom = 1.0 if self._denominator is None else _number(row.get(self._denominator))
            if not np.isnan(top) and not np.isnan(bottom):
                above, below, count = above + top, below + bottom, count + 1
        # Kept even if nothing counts: two metrics that saw the same images draw the same ones.
        self._sums.append((above, below))
        self._n += count

    @property
    def n(self) -> int:
        """See `Metric.n`."""
        return self._n

    def value(self) -> float:
        """See `Metric.value`."""
        above, below = (float(np.sum(part)) for part in self._parts())
        return above / below if below else float("nan")

    def draws(self, seed: int = 0) -> NDArray[np.float64]:
        """See `Metric.draws`."""
        above, below = self._parts()
        if np.count_nonzero(below) < _FEWEST:
            return np.full(RESAMPLES, np.nan)
        # All metrics of a small set have the same draws, which take longer than what is made of them.
        counts = (_kept_draws if len(above) <= _FEW_IMAGES else _drawn)(len(above), RESAMPLES, seed)
        sums = counts @ below
        return np.asarray(np.divide(counts @ above, sums, out=np.full(RESAMPLES, np.nan), where=sums > 0))

    def _parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        pairs = np.array(self._sums, dtype=np.float64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]


class Mean(Ratio):
    """The mean of a column; of a column of true and false, the share of true."""

    def __init__(
        self, column: str, *, unit: Literal["share", "number"] = "share", lower_is_better: bool = False
    ) -> None:
        """Name the column; the rest as `Ratio`."""
        super().__init__(column, unit=unit, lower_is_better=lower_is_better)


class Resampled(Metric):
    """Any figure of all images' rows together, computed anew for each draw: AP, ODS, ECE."""

    def __init__(
        self,
        figure: Callable[[Sequence[Sequence[Row]]], float],
        resamples: int = 200,
        *,
        unit: Literal["share", "number"] = "share",
        lower_is_better: bool = False,
    ) -> None:
        """Give the function.

        Args:
            figure: From each image's rows to the figure; an image may come more than once.
            resamples: How often it is computed; the draws are repeated up to `RESAMPLES`.
            unit: See `Metric`.
            lower_is_better: See `Metric`.
        """
        self._figure, self._resamples = figure, resamples
        self.unit, self.lower_is_better = unit, lower_is_better
        self.reset()

    def reset(self) -> None:
        """See `Metric.reset`."""
        self._images: list[tuple[Row, ...]] = []

    def update(self, rows: Sequence[Row]) -> None:
        """See `Metric.update`."""
        self._images.append(tuple(rows))

    @property
    def n(self) -> int:
        """See `Metric.n`."""
        return sum(len(rows) for rows in self._images)

    def value(self) -> float:
        """See `Metric.value`."""
        return self._figure(self._images) if self._images else float("nan")

    def draws(self, seed: int = 0) -> NDArray[np.float64]:
        """See `Metric.draws`."""
        if len(self._images) < _FEWEST:
            return np.full(RESAMPLES, np.nan)
        rng = np.random.default_rng(seed)
        places = rng.integers(len(self._images), size=(self._resamples, len(self._images)))
        values = [self._figure([self._images[place] for place in draw]) for draw in places.tolist()]
        return np.resize(np.array(values, dtype=np.float64), RESAMPLES)


def _drawn(count: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each of `count` images is drawn, [resamples, count]."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    drawn.flags.writeable = False
    return drawn


_kept_draws = lru_cache(maxsize=4)(_drawn)


def _number(value: Value) -> float:
    return float("nan") if value is None or isinstance(value, str) else float(value)
