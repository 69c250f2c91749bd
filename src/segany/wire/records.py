"""Records: images with their annotations, and how they are edited and reviewed."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from segany.wire.base import (
    EDIT_KEY,
    AnnotationId,
    Box,
    Mask,
    Name,
    Number,
    PromptWords,
    RecordId,
    Reply,
    Request,
    Revision,
    Text,
    example,
)

__all__ = [
    "AnnotationInput",
    "AnnotationReply",
    "EditRequest",
    "ImageReply",
    "RecordPage",
    "RecordReply",
    "RecordSummaryReply",
    "RestoreRequest",
    "ReviewRequest",
    "ReviewStep",
    "RevisionReply",
    "RevisionsReply",
    "SourceName",
    "StateName",
    "UploadProblem",
    "UploadReply",
    "UploadedRecord",
]

SourceName = Literal["manual", "semi_automatic", "automatic"]
StateName = Literal["unreviewed", "accepted", "rejected", "flagged"]
_Key = Annotated[str, Field(min_length=8, max_length=100, pattern=r"^[\w.:-]+$", description=EDIT_KEY)]
_Share = Annotated[float, Field(ge=-10, le=10)]

_MASK = {"size": [4, 4], "counts": "52203"}


class AnnotationReply(Reply):
    """One mask with what is known of it.

    Attributes:
        id: Its identity within the record.
        mask: The mask.
        box: XYXY half-open, pixels.
        area: Pixels of the mask.
        category: Class name.
        source: Who made it.
        review_state: Where it stands.
        iscrowd: Whether it covers a group.
        predicted_iou: The model's estimate.
        stability_score: IoU of the mask at two thresholds.
        prompts: What led to it.
        annotator: Who drew or accepted it.
        seconds_spent: Working time.
        parent_id: The mask that this one is a part of.
        model_digest: Of the model that proposed it.
        created_at: When it was first saved.
    """

    id: int | str
    mask: Mask
    box: Box
    area: int
    category: str | None = None
    source: SourceName = "manual"
    review_state: StateName = "unreviewed"
    iscrowd: bool = False
    predicted_iou: float | None = None
    stability_score: float | None = None
    prompts: list[PromptWords] = Field(default_factory=list)
    annotator: str | None = None
    seconds_spent: float | None = None
    parent_id: int | str | None = None
    model_digest: str | None = None
    created_at: datetime | None = None


class AnnotationInput(Request):
    """An annotation to save. Of one that is there already, what is left out stays as it was.

    Who saves it and when, its box, area and state of review are the server's to say.

    Attributes:
        id: Its identity within the record; a UUID for a new one.
        mask: The mask, of the image's size.
        category: Class name, or null for none.
        source: Who made it.
        iscrowd: Whether it covers a group.
        predicted_iou: The model's estimate.
        stability_score: IoU of the mask at two thresholds.
        prompts: What led to it; `logits` are not kept.
        seconds_spent: Working time.
        parent_id: The mask that this one is a part of.
        model_digest: Of the model that proposed it.
    """

    model_config = ConfigDict(
        json_schema_extra=example({"id": "9f1c", "mask": _MASK, "category": "cup", "source": "manual"})
    )

    id: AnnotationId
    mask: Mask
    category: Name | None = None
    source: SourceName = "manual"
    iscrowd: bool = False
    predicted_iou: _Share | None = None
    stability_score: _Share | None = None
    prompts: list[PromptWords] = Field(default_factory=list, max_length=100)
    seconds_spent: Annotated[Number, Field(ge=0)] | None = None
    parent_id: AnnotationId | None = None
    model_digest: Name | None = None


class EditRequest(Request):
    """All of it is saved, or nothing.

    Attributes:
        expected: The revision of the record that the edit was made on.
        key: A word of its own for each edit.
        put: New and changed annotations.
        remove: Ids of annotations to take out.
        note: For the audit log.
    """

    model_config = ConfigDict(
        json_schema_extra=example(
            {"expected": 3, "key": "7f0c9c6e-5a36-4d25-a2ac-0a34a3cf2d0b", "put": [{"id": "9f1c", "mask": _MASK}]}
        )
    )

    expected: Revision
    key: _Key
    put: list[AnnotationInput] = Field(default_factory=list, max_length=1000)
    remove: list[AnnotationId] = Field(default_factory=list, max_length=1000)
    note: Text | None = None


class RestoreRequest(Request):
    """Undo and redo: the annotations become what they were.

    Attributes:
        revision: What to go back, or forward, to.
        expected: As in an edit.
        key: As in an edit.
    """

    model_config = ConfigDict(json_schema_extra=example({"revision": 2, "expected": 3}))

    revision: Revision
    expected: Revision
    key: _Key | None = None


class ReviewStep(Request):
    """A step of review with one annotation.

    Attributes:
        id: Which annotation.
        action: What is decided.
    """

    id: AnnotationId
    action: Literal["accept", "reject", "flag", "reopen"]


class ReviewRequest(Request):
    """All of the steps are taken, or none.

    Attributes:
        expected: As in an edit.
        steps: At most one for each annotation.
        key: As in an edit.
        note: Why, for the audit log.
    """

    model_config = ConfigDict(json_schema_extra=example({"expected": 3, "steps": [{"id": "9f1c", "action": "accept"}]}))

    expected: Revision
    steps: Annotated[list[ReviewStep], Field(min_length=1, max_length=1000)]
    key: _Key | None = None
    note: Text | None = None


class ImageReply(Reply):
    """What is known of an image.

    Attributes:
        file_name: As it came.
        size: Height and width as seen, pixels.
        digest: sha256 of its pixels.
        channels: As stored.
        dtype: As stored.
        licence: Or null.
        group: Images of one group never straddle a split.
    """

    file_name: str
    size: tuple[int, int]
    digest: str | None
    channels: int
    dtype: str
    licence: str | None
    group: str | None


class RecordReply(Reply):
    """An image with its annotations.

    Attributes:
        id: Its number in the store.
        revision: The change that it is at; an edit names it.
        image: The image.
        annotations: Its masks.
        split: "train", "val", "test", another name, or null.
        has_image: Whether its pixels are stored.
        altered: Whether an ingest step changed them.
        partial: Whether `annotations` are only those that an edit put, on top of the revision that it names.
    """

    id: int
    revision: int
    image: ImageReply
    annotations: list[AnnotationReply]
    split: str | None
    has_image: bool
    altered: bool
    partial: bool = False


class RecordSummaryReply(Reply):
    """A record in a list.

    Attributes:
        id: Its number in the store.
        file_name: Of its image.
        size: Height and width, pixels.
        masks: State of review -> annotations in it.
        split: Or null.
        has_image: Whether its pixels are stored.
        altered: Whether an ingest step changed them.
        revision: The change that it is at.
    """

    id: int
    file_name: str
    size: tuple[int, int]
    masks: dict[StateName, int]
    split: str | None
    has_image: bool
    altered: bool
    revision: int


class RecordPage(Reply):
    """A page of a list.

    Attributes:
        records: In the order in which they came into the store.
        next: What `after` is for the next page; null at the end.
    """

    records: list[RecordSummaryReply]
    next: int | None


class UploadedRecord(Reply):
    """What became of one file.

    Attributes:
        id: The record of the image.
        file_name: As it is called now.
        known: Whether the store had the image already.
    """

    id: RecordId
    file_name: str
    known: bool


class UploadProblem(Reply):
    """A file that was not added.

    Attributes:
        file_name: As it was called.
        message: Why.
    """

    file_name: str
    message: str


class UploadReply(Reply):
    """What became of an upload.

    Attributes:
        records: Of the files that are images, in order.
        problems: Of the others.
    """

    records: list[UploadedRecord]
    problems: list[UploadProblem]


class RevisionReply(Reply):
    """One change of a record.

    Attributes:
        revision: Its number; `restore` takes it.
        at: When.
        actor: Who.
        kind: What: "record.edited", "record.reviewed", "record.restored", "record.added".
        added: Annotations that it added.
        changed: Annotations that it changed.
        removed: Annotations that it removed.
        note: What was said of it.
        key: The edit's.
    """

    revision: int
    at: datetime
    actor: str
    kind: str
    added: list[int | str]
    changed: list[int | str]
    removed: list[int | str]
    note: str | None
    key: str | None


class RevisionsReply(Reply):
    """The changes of a record.

    Attributes:
        revisions: The oldest first.
    """

    revisions: list[RevisionReply]
