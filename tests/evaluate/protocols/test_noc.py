from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany.errors import ConfigError
from segany.evaluate.items import EvaluationSet, Item
from segany.evaluate.protocol import Stages
from segany.evaluate.protocols import NoC
from segany.evaluate.segmenter import Answer, MaskAnswer, Question
from segany.schema import Image


class Growing:
    """After n clicks it gives the part of the object that lies in its first n tenths from the left."""

    name = digest = "growing"
    about: Mapping[str, str] = {}

    def __init__(self, item: Item) -> None:
        self._objects = item.objects

    def prepare(self, image: Image) -> None:
        return None

    def predict(self, prepared: Any, questions: Sequence[Question]) -> Sequence[Answer]:
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> MaskAnswer:
        assert question.prompt.points is not None
        x, y = question.prompt.points[0].astype(int)
        mask = next(m for one in self._objects if (m := one.segmentation.to_mask())[y, x])
        columns = np.flatnonzero(mask.any(axis=0))
        share = len(question.prompt.points) / 10
        mask[:, columns[0] + round(share * len(columns)) :] = False
        return MaskAnswer(mask, np.array([0.5], dtype=np.float32))


def rows_of(made: Path, protocol: NoC) -> list[dict[str, Any]]:
    item = next(EvaluationSet("made", made).items())
    return [dict(row) for row in protocol.rows(item, [Growing(item)], Stages())]


def test_clicks_are_counted_until_the_iou_is_reached(made: Path) -> None:
    for row in rows_of(made, NoC()):
        ious = [row[f"iou_{number}"] for number in range(1, 21)]
        assert ious == sorted(ious)
        for target in (80, 85, 90):
            reached = next(number for number, iou in enumerate(ious, 1) if iou >= target / 100)
            assert row[f"noc_{target}"] == reached <= 10
            assert row[f"failed_{target}"] is False


def test_who_never_gets_there_counts_as_the_most_clicks(made: Path) -> None:
    for row in rows_of(made, NoC(max_clicks=4)):
        assert row["noc_90"] == 4
        assert row["failed_90"] is True


def test_metrics() -> None:
    metrics = NoC(targets=(85,), max_clicks=3).metrics()
    assert list(metrics) == ["NoC@85", "failures@85", "mIoU@1", "mIoU@2", "mIoU@3"]
    assert metrics["NoC@85"].unit == "number"
    assert metrics["NoC@85"].lower_is_better


def test_settings_that_cannot_be_meant() -> None:
    with pytest.raises(ConfigError, match=r"max_clicks must be 1 or more, got 0\."):
        NoC(max_clicks=0)
    with pytest.raises(ConfigError, match=r"targets must be IoUs in percent, got 85, 120\."):
        NoC.with_settings({"targets": "85,120"})
