"""Jobs of the server, tasks of people, and exports."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from segany.wire.base import Name, RecordId, Reply, Request, example

__all__ = [
    "ClaimReply",
    "ClaimRequest",
    "ExportPlanReply",
    "ExportRequest",
    "FormatName",
    "JobReply",
    "JobStateName",
    "JobsReply",
    "LossReply",
    "TaskFinish",
    "TaskHold",
    "TaskReply",
]

FormatName = Literal["coco", "sa1b", "yolo", "voc", "labelme", "labels", "sav", "geojson", "parquet"]
JobStateName = Literal["queued", "running", "done", "failed", "cancelled"]


class JobReply(Reply):
    """A piece of work.

    Attributes:
        id: Its number.
        kind: What is to be done.
        state: Where it stands.
        done: Progress, in units of its own.
        total: Units in all, or null while unknown.
        message: What it is at.
        result: What it gave.
        error: Why it failed.
        record_id: The record that it is about.
        assignee: The only one who may take it.
        worker: Who has it, or had it last.
        attempts: How often it was taken.
        cancel_requested: Whether it was asked to stop.
        created_at: When it was submitted.
        started_at: When it was taken last.
        finished_at: When it ended.
    """

    id: int
    kind: str
    state: JobStateName
    done: float
    total: float | None
    message: str | None
    result: Any
    error: str | None
    record_id: int | None
    assignee: str | None
    worker: str | None
    attempts: int
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobsReply(Reply):
    """Jobs.

    Attributes:
        jobs: The most urgent first.
    """

    jobs: list[JobReply]


class ClaimRequest(Request):
    """Ask for work.

    Attributes:
        skip_records: Not about these.
    """

    model_config = ConfigDict(json_schema_extra=example({"skip_records": []}))

    skip_records: list[RecordId] = Field(default_factory=list, max_length=500)


class TaskReply(Reply):
    """A person's piece of work.

    Attributes:
        job: What it is.
        payload: What it is done with.
        token: Proves that it is theirs.
        lease_seconds: How long it stays theirs without a heartbeat.
    """

    job: JobReply
    payload: Any
    token: str
    lease_seconds: float


class ClaimReply(Reply):
    """The next piece of work.

    Attributes:
        task: Or null when there is none.
    """

    task: TaskReply | None


class TaskHold(Request):
    """Keep a task, or give it back.

    Attributes:
        token: From the claim.
    """

    model_config = ConfigDict(json_schema_extra=example({"token": "0f3a"}))

    token: Annotated[str, Field(min_length=1, max_length=100)]


class TaskFinish(TaskHold):
    """End a task.

    Attributes:
        result: What came of it.
    """

    result: dict[str, Any] | None = None


class ExportRequest(Request):
    """What to export.

    Attributes:
        format: How it is written.
        version: A frozen version, or "live".
        split: Only the records of this split.
        images: Whether images come along.
    """

    model_config = ConfigDict(json_schema_extra=example({"format": "coco", "version": "live", "images": "none"}))

    format: FormatName
    version: Name = "live"
    split: Name | None = None
    images: Literal["copy", "none"] = "copy"


class LossReply(Reply):
    """Something that a format cannot hold.

    Attributes:
        what: In words.
    """

    what: str


class ExportPlanReply(Reply):
    """What an export would hold and lose.

    Attributes:
        records: How many.
        masks: How many.
        losses: What the format cannot hold.
        complete: Whether all records were looked at; of a large store only as many as a few seconds allow.
    """

    records: int
    masks: int
    losses: list[LossReply]
    complete: bool = True
