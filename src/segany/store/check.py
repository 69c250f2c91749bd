"""check: whether every file, every mask and every version is what it was when it was written."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, Literal

from sqlalchemy import Connection, func, select, text

from segany.errors import ImageError, MaskError, StoreError
from segany.geometry import Size
from segany.masks import RLE
from segany.sources import open_image
from segany.store._reading import is_there
from segany.store._rows import annotation_values_of_row
from segany.store.blobs import Blobs
from segany.store.database import Database
from segany.store.models import AnnotationRow, CounterRow, ImageRow, MaskRow, PixelsRow, VersionRow
from segany.store.versions import Versions

__all__ = ["CheckReport", "Finding", "check_store"]

FindingKind = Literal["database", "file", "mask", "double", "version"]
_PAGE = 2000


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kind: Where the fault lies.
        place: Record, file or version.
        what: What was found.
    """

    kind: FindingKind
    place: str
    what: str


@dataclass
class CheckReport:
    """What was looked at.

    Attributes:
        files: Stored images that were read, hashed and decoded.
        masks: States of annotations that were decoded and hashed, past ones too.
        versions: Versions whose digest was computed again.
        findings: What is wrong; empty for a sound store.
        unused_files: Files that no record names, left by an interrupted `add`; `gc` removes them.
    """

    files: int = 0
    masks: int = 0
    versions: int = 0
    findings: list[Finding] = field(default_factory=list)
    unused_files: int = 0


def check_store(
    database: Database, blobs: Blobs, *, progress: Callable[[CheckReport], None] | None = None
) -> CheckReport:
    """Check everything; nothing is changed, and others may go on working.

    Args:
        database: Of the store.
        blobs: Of the store.
        progress: Called now and then.
    """
    report = CheckReport()

    def say(kind: FindingKind, place: str, what: str) -> None:
        report.findings.append(Finding(kind, place, what))

    tell = progress or (lambda _: None)
    with database.read() as connection:
        _check_database(connection, database.is_sqlite, say)
        _check_doubles(connection, say)
    used = _check_files(database, blobs, report, say, tell)
    _check_masks(database, report, say, tell)
    versions = Versions(database)
    for version in versions.log():
        report.versions += 1
        try:
            versions.verify(version.name)
        except StoreError as error:
            say("version", version.name, str(error))
        tell(report)
    report.unused_files = sum(info.is_leftover or info.name not in used for info in blobs.infos())
    return report


_Say = Callable[[FindingKind, str, str], None]


def _check_database(connection: Connection, is_sqlite: bool, say: _Say) -> None:
    if is_sqlite:
        for pragma in ("integrity_check", "foreign_key_check"):
            for row in connection.execute(text(f"PRAGMA {pragma}")):
                if row[0] != "ok":
                    say("database", pragma, " ".join(str(value) for value in row))
    counter = connection.execute(select(CounterRow.__table__)).one()
    for name, column in (("image", ImageRow.id), ("mask", MaskRow.id), ("annotation", AnnotationRow.id)):
        most = connection.execute(select(func.max(column))).scalar_one() or 0
        if most > getattr(counter, name):
            say("database", f"counter {name}", f"is {getattr(counter, name)}, but {most} is in use")
    frozen = connection.execute(select(func.max(VersionRow.revision))).scalar_one() or 0
    if frozen > counter.revision:
        say("database", "counter revision", f"is {counter.revision}, but {frozen} is frozen")


def _check_doubles(connection: Connection, say: _Say) -> None:
    """An annotation has one state at a time, and a record without pixels comes once."""
    several = (
        select(AnnotationRow.image_id, AnnotationRow.identity)
        .group_by(AnnotationRow.image_id, AnnotationRow.identity)
        .having(func.count() > 1)
    )
    for image_id, identity in connection.execute(several).all():
        asked = select(AnnotationRow.since, AnnotationRow.until).where(
            AnnotationRow.image_id == image_id, AnnotationRow.identity == identity
        )
        states = connection.execute(asked.order_by(AnnotationRow.since, AnnotationRow.id)).all()
        for before, after in pairwise(states):
            if before.until is None or before.until > after.since:
                say("double", f"record {image_id}", f"annotation {identity} is there twice at revision {after.since}")
    bare = (
        select(ImageRow.file_name, func.count())
        .join(PixelsRow, PixelsRow.image_id == ImageRow.id, isouter=True)
        .where(PixelsRow.image_id.is_(None), is_there(ImageRow, None))
        .group_by(ImageRow.origin_key, ImageRow.file_name)
        .having(func.count() > 1)
    )
    for file_name, count in connection.execute(bare):
        say("double", file_name, f"there are {count} records of it")
    removed = (
        select(ImageRow.id)
        .join(AnnotationRow, AnnotationRow.image_id == ImageRow.id)
        .where(ImageRow.until.is_not(None), is_there(AnnotationRow, None))
    )
    for image_id in connection.execute(removed.distinct()).scalars():
        say("double", f"record {image_id}", "was removed, but annotations of it are still there")


def _check_files(
    database: Database, blobs: Blobs, report: CheckReport, say: _Say, tell: Callable[[CheckReport], None]
) -> set[str]:
    used = set()
    asked = select(PixelsRow.image_id, PixelsRow.blob, PixelsRow.digest, ImageRow.height, ImageRow.width)
    for row in _pages(database, asked.join(ImageRow, ImageRow.id == PixelsRow.image_id), PixelsRow.image_id):
        used.add(row.blob)
        report.files += 1
        wrong = _wrong_file(blobs, row)
        if wrong:
            say("file", f"record {row.image_id}", f"{row.blob}: {wrong}")
        if report.files % 100 == 0:
            tell(report)
    return used


def _wrong_file(blobs: Blobs, row: Any) -> str | None:
    try:
        content = blobs.read(row.blob)
        if hashlib.sha256(content).hexdigest() != PurePosixPath(row.blob).stem:
            return "its bytes are not those that were written; restore it from a backup"
        with blobs.as_file(row.blob) as path:
            image = open_image(path, max_pixels=row.height * row.width)
    except (StoreError, ImageError) as error:
        return str(error)
    if image.info.digest != row.digest:
        return "its pixels are decoded to other values than when it was added"
    return None if image.size == (row.height, row.width) else f"it is {image.size}, not what its record says"


def _check_masks(database: Database, report: CheckReport, say: _Say, tell: Callable[[CheckReport], None]) -> None:
    asked = (
        select(*AnnotationRow.__table__.columns, MaskRow.counts, MaskRow.outline, ImageRow.height, ImageRow.width)
        .join(MaskRow, MaskRow.id == AnnotationRow.mask_id)
        .join(ImageRow, ImageRow.id == AnnotationRow.image_id)
    )
    for row in _pages(database, asked, AnnotationRow.id):
        report.masks += 1
        place = f"record {row.image_id}"
        try:
            RLE(Size(row.height, row.width), row.counts)
            values, _, _ = annotation_values_of_row(row)
            if values["digest"] != row.digest:
                say("mask", place, f"annotation {row.identity} is not what was written; restore it from a backup")
        except (MaskError, ValueError) as error:
            say("mask", place, f"annotation {row.identity}: {error}")
        if report.masks % _PAGE == 0:
            tell(report)


def _pages(database: Database, asked: Any, column: Any) -> Iterator[Any]:
    """Rows in the order of a column, a page in each transaction."""
    last = 0
    while True:
        with database.read() as connection:
            rows = connection.execute(asked.where(column > last).order_by(column).limit(_PAGE)).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        last = getattr(rows[-1], column.key)
