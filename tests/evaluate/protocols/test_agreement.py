from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany import Predictor
from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocol import Stages
from segany.evaluate.protocols import Agreement
from segany.evaluate.segmenter import PredictorSegmenter
from segany.predict.backends.fake import FakeBackend


class LargerDiscs(FakeBackend):
    radii = (9.0, 18.0, 36.0, 70.0)


def rows_of(made: Path, *segmenters: Any) -> list[dict[str, Any]]:
    items = EvaluationSet("made", made).items()
    return [dict(row) for item in items for row in Agreement().rows(item, segmenters, Stages())]


def test_one_agrees_with_itself(made: Path, fake: PredictorSegmenter) -> None:
    for row in rows_of(made, fake, fake):
        assert row["alike_click"] == row["alike_candidates"] == row["alike_box"] == 1
        assert row["same_choice"] is True
        assert row["gained"] == row["score_difference"] == 0


def test_two_that_differ(made: Path, fake: PredictorSegmenter) -> None:
    other = PredictorSegmenter("larger", Predictor(backend=LargerDiscs()))
    rows = rows_of(made, fake, other)
    for row in rows:
        assert 0 < row["alike_candidates"] < 1
        assert row["alike_click"] == pytest.approx(rows[0]["alike_click"], abs=0.6)
        assert row["gained"] == pytest.approx(row["iou_second"] - row["iou_first"])
        assert row["above_0.99"] is (row["alike_click"] > 0.99)
    metric = Agreement().metrics()["second less first"]
    metric.update(rows)
    assert metric.value() == pytest.approx(np.mean([row["iou_second"] - row["iou_first"] for row in rows]))


def test_the_plot_falls_from_all_to_those_that_are_equal(made: Path, fake: PredictorSegmenter) -> None:
    rows = rows_of(made, fake, fake)
    (plot,) = Agreement().plots({name: [row[name] for row in rows] for name in rows[0]})
    assert [line.name for line in plot.lines] == ["click", "candidates", "box"]
    assert all(set(line.y) == {1.0} for line in plot.lines)
