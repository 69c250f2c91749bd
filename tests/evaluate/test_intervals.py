import numpy as np
import pytest

from segany.errors import ConfigError
from segany.evaluate import mean_interval


def test_the_mean_lies_in_its_interval() -> None:
    values = np.random.default_rng(0).normal(0.7, 0.1, size=200)
    interval = mean_interval(values, [str(k) for k in range(200)])
    assert interval.low < interval.mean < interval.high
    assert interval.mean == pytest.approx(values.mean())
    assert interval.n == 200
    # The standard error is 0.1 / sqrt(200).
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(200), rel=0.2)


def test_values_of_one_group_count_as_one() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=50), 20)
    alone = mean_interval(values, [str(k) for k in range(1000)])
    grouped = mean_interval(values, [str(k // 20) for k in range(1000)])
    assert grouped.mean == alone.mean
    assert (grouped.high - grouped.low) > 3 * (alone.high - alone.low)


def test_the_same_call_gives_the_same_interval() -> None:
    assert mean_interval([0.1, 0.5, 0.9], list("abc")) == mean_interval([0.1, 0.5, 0.9], list("abc"))


def test_a_higher_level_is_wider() -> None:
    values, groups = np.random.default_rng(0).normal(size=60), [str(k) for k in range(60)]
    narrow, wide = mean_interval(values, groups, level=0.5), mean_interval(values, groups, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_as_points() -> None:
    assert mean_interval([0.5, 0.5], list("ab")).points() == "50.0 (50.0 to 50.0)"


def test_refusals() -> None:
    with pytest.raises(ConfigError, match=r"^a mean needs values \[N\] and as many groups, N >= 1, got \[0\] and 0\.$"):
        mean_interval([], [])
    with pytest.raises(ConfigError, match=r"got \[2\] and 3\.$"):
        mean_interval([1, 2], "abc")
    with pytest.raises(ConfigError, match=r"^level must lie between 0 and 1, got 95\.$"):
        mean_interval([1, 2], "ab", level=95)
