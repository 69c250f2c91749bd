"""Interval: a mean with the range that chance leaves it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segany.errors import ConfigError

__all__ = ["Interval", "mean_interval", "percentile_interval"]


@dataclass(frozen=True)
class Interval:
    """A mean and its bootstrap interval.

    Attributes:
        mean: Over all values.
        low: Lower end.
        high: Upper end.
        n: How many values.
    """

    mean: float
    low: float
    high: float
    n: int

    def points(self) -> str:
        """In percentage points, as tables have it: "84.1 (82.9 to 85.2)"."""
        return f"{self.mean * 100:.1f} ({self.low * 100:.1f} to {self.high * 100:.1f})"


def mean_interval(
    values: ArrayLike, groups: Sequence[str], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Mean with a percentile bootstrap interval; whole groups are drawn, as objects of one image are not independent.

    For a paired comparison give the differences.

    Args:
        values: [N], at least one.
        groups: N names: the image of each value.
        level: How much of the bootstrap's means the interval holds, between 0 and 1.
        resamples: How often to draw.
        seed: Of the random draws: the same call gives the same interval.

    Raises:
        ConfigError: No values, lengths that differ, or a level outside 0 to 1.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or len(numbers) == 0 or len(numbers) != len(groups):
        raise ConfigError(
            f"a mean needs values [N] and as many groups, N >= 1, got {list(numbers.shape)} and {len(groups)}."
        )
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, got {level:g}.")
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(places, weights=numbers)
    counts = np.bincount(places)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    means = (draws @ sums) / (draws @ counts)
    return percentile_interval(float(numbers.mean()), means, len(numbers), level)


def percentile_interval(value: float, draws: NDArray[np.float64], n: int, level: float = 0.95) -> Interval:
    """Interval that holds the middle of a bootstrap's draws.

    Args:
        value: The figure itself.
        draws: [R] the figure of each draw; NaN where a draw has none.
        n: How many values the figure is of.
        level: How much of the draws the interval holds, between 0 and 1.

    Returns:
        An interval whose ends are NaN when no draw has a value.
    """
    kept = draws[np.isfinite(draws)]
    if len(kept) == 0:
        return Interval(value, float("nan"), float("nan"), n)
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), n)
