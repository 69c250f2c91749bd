import math

import numpy as np
import pytest

from segany.evaluate.intervals import mean_interval
from segany.evaluate.metrics import RESAMPLES, Mean, Metric, Ratio, Resampled, Row

IMAGES: list[list[Row]] = [
    [{"iou": 0.5, "found": 1, "objects": 2}, {"iou": 0.9, "found": 0, "objects": 1}],
    [{"iou": 0.1, "found": 3, "objects": 3}],
    [{"iou": None, "found": 1, "objects": 4}, {"iou": float("nan"), "found": 1, "objects": 1}],
    [],
]


def fed(metric: Metric) -> Metric:
    for rows in IMAGES:
        metric.update(rows)
    return metric


def test_a_mean_leaves_out_what_is_missing() -> None:
    interval = fed(Mean("iou")).compute()
    assert interval.mean == pytest.approx(0.5)
    assert interval.n == 3
    assert interval.low < 0.5 < interval.high


def test_a_mean_has_the_interval_of_mean_interval() -> None:
    rng = np.random.default_rng(1)
    values = rng.random((30, 5))
    metric = Mean("iou")
    for row in values:
        metric.update([{"iou": value} for value in row.tolist()])
    # Names that sort as the images came: both then draw the same ones.
    expected = mean_interval(values.ravel(), [f"{place // 5:02}" for place in range(150)])
    ours = metric.compute()
    assert (ours.mean, ours.low, ours.high) == pytest.approx((expected.mean, expected.low, expected.high), abs=1e-12)


def test_a_mean_of_flags_is_a_share() -> None:
    metric = Mean("failed", lower_is_better=True)
    metric.update([{"failed": True}, {"failed": False}, {"failed": False}, {"failed": True}])
    assert metric.value() == 0.5
    assert metric.lower_is_better


def test_a_ratio_divides_sums() -> None:
    assert fed(Ratio("found", "objects")).value() == pytest.approx(6 / 11)


def test_nothing_has_no_figure() -> None:
    for metric in (Mean("iou"), Ratio("found", "objects"), Resampled(lambda images: 1.0)):
        interval = metric.compute()
        assert math.isnan(interval.mean)
        assert math.isnan(interval.low)
        assert interval.n == 0


def test_one_image_has_no_interval() -> None:
    for metric in (Mean("iou"), Ratio("found", "objects"), Resampled(lambda images: 0.7)):
        metric.update(IMAGES[0])
        interval = metric.compute()
        assert math.isfinite(interval.mean)
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
    mean = Mean("iou")
    # The other image has nothing that counts.
    mean.update(IMAGES[0])
    mean.update([{"iou": None}])
    assert math.isnan(mean.compute().low)


def test_reset_forgets() -> None:
    for metric in (Mean("iou"), Resampled(lambda images: float(len(images)))):
        fed(metric)
        metric.reset()
        assert metric.n == 0
        assert math.isnan(metric.value())


def test_resampled_draws_whole_images() -> None:
    seen: list[int] = []

    def figure(images: object) -> float:
        rows = [row for one in images for row in one]  # type: ignore[attr-defined]
        seen.append(len(rows))
        return float(np.mean([row["found"] for row in rows])) if rows else float("nan")

    metric = fed(Resampled(figure, resamples=50))
    assert metric.value() == pytest.approx(6 / 5)
    draws = metric.draws()
    assert draws.shape == (RESAMPLES,)
    assert len(seen) == 51
    assert set(seen) <= set(range(9))


def test_the_same_seed_draws_the_same() -> None:
    metric = fed(Mean("found"))
    np.testing.assert_array_equal(metric.draws(3), metric.draws(3))
    assert (metric.draws(3) != metric.draws(4)).any()


def test_two_metrics_that_saw_the_same_images_draw_the_same_ones() -> None:
    one, other = Mean("a"), Mean("b")
    for value in range(20):
        # The second has no value in one image; it still counts among those drawn.
        rows: list[Row] = [{"a": value, "b": value + 1 if value else None}]
        one.update(rows)
        other.update(rows)
    shift = other.draws() - one.draws()
    assert shift.std() < 0.7 < one.draws().std()
