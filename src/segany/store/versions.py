"""Versions: frozen states of a collection, compared, listed and read again."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select

from segany.errors import ConfigError, NotInStoreError, StoreError
from segany.schema import DatasetVersion
from segany.store._reading import is_there, record_rows
from segany.store._rows import checked_text, from_identity, image_content
from segany.store.database import Database, to_time
from segany.store.events import event_row
from segany.store.models import AnnotationRow, CounterRow, EventRow, ImageRow, PixelsRow, SplitRow, VersionRow

__all__ = ["Difference", "FrozenVersion", "RecordChange", "Versions"]

LIVE = "live"
_PAGE = 2000


@dataclass(frozen=True)
class FrozenVersion:
    """A line of the log.

    Attributes:
        name: Its name.
        digest: sha256 over all that it holds; equal for equal contents, in whichever store.
        revision: The revision that it is.
        records: Number of records.
        masks: Number of annotations.
        message: What it is for.
        actor: Who froze it.
        at: When.
    """

    name: str
    digest: str
    revision: int
    records: int
    masks: int
    message: str
    actor: str
    at: datetime


@dataclass(frozen=True)
class RecordChange:
    """How a record differs between two versions.

    Attributes:
        record_id: Which record.
        kind: "added", "removed" or "changed".
        added: Annotations that only the later one has.
        removed: Annotations that only the earlier one has.
        changed: Annotations that both have, with different content.
        moved: Whether it is in another split.
        got_image: Whether its image was stored in between.
    """

    record_id: int
    kind: str
    added: tuple[int | str, ...] = ()
    removed: tuple[int | str, ...] = ()
    changed: tuple[int | str, ...] = ()
    moved: bool = False
    got_image: bool = False


@dataclass(frozen=True)
class Difference:
    """What lies between two versions.

    Attributes:
        before: Name of the one.
        after: Name of the other.
        changes: One for each record that differs, by number.
    """

    before: str
    after: str
    changes: tuple[RecordChange, ...]

    def count(self, kind: str) -> int:
        """Records of a kind of change."""
        return sum(change.kind == kind for change in self.changes)


class Versions:
    """The versions of one store."""

    def __init__(self, database: Database) -> None:
        """Of a store's database."""
        self._database = database

    def freeze(self, name: str, *, actor: str, message: str = "") -> FrozenVersion:
        """Give the present content a name under which it stays as it is.

        Freezing again under a name is fine as long as nothing changed, so that it can be repeated after a crash.

        Args:
            name: New; "live" means the present content and cannot be taken.
            actor: Who freezes.
            message: What it is for.

        Raises:
            ConfigError: The name is taken by another content, or cannot be one.
        """
        checked_text(name, "a version's name")
        if not name.strip() or name == LIVE:
            raise ConfigError(f"a version's name must be a word other than {LIVE!r}, got {name!r}.")
        # Nothing is deleted meanwhile; edits go on, and do not reach the revision that is frozen.
        with self._database.alone("maintenance"):
            with self._database.read() as connection:
                revision = int(connection.execute(select(CounterRow.revision)).scalar_one())
            digest, records, masks = self.measure(revision)
            with self._database.write() as writing:
                taken = self._row(writing.connection, name)
                if taken is not None:
                    if taken.digest != digest:
                        raise ConfigError(
                            f"the version {name} was frozen on {to_time(taken.at):%Y-%m-%d} with other content and "
                            "stays as it is; choose another name."
                        )
                    return _frozen(taken)
                row = {
                    "name": name,
                    "revision": revision,
                    "digest": digest,
                    "records": records,
                    "masks": masks,
                    "message": checked_text(message, "a message"),
                    "actor": actor,
                    "at": writing.at,
                }
                writing.connection.execute(insert(VersionRow).values(row))
                said = event_row(writing, actor, "version.frozen", None, {"name": name, "digest": digest})
                writing.connection.execute(insert(EventRow).values(said))
        return self.get(name)

    def get(self, name: str) -> FrozenVersion:
        """A version by name. Raises NotInStoreError."""
        with self._database.read() as connection:
            row = self._row(connection, name)
            if row is None:
                names = connection.execute(select(VersionRow.name).order_by(VersionRow.id.desc()).limit(5)).scalars()
                there = ", ".join(names) or "none yet"
                raise NotInStoreError(f"the store has no version {name!r} (the last ones: {there}).")
        return _frozen(row)

    def log(self) -> list[FrozenVersion]:
        """All versions, the newest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(VersionRow).order_by(VersionRow.id.desc())).all()
        return [_frozen(row) for row in rows]

    def revision(self, name: str) -> int | None:
        """The revision of a version, None for "live". Raises NotInStoreError."""
        return None if name == LIVE else self.get(name).revision

    def checkout(self, name: str) -> DatasetVersion:
        """A version with its records and splits: what a run is trained on. Raises NotInStoreError."""
        version = self.get(name)
        asked = record_rows(version.revision).with_only_columns(ImageRow.id, SplitRow.split)
        with self._database.read() as connection:
            rows = connection.execute(asked).all()
        split: dict[int | str, str] = {row.id: row.split for row in rows if row.split is not None}
        return DatasetVersion(version.name, version.digest, tuple(row.id for row in rows), split)

    def diff(self, before: str, after: str = LIVE) -> Difference:
        """What was added, removed and changed from one version to another.

        Args:
            before: Name of a version.
            after: Name of a version, or "live" for the present content.

        Raises:
            NotInStoreError: There is no such version.
        """
        first, last = self._number(before), self._number(after)
        if first > last:
            turned = self.diff(after, before)
            return Difference(before, after, tuple(_turned(change) for change in turned.changes))
        with self._database.read() as connection:
            return Difference(before, after, tuple(_changes(connection, first, last)))

    def measure(self, revision: int) -> tuple[str, int, int]:
        """Digest, number of records and number of annotations of a revision.

        The digest does not depend on the order in which records came nor on the numbers that this store gave them.
        """
        digests: list[bytes] = []
        masks = 0
        with self._database.read() as connection:
            for row, annotations in _by_record(connection, revision):
                stored = row.pixels_digest is not None
                digest = row.pixels_digest if stored else row.digest
                source_digest = row.pixels_source if stored else row.source_digest
                record = hashlib.sha256(image_content(row, digest, source_digest, row.split))
                record.update(b"".join(sorted(annotations)))
                digests.append(record.digest())
                masks += len(annotations)
        return hashlib.sha256(b"".join(sorted(digests))).hexdigest(), len(digests), masks

    def verify(self, name: str) -> None:
        """Compute a version's digest again. Raises StoreError when it is another one."""
        version = self.get(name)
        if self.measure(version.revision) != (version.digest, version.records, version.masks):
            raise StoreError(f"the version {name} no longer has the digest that it was frozen with; the data changed.")

    def _number(self, name: str) -> int:
        revision = self.revision(name)
        if revision is not None:
            return revision
        with self._database.read() as connection:
            return int(connection.execute(select(CounterRow.revision)).scalar_one())

    def _row(self, connection: Connection, name: str) -> Any:
        return connection.execute(select(VersionRow).where(VersionRow.name == name)).first()


