"""What the data engine did: masks over time, rounds of learning, decisions on models."""

from datetime import datetime
from typing import Literal

from segany.wire.base import Reply
from segany.wire.jobs import JobStateName

__all__ = ["DecisionReply", "EngineReply", "RoundReply", "SpanReply", "VerdictReply"]


class SpanReply(Reply):
    """Masks that came about within a length of time.

    Attributes:
        start: When it begins.
        sources: "manual", "semi_automatic", "automatic" -> masks.
        accepted: Those of them that are accepted now.
        timed: Those of them of which the working time is known.
        seconds: Median working time of these.
    """

    start: datetime
    sources: dict[str, int]
    accepted: int
    timed: int
    seconds: float | None


class RoundReply(Reply):
    """A round of learning: a job.

    Attributes:
        job: Number of the job.
        version: What was learned from.
        state: Of the job.
        message: What it is at.
        error: Why it failed.
        accepted: Masks that people had accepted by then.
        promoted: Whether the model that came of it took over.
        started_at: When it began.
        finished_at: When it ended.
    """

    job: int
    version: str | None
    state: JobStateName
    message: str | None
    error: str | None
    accepted: int | None
    promoted: bool | None
    started_at: datetime | None
    finished_at: datetime | None


class VerdictReply(Reply):
    """How a candidate did on one set of images.

    Attributes:
        set_name: Of the set.
        role: "target": it must be better. "guard": it must not be worse than the margin.
        metric: Which figure.
        incumbent: The model in use, 0 to 1.
        candidate: The candidate, 0 to 1.
        low: Lower end of the difference's interval.
        high: Its upper end.
        passed: Whether this lets it through.
    """

    set_name: str
    role: Literal["target", "guard"]
    metric: str
    incumbent: float
    candidate: float
    low: float
    high: float
    passed: bool


class DecisionReply(Reply):
    """Whether a candidate took over.

    Attributes:
        id: Of the event in the audit log.
        at: When.
        actor: Who decided.
        promoted: Whether.
        candidate: Digest of its parameters.
        incumbent: Digest of the model that was in use.
        says: Why, in words.
        verdicts: Set by set.
    """

    id: int
    at: datetime
    actor: str
    promoted: bool
    candidate: str
    incumbent: str
    says: list[str]
    verdicts: list[VerdictReply]


class EngineReply(Reply):
    """The course of a collection.

    Attributes:
        span_seconds: Length of a span.
        spans: Masks over time, from the first to the last.
        undated: Masks of which it is not known when they came about.
        seconds_per_mask: Median working time of all masks of which it is known.
        rounds: Rounds of learning, the newest first.
        decisions: On models, the newest first.
        tasks: State -> tasks of people.
    """

    span_seconds: int
    spans: list[SpanReply]
    undated: int
    seconds_per_mask: float | None
    rounds: list[RoundReply]
    decisions: list[DecisionReply]
    tasks: dict[str, int]
