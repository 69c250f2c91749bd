from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.evaluate.click_loop import check_clicking, run_sessions
from segany.evaluate.protocol import Stages
from segany.evaluate.segmenter import Answer, MaskCrop, Question
from segany.evaluate.truth import Truth
from segany.masks import RLE
from segany.schema import Image

WHOLE = (0, 0, 60, 40)


def box_mask(x0: int, y0: int, x1: int, y1: int) -> NDArray[np.bool_]:
    mask = np.zeros((40, 60), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


class Scripted:
    """Answers the n-th click with the n-th set of masks; remembers the questions."""

    name = digest = "scripted"
    about: Mapping[str, str] = {}

    def __init__(self, *answers: tuple[Sequence[NDArray[np.bool_]], Sequence[float]]) -> None:
        self.answers = answers
        self.questions: list[Question] = []

    def prepare(self, image: Image) -> None:
        return None

    def predict(self, prepared: Any, questions: Sequence[Question]) -> Sequence[Answer]:
        self.questions += questions
        return [_Masks(*self.answers[len(question.prompt.points) - 1]) for question in questions]  # type: ignore[arg-type]


class _Masks:
    def __init__(self, masks: Sequence[NDArray[np.bool_]], scores: Sequence[float]) -> None:
        self.masks = masks
        self.scores = np.array(scores, dtype=np.float32)

    def crop(self, index: int) -> MaskCrop:
        return MaskCrop(WHOLE, self.masks[index])


TRUE = box_mask(10, 10, 30, 30)
HALF = box_mask(10, 10, 20, 30)
TOO_MUCH = box_mask(10, 10, 30, 38)


def test_each_click_corrects_the_answer_of_highest_score() -> None:
    segmenter = Scripted(([TRUE, HALF, TOO_MUCH], [0.5, 0.9, 0.6]), ([TOO_MUCH], [0.7]), ([TRUE], [0.7]))
    (session,) = run_sessions(segmenter, None, [Truth(RLE.from_mask(TRUE))], Stages(), clicks=5)
    assert [step.iou for step in session.steps] == [0.5, pytest.approx(20 / 28), 1.0]
    assert session.steps[0].oracle == 1.0
    assert session.steps[0].score == pytest.approx(0.9)
    # In the middle, then on what is missing, then off what is too much; then nothing is wrong.
    assert [click.label for click in session.clicks] == [1, 1, 0]
    assert session.clicks[0][:2] == (19, 19)
    assert 20 <= session.clicks[1].x < 30
    assert session.clicks[2].y >= 30
    first, second, _ = segmenter.questions
    assert first.multimask
    assert first.previous is None
    assert not second.multimask
    assert second.chosen == 1
    assert second.previous is not None
    assert [step.iou for step in session.steps_of(5)][-2:] == [1.0, 1.0]


def test_objects_go_side_by_side() -> None:
    segmenter = Scripted(([TRUE], [0.5]), ([TRUE], [0.5]))
    sessions = run_sessions(segmenter, None, [Truth(RLE.from_mask(mask)) for mask in (TRUE, HALF)], Stages(), clicks=2)
    # The first has nothing to correct.
    assert [len(session.steps) for session in sessions] == [1, 2]


def test_clicks_stop_when_the_mask_is_good_enough() -> None:
    segmenter = Scripted(([HALF], [0.5]), ([TOO_MUCH], [0.5]), ([TRUE], [0.5]))
    (session,) = run_sessions(segmenter, None, [Truth(RLE.from_mask(TRUE))], Stages(), clicks=3, stop_iou=0.7)
    assert len(session.steps) == 2


@pytest.mark.parametrize(
    ("multimask", "expected"), [("first", [True, False]), ("always", [True, True]), ("never", [False, False])]
)
def test_when_several_masks_are_asked_for(multimask: Any, expected: list[bool]) -> None:
    segmenter = Scripted(([HALF], [0.5]), ([HALF], [0.5]))
    run_sessions(segmenter, None, [Truth(RLE.from_mask(TRUE))], Stages(), clicks=2, multimask=multimask)
    assert [question.multimask for question in segmenter.questions] == expected


def test_boundary_iou_is_measured_where_it_is_asked_for() -> None:
    segmenter = Scripted(([HALF], [0.5]), ([TRUE], [0.5]))
    (session,) = run_sessions(
        segmenter, None, [Truth(RLE.from_mask(TRUE))], Stages(), clicks=2, boundary_at=frozenset({2}), shown_at=1
    )
    assert np.isnan(session.steps[0].boundary_iou)
    assert session.steps[1].boundary_iou == 1
    np.testing.assert_array_equal(session.shown.within(WHOLE), HALF)


def test_time_goes_to_stages() -> None:
    stages = Stages()
    run_sessions(Scripted(([TRUE], [0.5])), None, [Truth(RLE.from_mask(TRUE))], stages, clicks=1)
    assert stages.seconds.keys() == {"predict", "score"}


def test_no_score_is_the_lowest() -> None:
    segmenter = Scripted(([HALF, TRUE], [float("nan"), 0.1]))
    (session,) = run_sessions(segmenter, None, [Truth(RLE.from_mask(TRUE))], Stages(), clicks=1)
    assert session.steps[0].iou == 1


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"rule must be one of largest, deepest, got 'nearest'\."):
        check_clicking("nearest", "first")
    with pytest.raises(ConfigError, match=r"multimask must be one of first, always, never, got 'often'\."):
        check_clicking("deepest", "often")
