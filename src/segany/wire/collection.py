"""The collection as a whole: categories, versions, events, models; and failures."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from segany.wire.base import Name, Reply, Request, Text, example

__all__ = [
    "CategoriesReply",
    "CategoryReply",
    "CategoryRequest",
    "EventPage",
    "EventReply",
    "FailureReply",
    "FreezeRequest",
    "HealthReply",
    "ModelCardReply",
    "ModelsReply",
    "RunningModelReply",
    "VersionReply",
    "VersionsReply",
]


class FailureReply(Reply):
    """Why it did not work.

    Attributes:
        code: For programs.
        message: For people.
        current: After "conflict": the revision that the record is at.
        record: After "conflict": the record as it is now.
        retry_after: After "busy", "rate" and "unavailable": seconds to wait.
        details: After "validation": what is wrong where.
    """

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    current: int | None = None
    record: dict[str, Any] | None = None
    retry_after: float | None = None
    details: list[dict[str, Any]] | None = None


class HealthReply(Reply):
    """How the server is.

    Attributes:
        status: "ok", or what is missing.
        ready: Part -> whether it works.
        waiting: Queue -> pieces of work in it.
    """

    status: str
    ready: dict[str, bool] = Field(default_factory=dict)
    waiting: dict[str, int] = Field(default_factory=dict)


class CategoryReply(Reply):
    """A class name.

    Attributes:
        name: The name.
        supercategory: What it is a kind of.
        color: As #rrggbb.
        position: Where it stands in a list.
    """

    name: str
    supercategory: str | None = None
    color: str | None = None
    position: int = 0


class CategoriesReply(Reply):
    """All class names.

    Attributes:
        categories: In their order.
    """

    categories: list[CategoryReply]


class CategoryRequest(Request):
    """What is said of a class name.

    Attributes:
        supercategory: What it is a kind of.
        color: As #rrggbb.
        position: Where it stands in a list.
    """

    model_config = ConfigDict(json_schema_extra=example({"supercategory": "animal", "color": "#0072b2", "position": 1}))

    supercategory: Name | None = None
    color: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    position: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0


class FreezeRequest(Request):
    """A name for the present content.

    Attributes:
        name: A new one.
        message: What it is for.
    """

    model_config = ConfigDict(json_schema_extra=example({"name": "v1", "message": "first delivery"}))

    name: Name
    message: Text = ""


class VersionReply(Reply):
    """A frozen version.

    Attributes:
        name: Its name.
        digest: Over all that it holds.
        records: How many.
        masks: How many.
        message: What it is for.
        actor: Who froze it.
        at: When.
        revision: The change that it is at.
    """

    name: str
    digest: str
    records: int
    masks: int
    message: str
    actor: str
    at: datetime
    revision: int


class VersionsReply(Reply):
    """Frozen versions.

    Attributes:
        versions: The newest first.
    """

    versions: list[VersionReply]


class EventReply(Reply):
    """Something that happened.

    Attributes:
        id: Rising.
        at: When.
        actor: Who.
        kind: What.
        record_id: Of which record.
        revision: The change that it belongs to.
        details: More of it.
    """

    id: int
    at: datetime
    actor: str
    kind: str
    record_id: int | None
    revision: int | None
    details: dict[str, Any]


class EventPage(Reply):
    """A page of the audit log.

    Attributes:
        events: In the order they happened.
        next: What `after` is for the next page; null at the end.
    """

    events: list[EventReply]
    next: int | None


class RunningModelReply(Reply):
    """The model that answers.

    Attributes:
        name: Its name.
        digest: Of its parameters.
        backend: Runtime, version, device and precision.
    """

    name: str
    digest: str
    backend: str


class ModelCardReply(Reply):
    """A model of the store.

    Attributes:
        name: Its name.
        digest: Of its parameters.
        status: Candidate, promoted or retired.
        parent: The model that it was trained from.
        trained_on: What on.
        licence: SPDX identifier.
        scores: Protocol and metric -> value.
    """

    name: str
    digest: str
    status: Literal["candidate", "promoted", "retired"]
    parent: str | None
    trained_on: str | None
    licence: str | None
    scores: dict[str, float]


class ModelsReply(Reply):
    """Models.

    Attributes:
        current: The one that answers.
        cards: Those of the store, the newest first.
        known: Names that `segany serve --model` takes.
    """

    current: RunningModelReply
    cards: list[ModelCardReply]
    known: list[str]
