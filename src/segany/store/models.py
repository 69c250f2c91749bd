"""The tables of a store, as typed SQLAlchemy models; `migrations/` makes them.

Content is never changed in place. A row of `annotations`, `splits` or `images` is there from the revision `since` on,
up to but not including the revision `until`; an edit ends one row and begins another. A revision is the number of a
writing transaction, so a frozen version is one number, and what a store held at any of them can be read again.

Times are whole microseconds since 1970 (UTC), identities of annotations and images are JSON (`5` and `"5"` differ),
and free-form values are JSON text, so that both databases hold the same.
"""

from sqlalchemy import BigInteger, Boolean, Double, ForeignKey, Index, Integer, LargeBinary, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "AccessKeyRow",
    "AnnotationRow",
    "Base",
    "CategoryRow",
    "CounterRow",
    "EventRow",
    "FileRow",
    "ImageRow",
    "JobRow",
    "MaskRow",
    "ModelCardRow",
    "PersonRow",
    "PixelsRow",
    "SecretRow",
    "SplitRow",
    "ValueRow",
    "VersionRow",
]

# SQLite counts rows by itself only for a column of exactly this type.
_BigInt = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {int: _BigInt, str: Text, bytes: LargeBinary, float: Double, bool: Boolean}  # noqa: RUF012


class CounterRow(Base):
    """The one row that every revision locks: the last numbers given out."""

    __tablename__ = "counters"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int]
    image: Mapped[int]
    mask: Mapped[int]
    annotation: Mapped[int]


class ValueRow(Base):
    """Settings of the collection and values that other parts keep with it."""

    __tablename__ = "store_values"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    revision: Mapped[int]


class ImageRow(Base):
    """A record: what is known of an image, as it came."""

    __tablename__ = "images"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    identity: Mapped[str]
    file_name: Mapped[str]
    height: Mapped[int]
    width: Mapped[int]
    channels: Mapped[int]
    dtype: Mapped[str]
    digest: Mapped[str | None]
    source_digest: Mapped[str | None]
    details: Mapped[str | None]
    group_name: Mapped[str | None]
    origin_key: Mapped[bytes]
    near_group: Mapped[int]
    revision: Mapped[int]
    since: Mapped[int]
    until: Mapped[int | None]

    __table_args__ = (
        Index("ix_images_origin_key", "origin_key"),
        Index("ix_images_digest", "digest"),
        Index("ix_images_near_group", "near_group"),
        Index("ix_images_since", "since"),
    )


class PixelsRow(Base):
    """The stored file of an image."""

    __tablename__ = "pixels"

    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(unique=True)
    source_digest: Mapped[str | None]
    blob: Mapped[str]
    blob_bytes: Mapped[int]
    altered: Mapped[bool]
    perceptual: Mapped[bytes]
    since: Mapped[int]

    __table_args__ = (Index("ix_pixels_blob", "blob"), Index("ix_pixels_since", "since"))


class FileRow(Base):
    """Files as they came, by digest, and the record that each became."""

    __tablename__ = "known_files"

    source_digest: Mapped[str] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)


class MaskRow(Base):
    """A mask's run lengths, and its polygons while they are as imported."""

    __tablename__ = "masks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    counts: Mapped[bytes]
    outline: Mapped[bytes | None]


