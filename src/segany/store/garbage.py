"""gc: what no version and no record needs any more."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, func, insert, select

from segany.errors import ConfigError
from segany.store._failures import explained
from segany.store.blobs import Blobs
from segany.store.database import Database
from segany.store.events import event_row
from segany.store.models import AnnotationRow, EventRow, FileRow, ImageRow, MaskRow, PixelsRow, SplitRow, VersionRow

__all__ = ["GarbageReport", "collect_garbage"]

_DAY = 86_400.0
_MAX_IN = 500
# A file is written before the record that names it; an `add` that runs now must not lose it.
_MIN_FILE_AGE_SECONDS = 3600.0


@dataclass
class GarbageReport:
    """What was deleted, or would be.

    Attributes:
        states: Past states of annotations.
        records: Removed records.
        masks: Masks of these.
        files: Files that no record names.
        file_bytes: Their size.
    """

    states: int = 0
    records: int = 0
    masks: int = 0
    files: int = 0
    file_bytes: int = 0


def collect_garbage(
    database: Database,
    blobs: Blobs,
    *,
    actor: str,
    keep_days: float = 30.0,
    min_file_age_seconds: float = _MIN_FILE_AGE_SECONDS,
    dry_run: bool = False,
) -> GarbageReport:
    """Delete past states that are in no frozen version, and files that no record names.

    Args:
        database: Of the store.
        blobs: Of the store.
        actor: Who does.
        keep_days: Past states that ended later than this many days ago stay, for undo.
        min_file_age_seconds: Files younger than this stay.
        dry_run: Only count.

    Raises:
        ConfigError: A time is negative.
        OutputError: Something cannot be deleted.
    """
    if keep_days < 0 or min_file_age_seconds < 0:
        raise ConfigError(f"times to keep must not be negative, got {keep_days} days, {min_file_age_seconds} s.")
    report = GarbageReport()
    with database.alone("maintenance"):
        with database.write() as writing:
            cutoff = writing.at - int(keep_days * _DAY * 1_000_000)
            asked = select(func.max(EventRow.revision)).where(EventRow.at <= cutoff)
            limit = writing.connection.execute(asked).scalar_one() or 0
            _rows(writing.connection, limit, report, dry_run)
            if not dry_run:
                said = event_row(writing, actor, "store.gc", None, {"keep_days": keep_days, **vars(report)})
                writing.connection.execute(insert(EventRow).values(said))
        # Under the writers' lock: whoever adds a record looks, under the same lock, whether its file is still there.
        with database.begin() as connection:
            _files(connection, blobs, time.time() - min_file_age_seconds, report, dry_run)
    if database.is_sqlite and not dry_run and report.states + report.records:
        with explained(str(database.location)), database.engine.connect() as plain:
            plain.connection.execute("VACUUM")
    return report


def _rows(connection: Connection, limit: int, report: GarbageReport, dry_run: bool) -> None:
    def past(model: type[AnnotationRow] | type[ImageRow] | type[SplitRow]) -> list[int]:
        frozen = exists().where(VersionRow.revision >= model.since, VersionRow.revision < model.until)
        asked = select(model.id).where(model.until.is_not(None), model.until <= limit, ~frozen)
        return list(connection.execute(asked).scalars())

    states, splits, images = past(AnnotationRow), past(SplitRow), past(ImageRow)
    masks = set()
    for part in _parts(states):
        masks |= set(connection.execute(select(AnnotationRow.mask_id).where(AnnotationRow.id.in_(part))).scalars())
    gone = set(states)
    for part in _parts(sorted(masks)):
        users = select(AnnotationRow.mask_id, AnnotationRow.id).where(AnnotationRow.mask_id.in_(part))
        masks -= {row.mask_id for row in connection.execute(users) if row.id not in gone}
    report.states, report.masks, report.records = len(states), len(masks), len(images)
    if dry_run:
        return
    for ids, column in (
        (states, AnnotationRow.id),
        (sorted(masks), MaskRow.id),
        (splits, SplitRow.id),
        (images, PixelsRow.image_id),
        (images, FileRow.image_id),
        (images, ImageRow.id),
    ):
        for part in _parts(ids):
            connection.execute(delete(column.class_).where(column.in_(part)))


def _files(connection: Connection, blobs: Blobs, before: float, report: GarbageReport, dry_run: bool) -> None:
    used = set(connection.execute(select(PixelsRow.blob)).scalars())
    for info in list(blobs.infos()):
        if (info.is_leftover or info.name not in used) and info.modified_at < before:
            report.files += 1
            report.file_bytes += info.size
            if not dry_run:
                blobs.delete(info.name)


def _parts(ids: list[int]) -> list[list[int]]:
    return [ids[start : start + _MAX_IN] for start in range(0, len(ids), _MAX_IN)]
