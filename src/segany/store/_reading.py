"""Reading records, as they are now or as they were at a revision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from segany.geometry import Size
from segany.schema import Record, ReviewState
from segany.store._rows import annotation_from_row, record_from_row
from segany.store.models import AnnotationRow, ImageRow, MaskRow, PixelsRow, SplitRow

__all__ = [
    "RecordSummary",
    "StoredRecord",
    "annotation_rows",
    "is_there",
    "load_records",
    "named_rows",
    "record_rows",
]

_MAX_IN = 500


@dataclass(frozen=True, eq=False)
class StoredRecord:
    """A record with where it stands in the store.

    Attributes:
        id: Its number in the store.
        revision: The revision that changed it last; an edit names it, and is refused when it is no longer that.
        record: Image and annotations.
        split: "train", "val", "test", another name, or None.
        has_pixels: Whether its image is stored.
        altered: Whether an ingest step changed the image.
        near_group: Records of one number are near-duplicates of each other, directly or through others.
    """

    id: int
    revision: int
    record: Record
    split: str | None
    has_pixels: bool
    altered: bool
    near_group: int


@dataclass(frozen=True)
class RecordSummary:
    """A record in a list.

    Attributes:
        id: Its number in the store.
        file_name: Of its image.
        size: Of its image.
        masks: Review state -> annotations in it.
        split: Or None.
        has_pixels: Whether its image is stored.
        altered: Whether an ingest step changed the image.
        revision: The revision that changed it last.
    """

    id: int
    file_name: str
    size: Size
    masks: Mapping[ReviewState, int]
    split: str | None
    has_pixels: bool
    altered: bool
    revision: int


def is_there(model: type[ImageRow] | type[AnnotationRow] | type[SplitRow], at: int | None) -> ColumnElement[bool]:
    """The rows that are content now (None), or were at a revision."""
    if at is None:
        return model.until.is_(None)
    return and_(model.since <= at, or_(model.until.is_(None), model.until > at))


def record_rows(at: int | None) -> Select[Any]:
    """Records without their annotations: the columns of `images`, those of `pixels` under other names, the split."""
    with_pixels = PixelsRow.image_id == ImageRow.id
    if at is not None:
        with_pixels = and_(with_pixels, PixelsRow.since <= at)
    return (
        select(
            *ImageRow.__table__.columns,
            PixelsRow.digest.label("pixels_digest"),
            PixelsRow.source_digest.label("pixels_source"),
            PixelsRow.blob,
            PixelsRow.altered,
            SplitRow.split,
        )
        .join(PixelsRow, with_pixels, isouter=True)
        .join(SplitRow, and_(SplitRow.image_id == ImageRow.id, is_there(SplitRow, at)), isouter=True)
        .where(is_there(ImageRow, at))
        .order_by(ImageRow.id)
    )


def annotation_rows(image_ids: Sequence[int], at: int | None) -> Select[Any]:
    """Annotations of records with their masks, in the order they came."""
    return (
        select(*AnnotationRow.__table__.columns, MaskRow.counts, MaskRow.outline)
        .join(MaskRow, MaskRow.id == AnnotationRow.mask_id)
        .where(AnnotationRow.image_id.in_(image_ids), is_there(AnnotationRow, at))
        .order_by(AnnotationRow.image_id, AnnotationRow.id)
    )


def named_rows(limit: int) -> Select[int, int]:
    """Number and revision of stored images with an annotation that has a class, the last changed first."""
    named = select(AnnotationRow.id).where(
        AnnotationRow.image_id == ImageRow.id, is_there(AnnotationRow, None), AnnotationRow.category.is_not(None)
    )
    return (
        select(ImageRow.id, ImageRow.revision)
        .join(PixelsRow, PixelsRow.image_id == ImageRow.id)
        .where(is_there(ImageRow, None), named.exists())
        .order_by(ImageRow.revision.desc(), ImageRow.id.desc())
        .limit(limit)
    )


def load_records(connection: Connection, image_ids: Sequence[int], at: int | None = None) -> list[StoredRecord]:
    """Records by number, in the order of their numbers; those that are not there are left out."""
    found: list[StoredRecord] = []
    for start in range(0, len(image_ids), _MAX_IN):
        part = image_ids[start : start + _MAX_IN]
        rows = connection.execute(record_rows(at).where(ImageRow.id.in_(part))).all()
        sizes = {row.id: Size(row.height, row.width) for row in rows}
        annotations: dict[int, list[Any]] = {row.id: [] for row in rows}
        for row in connection.execute(annotation_rows(list(sizes), at)):
            annotations[row.image_id].append(annotation_from_row(row, sizes[row.image_id]))
        found += [
            StoredRecord(
                id=row.id,
                revision=row.revision,
                record=record_from_row(row, annotations[row.id]),
                split=row.split,
                has_pixels=row.pixels_digest is not None,
                altered=bool(row.altered),
                near_group=row.near_group,
            )
            for row in rows
        ]
    return found
