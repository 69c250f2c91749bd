"""Tasks: what people are asked, as jobs of the store whose worker is the person.

An open task shows an image with the masks that wait for a decision; the person accepts or rejects them and adds what is
missing. A blind task shows the image alone, and what is drawn is compared with what the store has: a second look at
what another person did, or a gold question whose answer is known. For the person the two look alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from segany.engine.models import CHOOSER
from segany.errors import ConflictError
from segany.masks import RLE
from segany.predict.choose import MaskChooser
from segany.schema import Annotation, Prediction, Prompt
from segany.store import Job, ReviewAction, Store, StoredRecord

__all__ = [
    "BLIND",
    "OPEN",
    "Purpose",
    "Task",
    "TaskAnswer",
    "answer_task",
    "ask",
    "learn_choice",
    "learn_choices",
    "next_task",
    "skip_task",
]

OPEN, BLIND = "engine.annotate", "engine.annotate.blind"
Purpose = Literal["annotate", "second_look", "gold"]

# A person who closes the page loses the task to others after this; skipping costs no attempt.
_LEASE_SECONDS = 1800.0
_ATTEMPTS = 1000
_TRIES = 20


@dataclass(frozen=True, eq=False)
class Task:
    """One image for one person.

    Attributes:
        job: Claimed.
        record: The image and what the store has; of a blind task without its masks.
        inspect: The masks that wait for a decision; none in a blind task.
        why: Why this image, in words; empty in a blind task.
    """

    job: Job
    record: StoredRecord
    inspect: tuple[Annotation, ...]
    why: str

    @property
    def is_blind(self) -> bool:
        """Whether what is drawn is compared, and not kept."""
        return self.job.kind == BLIND


@dataclass(frozen=True, eq=False)
class TaskAnswer:
    """What a person decided.

    Attributes:
        accepted: Ids of masks that are good.
        rejected: Ids of masks that are not.
        drawn: New masks, with ids that are new in the record.
        seconds: Working time.
    """

    accepted: Sequence[int | str] = ()
    rejected: Sequence[int | str] = ()
    drawn: Sequence[Annotation] = ()
    seconds: float = 0.0


def ask(
    store: Store,
    record_id: int,
    *,
    purpose: Purpose = "annotate",
    stage: str = "",
    priority: float = 0.0,
    why: str = "",
    reasons: Mapping[str, float] | None = None,
    assignee: str | None = None,
    key: str | None = None,
) -> Job:
    """Queue a task.

    Args:
        store: Where.
        record_id: About which image.
        purpose: What for.
        stage: The stage that asks.
        priority: The most urgent first.
        why: In words, for the person.
        reasons: The same as figures.
        assignee: Only for this person.
        key: Asking again under the same key changes nothing.
    """
    return store.jobs.submit(
        OPEN if purpose == "annotate" else BLIND,
        {"purpose": purpose, "stage": stage, "why": why, "reasons": dict(reasons or {})},
        key=key,
        priority=priority,
        assignee=assignee,
        record_id=record_id,
        max_attempts=_ATTEMPTS,
    )


def next_task(store: Store, annotator: str, *, lease_seconds: float = _LEASE_SECONDS) -> Task | None:
    """Give a person the most valuable task there is for them.

    Nobody gets a second look at their own work.

    Args:
        store: Whose tasks.
        annotator: Who asks.
        lease_seconds: How long the task is theirs without a sign of life.
    """
    done = store.jobs.list(kinds=[OPEN], states=["done"], limit=100_000)
    own = sorted({job.record_id for job in done if job.worker == annotator and job.record_id is not None})
    blind = store.jobs.claim(annotator, kinds=[BLIND], lease_seconds=lease_seconds, except_records=own)
    job = blind or store.jobs.claim(annotator, kinds=[OPEN], lease_seconds=lease_seconds)
    if job is None or job.record_id is None:
        return None
    stored = store.records.get(job.record_id)
    if job.kind == BLIND:
        return Task(job, replace(stored, record=replace(stored.record, annotations=())), (), "")
    waiting = tuple(one for one in stored.record.annotations if one.review_state == "flagged")
    return Task(job, stored, waiting, job.payload["why"])


def skip_task(store: Store, task: Task) -> None:
    """Give a task back undone."""
    store.jobs.release(task.job)


def answer_task(store: Store, task: Task, answer: TaskAnswer, *, annotator: str) -> None:
    """Keep what a person decided. A call whose answer was lost may be repeated.

    Args:
        store: Whose task.
        task: From `next_task`.
        answer: The decision.
        annotator: Who decided.

    Raises:
        ConflictError: The record was changed meanwhile by someone else; look at it again.
        ReviewError: A mask is not where it can be accepted or rejected.
        JobLostError: The task took too long and is another person's.
    """
    result: dict[str, Any] = {"seconds": answer.seconds, "annotator": annotator}
    if task.is_blind:
        result["masks"] = [one.segmentation.to_coco() for one in answer.drawn]
    else:
        steps: dict[int | str, ReviewAction] = dict.fromkeys(answer.accepted, "accept")
        steps |= dict.fromkeys(answer.rejected, "reject")
        record, key = task.record, f"engine task {task.job.id}"
        if steps:
            record = store.records.review(
                record.id, steps, expected=record.revision, actor=annotator, key=f"{key} review"
            )
        if answer.drawn:
            drawn = [_accepted(one, annotator) for one in answer.drawn]
            store.records.save(record.id, expected=record.revision, actor=annotator, put=drawn, key=f"{key} masks")
        result |= {"accepted": len(answer.accepted), "rejected": len(answer.rejected), "drawn": len(answer.drawn)}
    store.jobs.finish(task.job, result)


def learn_choice(store: Store, first: Prediction, prompt: Prompt, accepted: RLE, *, actor: str) -> MaskChooser:
    """Teach the project's chooser which mask of a first click was meant.

    Args:
        store: The project's.
        first: The answer to the first click, its three candidates.
        prompt: That click.
        accepted: What was accepted in the end.
        actor: Who accepted it.

    Returns:
        The chooser as it is now.

    Raises:
        ConflictError: Too many people taught it at once.
    """
    return learn_choices(store, [(first, prompt, accepted)], actor=actor)


def learn_choices(store: Store, seen: Sequence[tuple[Prediction, Prompt, RLE]], *, actor: str) -> MaskChooser:
    """As `learn_choice`, from several masks: what was learned is written once.

    Args:
        store: The project's.
        seen: First answer, first click and accepted mask of each.
        actor: Who teaches.

    Returns:
        The chooser as it is now.

    Raises:
        ConflictError: Too many people taught it at once.
    """
    revision = 0
    for _ in range(_TRIES):
        value, revision = store.collection.value_with_revision(CHOOSER)
        before = taught = MaskChooser() if value is None else MaskChooser.from_dict(value)
        for first, prompt, accepted in seen:
            taught = taught.learned(first, prompt, accepted)
        if taught is before:
            return before
        try:
            store.collection.set_value(CHOOSER, taught.to_dict(), actor=actor, expected=revision)
        except ConflictError:
            continue
        return taught
    raise ConflictError(
        "the chooser is being taught by others all the time; nothing was learned from this mask.", revision
    )


def _accepted(annotation: Annotation, annotator: str) -> Annotation:
    at = annotation.created_at or datetime.now(UTC)
    return replace(annotation, review_state="accepted", annotator=annotation.annotator or annotator, created_at=at)
