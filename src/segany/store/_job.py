"""Job: a row of the table of jobs as a value."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from segany.store.database import to_time

__all__ = ["Job", "JobState", "as_job"]

JobState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Job:
    """A piece of work, as it was when it was read.

    Attributes:
        id: Its number.
        kind: What is to be done: "train", "engine.round", "annotate".
        payload: What it is done with, JSON values.
        state: Where it stands.
        priority: Higher ones are claimed first.
        resource: At most one job of a resource runs at a time; None for no such limit.
        record_id: The record that it is about, or None.
        assignee: The only worker that may claim it, or None.
        worker: Who has it, or had it last.
        attempts: How often it was claimed.
        max_attempts: How often it may be.
        done: Progress, in units of its own.
        total: Units in all, or None while unknown.
        message: What it is at, in words.
        checkpoint: What it goes on from, JSON values, or None.
        cancel_requested: Whether it was asked to stop.
        result: What it gave, JSON values, or None.
        error: Why it failed, or None.
        created_at: When it was submitted.
        started_at: When it was claimed last, or None.
        finished_at: When it ended, or None.
        token: Proves that this worker has it; only from `claim`.
    """

    id: int
    kind: str
    payload: Any
    state: JobState
    priority: float
    resource: str | None
    record_id: int | None
    assignee: str | None
    worker: str | None
    attempts: int
    max_attempts: int
    done: float
    total: float | None
    message: str | None
    checkpoint: Any
    cancel_requested: bool
    result: Any
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    token: str | None = None


def as_job(row: Any, token: str | None = None) -> Job:
    """A row as a value.

    Args:
        row: Of the table.
        token: Of the worker that has just claimed it.
    """

    def parsed(value: str | None) -> Any:
        return None if value is None else json.loads(value)

    def time(value: int | None) -> datetime | None:
        return None if value is None else to_time(value)

    return Job(
        id=row.id,
        kind=row.kind,
        payload=parsed(row.payload),
        state=row.state,
        priority=row.priority,
        resource=row.resource,
        record_id=row.image_id,
        assignee=row.assignee,
        worker=row.worker,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        done=row.done,
        total=row.total,
        message=row.message,
        checkpoint=parsed(row.checkpoint),
        cancel_requested=bool(row.cancel_requested),
        result=parsed(row.result),
        error=row.error,
        created_at=to_time(row.created_at),
        started_at=time(row.started_at),
        finished_at=time(row.finished_at),
        token=token,
    )
