from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocol import Stages
from segany.evaluate.protocols import Calibration
from segany.evaluate.protocols.calibration import calibration_error, reliability
from segany.evaluate.segmenter import PredictorSegmenter


def test_the_error_of_a_hand_made_case() -> None:
    scores = np.array([0.05, 0.05, 0.95, 1.0])
    ious = np.array([0.05, 0.25, 0.9, 0.8])
    # First bin: |0.05 - 0.15| for half of the masks; last bin: |0.975 - 0.85| for the other half.
    assert calibration_error(scores, ious) == pytest.approx(0.5 * 0.1 + 0.5 * 0.125)
    counts, predicted, real = reliability(scores, ious)
    assert counts.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert (predicted[9], real[9]) == pytest.approx((0.975, 0.85))
    assert np.isnan(predicted[4])


def test_who_says_what_is_true_has_no_error() -> None:
    values = np.random.default_rng(0).random(100)
    assert calibration_error(values, values) == pytest.approx(0)
    assert np.isnan(calibration_error(values[:0], values[:0]))


def rows_of(made: Path, segmenter: Any) -> list[dict[str, Any]]:
    items = EvaluationSet("made", made).items()
    return [dict(row) for item in items for row in Calibration().rows(item, [segmenter], Stages())]


def test_rows_hold_pairs(made: Path, fake: PredictorSegmenter) -> None:
    rows = rows_of(made, fake)
    assert len(rows) == 12
    for row in rows:
        # The fake always thinks most of its largest disc.
        assert row["score_chosen"] == pytest.approx(0.9)
        assert row["iou_nearest"] >= row["iou_chosen"]
        assert row["regret"] == pytest.approx(row["iou_nearest"] - row["iou_chosen"])
        assert row["bias_chosen"] == pytest.approx(row["score_chosen"] - row["iou_chosen"])
        assert row["right"] is (row["regret"] == 0)
    figures = {}
    for name, metric in Calibration().metrics().items():
        metric.update(rows)
        figures[name] = metric.value()
    expected = abs(np.mean([row["score_chosen"] for row in rows]) - np.mean([row["iou_chosen"] for row in rows]))
    assert figures["ECE, chosen"] == pytest.approx(expected)
    assert Calibration().metrics()["ECE, chosen"].lower_is_better


def test_the_curve_is_drawn_against_the_diagonal(made: Path, fake: PredictorSegmenter) -> None:
    rows = rows_of(made, fake)
    (plot,) = Calibration().plots({name: [row[name] for row in rows] for name in rows[0]})
    assert plot.diagonal
    assert [float(place) for place in plot.lines[0].x] == pytest.approx([0.9])


def test_baselines_without_scores_have_no_error(made: Path) -> None:
    metric = Calibration().metrics()["ECE, chosen"]
    metric.update([{"score_chosen": float("nan"), "iou_chosen": 0.5}, {"score_chosen": None, "iou_chosen": 0.5}])
    assert np.isnan(metric.value())
