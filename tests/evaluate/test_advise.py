"""Advice: who wins, who ties, and who takes no part."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany.errors import ConfigError, PromptError
from segany.evaluate import subjects
from segany.evaluate.advise import TASKS, advise
from segany.evaluate.baselines import BASELINES, GrabCut
from segany.evaluate.subjects import SubjectSpec
from segany.predict import Predictor
from segany.predict.backends.fake import FakeBackend
from segany.schema import Image


class Picky(GrabCut):
    """Refuses one of the images."""

    def prepare(self, image: Image) -> Any:
        if image.info.file_name.startswith("2"):
            raise PromptError("not this one.")
        return super().prepare(image)


def specs(*names: str) -> list[SubjectSpec]:
    return [SubjectSpec.parse(name) for name in names]


def test_equal_methods_cannot_be_told_apart(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "Predictor", lambda model, **options: Predictor(backend=FakeBackend()))
    advice = advise(made, specs("mobile_sam", "other_sam"), tasks=["click", "clicks", "box"], limit=12)
    assert [task.task for task in advice.tasks] == ["one click", "three clicks", "a box"]
    for task in advice.tasks:
        assert task.winner is None
        assert task.lead is not None
        assert (task.lead.mean, task.lead.low, task.lead.high) == (0, 0, 0)
        assert (task.images, task.objects) == (4, 12)
    assert advice.clicked == 12


def test_otsu_wins_where_it_should_and_everything_has_only_those_that_can(made: Path) -> None:
    advice = advise(made, specs("otsu", "grabcut"), tasks=["everything"], limit=12)
    (task,) = advice.tasks
    assert [one.name for one in task.contenders] == ["otsu"]
    assert task.winner == "otsu"
    assert task.lead is None
    assert task.contenders[0].seconds > 0
    assert (advice.clicked, list(advice.failures)) == (0, [])
    assert advise(made, specs("ritm"), tasks=["box", "everything"]).tasks == []


def test_failures_are_those_of_the_best_answer(made: Path) -> None:
    alone = advise(made, specs("otsu"), tasks=["click"], limit=12)
    both = advise(made, specs("otsu", "grabcut"), tasks=["click"], limit=12)
    assert both.clicked == alone.clicked == 12
    names = [{(one.image, one.object) for one in advice.failures} for advice in (alone, both)]
    assert names[1] <= names[0]
    assert [one.best_iou for one in both.failures] == sorted(one.best_iou for one in both.failures)
    assert all(one.best_iou < 0.5 for one in both.failures)


def test_who_refuses_images_is_not_compared(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "BASELINES", {"otsu": BASELINES["otsu"], "picky": Picky})
    advice = advise(made, specs("otsu", "picky"), tasks=["click"], limit=12)
    (task,) = advice.tasks
    assert [one.name for one in task.contenders] == ["otsu"]
    assert any("not this one." in problem for problem in advice.problems)


def test_bad_words(made: Path) -> None:
    with pytest.raises(ConfigError, match=r"^no task is named 'dance'; there are click, clicks, box, everything\.$"):
        advise(made, specs("otsu"), tasks=["dance"])
    with pytest.raises(ConfigError, match=r"^advice needs at least one model or baseline, got none\.$"):
        advise(made, [])
    assert np.all([task.metric in task.protocol.metrics() for task in TASKS.values()])
