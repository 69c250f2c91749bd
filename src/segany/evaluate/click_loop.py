"""The click loop: all objects of one image are clicked side by side, each corrected where its last answer was wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from segany.errors import ConfigError
from segany.evaluate.protocol import Stages
from segany.evaluate.segmenter import Answer, MaskCrop, PredictionAnswer, Question, Segmenter
from segany.evaluate.truth import Truth
from segany.predict.choose import look_at
from segany.predict.simulate import Click, NextClickRule
from segany.schema import POSITIVE, Prompt

__all__ = ["Candidate", "FirstClick", "Multimask", "Session", "Step", "check_clicking", "run_sessions"]

FirstClick = Literal["centre", "random"]
Multimask = Literal["first", "always", "never"]

_NOTHING = MaskCrop((0, 0, 0, 0), np.zeros((0, 0), dtype=np.bool_))


class Candidate(NamedTuple):
    """One of the masks to choose from after a click.

    Attributes:
        score: Its predicted IoU.
        depth: As in `segany.predict.choose.Candidates`; NaN where it was not asked for.
        share: How much of the image it covers; NaN where it was not asked for.
        iou: With what is meant.
    """

    score: float
    depth: float
    share: float
    iou: float


@dataclass(frozen=True)
class Step:
    """What one click led to.

    Attributes:
        iou: Of the candidate of highest score.
        oracle: Of the best candidate.
        boundary_iou: Of the candidate of highest score; NaN where it was not asked for.
        score: The candidate's own score.
        candidates: All of them, in the order of the answer.
    """

    iou: float
    oracle: float
    boundary_iou: float
    score: float
    candidates: tuple[Candidate, ...] = ()


@dataclass
class Session:
    """One object being clicked.

    Attributes:
        truth: What is meant.
        steps: One for each click; none after the click that left nothing to correct.
        clicks: The clicks themselves.
        shown: The answer after the click that pictures show, or after the last one.
        answer: The last answer, while the loop runs.
        chosen: Which of its candidates is gone on from.
    """

    truth: Truth
    steps: list[Step] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)
    shown: MaskCrop = _NOTHING
    answer: Answer | None = field(default=None, repr=False)
    chosen: int = 0

    def steps_of(self, clicks: int) -> list[Step]:
        """As many steps; the last one stands for those that were not needed."""
        return self.steps + self.steps[-1:] * (clicks - len(self.steps))

    def prompt(self, clicks: int) -> Prompt:
        """The first so many clicks."""
        made = self.clicks[:clicks]
        return Prompt(points=[(click.x, click.y) for click in made], labels=[click.label for click in made])


def check_clicking(rule: str, multimask: str, first: str = "centre") -> None:
    """Refuse words that are neither rule, nor occasion, nor place.

    Raises:
        ConfigError: One is another.
    """
    words = (("rule", rule, NextClickRule), ("multimask", multimask, Multimask), ("first", first, FirstClick))
    for name, value, known in words:
        if value not in get_args(known):
            raise ConfigError(f"{name} must be one of {', '.join(get_args(known))}, got {value!r}.")


def run_sessions(
    segmenter: Segmenter,
    prepared: Any,
    truths: Sequence[Truth],
    stages: Stages,
    *,
    clicks: int,
    rule: NextClickRule = "largest",
    multimask: Multimask = "first",
    boundary_at: frozenset[int] = frozenset(),
    shown_at: int = 1,
    stop_iou: float = 1.1,
    first: FirstClick = "centre",
    depths: bool = False,
) -> list[Session]:
    """Click objects of one image.

    The first click goes to the point farthest from the object's outline, each further one inside the error of the
    answer of highest score (SAM paper, sec. 7.1 and app. D); that answer goes back to the segmenter with the click.

    Args:
        segmenter: Who answers.
        prepared: The image, from `segmenter.prepare`.
        truths: What is meant.
        stages: Is told the seconds of "predict" and "score".
        clicks: Most clicks on an object.
        rule: Where the next click goes.
        multimask: When several candidates are asked for: after the first click, which is ambiguous (as the model is
            trained), after every click, or never.
        boundary_at: Numbers of clicks, from 1, after which boundary IoU is measured.
        shown_at: The click whose answer `Session.shown` keeps.
        stop_iou: No further click once an answer is as good as this.
        first: Where the first click goes: to the deepest point, or to a "random" pixel of the object.
        depths: Look at the first click's candidates as a `MaskChooser` does, where the segmenter is a model.

    Returns:
        One session for each truth.
    """
    sessions = [Session(truth) for truth in truths]
    waiting = list(sessions)
    for number in range(1, clicks + 1):
        with stages("score"):
            waiting = [session for session in waiting if _click(session, rule, first)]
        several = multimask == "always" or (multimask == "first" and number == 1)
        questions = [Question(session.prompt(number), several, session.answer, session.chosen) for session in waiting]
        with stages("predict"):
            answers = segmenter.predict(prepared, questions) if questions else []
        with stages("score"):
            for session, answer in zip(waiting, answers, strict=True):
                session.steps.append(_score(session, answer, number in boundary_at, depths and number == 1))
                if number <= shown_at:
                    session.shown = answer.crop(session.chosen)
        waiting = [session for session in waiting if session.steps[-1].iou < stop_iou]
    for session in sessions:
        session.answer = None
    return sessions


def _click(session: Session, rule: NextClickRule, first: FirstClick) -> bool:
    """Add the next click; False when there is nothing to correct."""
    if session.answer is None:
        place = session.truth.first_click() if first == "centre" else session.truth.random_click()
        session.clicks.append(Click(*place, POSITIVE))
        return True
    clicked = np.array([click[:2] for click in session.clicks], dtype=np.int64)
    click = session.truth.next_click(session.answer.crop(session.chosen), rule, clicked)
    if click is not None:
        session.clicks.append(click)
    return click is not None


def _score(session: Session, answer: Answer, boundary: bool, deep: bool) -> Step:
    scores = np.where(np.isnan(answer.scores), -np.inf, answer.scores)
    session.answer, session.chosen = answer, int(np.argmax(scores))
    ious = [session.truth.iou(answer.crop(index)) for index in range(len(scores))]
    edge = session.truth.boundary_iou(answer.crop(session.chosen)) if boundary else float("nan")
    depths = shares = [float("nan")] * len(ious)
    if deep and isinstance(answer, PredictionAnswer):
        seen = look_at(answer.prediction, session.prompt(1))
        depths, shares = seen.depths.tolist(), seen.shares.tolist()
    candidates = tuple(map(Candidate, answer.scores.tolist(), depths, shares, ious))
    return Step(ious[session.chosen], max(ious), edge, float(answer.scores[session.chosen]), candidates)