def _frozen(row: Any) -> FrozenVersion:
    return FrozenVersion(
        row.name, row.digest, row.revision, row.records, row.masks, row.message, row.actor, to_time(row.at)
    )


def _by_record(connection: Connection, revision: int) -> Iterator[tuple[Any, list[bytes]]]:
    """Rows of records with the digests of their annotations, page by page."""
    last = 0
    while True:
        rows = connection.execute(record_rows(revision).where(ImageRow.id > last).limit(_PAGE)).all()
        if not rows:
            return
        annotations: dict[int, list[bytes]] = {row.id: [] for row in rows}
        asked = select(AnnotationRow.image_id, AnnotationRow.digest).where(
            AnnotationRow.image_id.between(rows[0].id, rows[-1].id), is_there(AnnotationRow, revision)
        )
        for image_id, digest in connection.execute(asked):
            annotations[image_id].append(digest)
        yield from ((row, annotations[row.id]) for row in rows)
        last = rows[-1].id


def _changes(connection: Connection, first: int, last: int) -> Iterator[RecordChange]:
    """Only rows that began or ended in between are looked at."""
    between = _between(AnnotationRow, first, last)
    rows = connection.execute(
        select(
            AnnotationRow.image_id,
            AnnotationRow.identity,
            AnnotationRow.digest,
            is_there(AnnotationRow, first).label("was"),
            is_there(AnnotationRow, last).label("remains"),
        ).where(between)
    ).all()
    before: dict[int, dict[str, bytes]] = {}
    after: dict[int, dict[str, bytes]] = {}
    for image_id, identity, digest, was, remains in rows:
        # A row that began and ended in between was never in either version.
        if was:
            before.setdefault(image_id, {})[identity] = digest
        if remains:
            after.setdefault(image_id, {})[identity] = digest
    images = select(
        ImageRow.id, is_there(ImageRow, first).label("was"), is_there(ImageRow, last).label("remains")
    ).where(_between(ImageRow, first, last))
    kinds = {row.id: (bool(row.was), bool(row.remains)) for row in connection.execute(images)}
    moved, got_image = _moved(connection, first, last), _got_image(connection, first, last)
    for image_id in sorted({*before, *after, *kinds, *moved, *got_image}):
        was, remains = kinds.get(image_id, (True, True))
        old, new = before.get(image_id, {}), after.get(image_id, {})
        if not was and not remains:
            continue
        stays = was and remains
        change = RecordChange(
            image_id,
            "changed" if stays else "added" if remains else "removed",
            added=tuple(from_identity(each) for each in new if each not in old),
            removed=tuple(from_identity(each) for each in old if each not in new),
            changed=tuple(from_identity(each) for each in new if each in old and new[each] != old[each]),
            moved=stays and image_id in moved,
            got_image=stays and image_id in got_image,
        )
        if not stays or change.added or change.removed or change.changed or change.moved or change.got_image:
            yield change


def _got_image(connection: Connection, first: int, last: int) -> set[int]:
    pixels = select(PixelsRow.image_id).where(PixelsRow.since > first, PixelsRow.since <= last)
    return set(connection.execute(pixels).scalars())


def _moved(connection: Connection, first: int, last: int) -> set[int]:
    """Records in another split."""
    splits = select(
        SplitRow.image_id,
        func.max(SplitRow.split).filter(is_there(SplitRow, first)).label("before"),
        func.max(SplitRow.split).filter(is_there(SplitRow, last)).label("after"),
    )
    moved = splits.where(_between(SplitRow, first, last)).group_by(SplitRow.image_id)
    return {row.image_id for row in connection.execute(moved) if row.before != row.after}


def _between(model: type[AnnotationRow] | type[ImageRow] | type[SplitRow], first: int, last: int) -> Any:
    """Rows that began or ended after the one revision, up to the other."""
    began = (model.since > first) & (model.since <= last)
    ended = (model.until > first) & (model.until <= last)
    return or_(began, ended)


def _turned(change: RecordChange) -> RecordChange:
    kind = {"added": "removed", "removed": "added"}.get(change.kind, change.kind)
    return replace(change, kind=kind, added=change.removed, removed=change.added)