class AnnotationRow(Base):
    """One state of one annotation."""

    __tablename__ = "annotations"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    identity: Mapped[str]
    mask_id: Mapped[int] = mapped_column(ForeignKey("masks.id"))
    source: Mapped[str]
    review_state: Mapped[str]
    category: Mapped[str | None]
    iscrowd: Mapped[bool]
    area: Mapped[int]
    x0: Mapped[float]
    y0: Mapped[float]
    x1: Mapped[float]
    y1: Mapped[float]
    predicted_iou: Mapped[float | None]
    stability_score: Mapped[float | None]
    model_digest: Mapped[str | None]
    annotator: Mapped[str | None]
    seconds_spent: Mapped[float | None]
    parent: Mapped[str | None]
    created_at: Mapped[int | None]
    details: Mapped[str | None]
    origin: Mapped[str | None]
    digest: Mapped[bytes]
    since: Mapped[int]
    until: Mapped[int | None]

    __table_args__ = (
        Index("ix_annotations_image", "image_id"),
        Index("ix_annotations_mask", "mask_id"),
        Index("ix_annotations_since", "since"),
        Index(
            "ix_annotations_until",
            "until",
            sqlite_where=text("until IS NOT NULL"),
            postgresql_where=text("until IS NOT NULL"),
        ),
        Index(
            "ix_annotations_live",
            "review_state",
            "image_id",
            sqlite_where=text("until IS NULL"),
            postgresql_where=text("until IS NULL"),
        ),
    )


class CategoryRow(Base):
    """A class name that the collection knows."""

    __tablename__ = "categories"

    name: Mapped[str] = mapped_column(primary_key=True)
    supercategory: Mapped[str | None]
    color: Mapped[str | None]
    position: Mapped[int]


class SplitRow(Base):
    """Which split a record is in."""

    __tablename__ = "splits"

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    split: Mapped[str]
    since: Mapped[int]
    until: Mapped[int | None]

    __table_args__ = (Index("ix_splits_image", "image_id"), Index("ix_splits_since", "since"))


class EventRow(Base):
    """The audit log; the database itself refuses to change or delete a row."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[int]
    actor: Mapped[str]
    kind: Mapped[str]
    image_id: Mapped[int | None]
    revision: Mapped[int | None]
    key: Mapped[str | None] = mapped_column(unique=True)
    details: Mapped[str | None]

    __table_args__ = (Index("ix_events_image", "image_id"), Index("ix_events_kind", "kind"))


class VersionRow(Base):
    """A frozen version: the content at one revision."""

    __tablename__ = "versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    revision: Mapped[int]
    digest: Mapped[str]
    records: Mapped[int]
    masks: Mapped[int]
    message: Mapped[str]
    actor: Mapped[str]
    at: Mapped[int]


class ModelCardRow(Base):
    """A model card."""

    __tablename__ = "model_cards"

    digest: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    status: Mapped[str]
    parent: Mapped[str | None]
    trained_on: Mapped[str | None]
    licence: Mapped[str | None]
    config: Mapped[str]
    scores: Mapped[str]
    at: Mapped[int]


class JobRow(Base):
    """A piece of work for a process or for a person."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    key: Mapped[str | None] = mapped_column(unique=True)
    state: Mapped[str]
    priority: Mapped[float]
    resource: Mapped[str | None]
    assignee: Mapped[str | None]
    image_id: Mapped[int | None]
    payload: Mapped[str]
    worker: Mapped[str | None]
    token: Mapped[str | None]
    lease_until: Mapped[int | None]
    attempts: Mapped[int]
    max_attempts: Mapped[int]
    done: Mapped[float]
    total: Mapped[float | None]
    message: Mapped[str | None]
    checkpoint: Mapped[str | None]
    cancel_requested: Mapped[bool]
    result: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[int]
    started_at: Mapped[int | None]
    finished_at: Mapped[int | None]

    __table_args__ = (
        Index("ix_jobs_state", "state", "priority"),
        Index("ix_jobs_resource", "resource"),
        Index("ix_jobs_image", "image_id"),
    )


class PersonRow(Base):
    """Who may sign in to a server."""

    __tablename__ = "people"

    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    password: Mapped[str]
    disabled: Mapped[bool]
    created_at: Mapped[int]


class AccessKeyRow(Base):
    """What a person's browser or program proves itself with; the key's digest, never the key."""

    __tablename__ = "access_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    person: Mapped[str] = mapped_column(ForeignKey("people.name"), index=True)
    kind: Mapped[str]
    label: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[int]
    expires_at: Mapped[int]
    used_at: Mapped[int | None]


class SecretRow(Base):
    """What servers of this store sign with; never in the audit log."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes]
