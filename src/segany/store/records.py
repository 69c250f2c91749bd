"""Records: found, listed, loaded, and edited without anyone's edit being lost."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import func, insert, select, update

from segany.errors import ConfigError, ConflictError, NotInStoreError, RecordError
from segany.geometry import Size
from segany.schema import Annotation, ReviewState
from segany.store._editing import Edit
from segany.store._reading import (
    RecordSummary,
    StoredRecord,
    annotation_rows,
    is_there,
    load_records,
    named_rows,
    record_rows,
)
from segany.store._rows import annotation_from_row, annotation_values_of_row, to_identity
from segany.store.database import Database, Writing, to_time
from segany.store.events import event_row
from segany.store.models import AnnotationRow, EventRow, FileRow, ImageRow, MaskRow, PixelsRow, SplitRow
from segany.store.review import ReviewAction

__all__ = ["PastAnnotation", "RecordSummary", "Records"]

_PAGE = 200


@dataclass(frozen=True, eq=False)
class PastAnnotation:
    """One state of an annotation.

    Attributes:
        annotation: As it was.
        since: The revision that made it so.
        until: The revision that ended it, or None while it holds.
    """

    annotation: Annotation
    since: int
    until: int | None


class Records:
    """The records of one store."""

    def __init__(self, database: Database) -> None:
        """Of a store's database."""
        self._database = database

    def get(self, record_id: int, *, revision: int | None = None) -> StoredRecord:
        """One record.

        Args:
            record_id: Its number.
            revision: As it was then; as it is now when left out.

        Raises:
            NotInStoreError: There is none.
        """
        with self._database.read() as connection:
            found = load_records(connection, [record_id], revision)
        if not found:
            raise _no_record(record_id)
        return found[0]

    def annotation(self, record_id: int, annotation_id: int | str) -> Annotation:
        """One annotation of a record, as it is now.

        Args:
            record_id: Which record.
            annotation_id: Which of its annotations.

        Raises:
            NotInStoreError: There is none.
        """
        asked = annotation_rows([record_id], None).where(AnnotationRow.identity == to_identity(annotation_id))
        with self._database.read() as connection:
            size = connection.execute(select(ImageRow.height, ImageRow.width).where(ImageRow.id == record_id)).first()
            row = connection.execute(asked).first()
        if size is None or row is None:
            raise NotInStoreError(f"record {record_id} has no annotation {annotation_id!r}.")
        return annotation_from_row(row, Size(*size))

    def ids(
        self,
        *,
        revision: int | None = None,
        split: str | None = None,
        with_state: ReviewState | None = None,
        has_pixels: bool | None = None,
        has_masks: bool | None = None,
    ) -> list[int]:
        """Numbers of records, rising.

        Args:
            revision: Of those that were there then; now when left out.
            split: Only of this split.
            with_state: Only with an annotation in this state of review.
            has_pixels: Only with, or without, a stored image.
            has_masks: Only with, or without, an annotation.
        """
        asked = record_rows(revision).with_only_columns(ImageRow.id)
        masks = select(AnnotationRow.id).where(AnnotationRow.image_id == ImageRow.id, is_there(AnnotationRow, revision))
        if split is not None:
            asked = asked.where(SplitRow.split == split)
        if with_state is not None:
            asked = asked.where(masks.where(AnnotationRow.review_state == with_state).exists())
        if has_pixels is not None:
            asked = asked.where(PixelsRow.image_id.is_not(None) if has_pixels else PixelsRow.image_id.is_(None))
        if has_masks is not None:
            asked = asked.where(masks.exists() if has_masks else ~masks.exists())
        with self._database.read() as connection:
            return [int(row.id) for row in connection.execute(asked)]

    def named(self, *, limit: int) -> list[tuple[int, int]]:
        """Records with a stored image and an annotation that has a class: number and revision, the last changed first.

        Args:
            limit: Most records.
        """
        with self._database.read() as connection:
            return [(int(row.id), int(row.revision)) for row in connection.execute(named_rows(limit))]

    def iterate(
        self, record_ids: Sequence[int] | None = None, *, revision: int | None = None
    ) -> Iterator[StoredRecord]:
        """Records one after another; memory does not grow with their number.

        Args:
            record_ids: Which; all when left out.
            revision: As they were then. When left out each is as it is when its turn comes.
        """
        wanted = self.ids(revision=revision) if record_ids is None else record_ids
        for start in range(0, len(wanted), _PAGE):
            part = wanted[start : start + _PAGE]
            with self._database.read() as connection:
                found = {record.id: record for record in load_records(connection, part, revision)}
            yield from (found[each] for each in part if each in found)

    def page(
        self, *, after: int = 0, limit: int = 50, split: str | None = None, with_state: ReviewState | None = None
    ) -> list[RecordSummary]:
        """A page of a list, quick at any number of records.

        Args:
            after: The last record of the page before, 0 for the first page.
            limit: Most records.
            split: Only of this split.
            with_state: Only with an annotation in this state of review.
        """
        asked = record_rows(None).where(ImageRow.id > after).limit(limit)
        if split is not None:
            asked = asked.where(SplitRow.split == split)
        live = select(AnnotationRow.id).where(AnnotationRow.image_id == ImageRow.id, is_there(AnnotationRow, None))
        if with_state is not None:
            asked = asked.where(live.where(AnnotationRow.review_state == with_state).exists())
        with self._database.read() as connection:
            rows = connection.execute(asked).all()
            counted = (
                select(AnnotationRow.image_id, AnnotationRow.review_state, func.count())
                .where(AnnotationRow.image_id.in_([row.id for row in rows]), is_there(AnnotationRow, None))
                .group_by(AnnotationRow.image_id, AnnotationRow.review_state)
            )
            masks: dict[int, dict[ReviewState, int]] = {row.id: {} for row in rows}
            for image_id, state, number in connection.execute(counted):
                masks[image_id][cast(ReviewState, state)] = number
        return [
            RecordSummary(
                id=row.id,
                file_name=row.file_name,
                size=Size(row.height, row.width),
                masks=masks[row.id],
                split=row.split,
                has_pixels=row.pixels_digest is not None,
                altered=bool(row.altered),
                revision=row.revision,
            )
            for row in rows
        ]

    def find(self, digest: str) -> int | None:
        """The record of an image, by the digest of its pixels or of a file as it came."""
        asked = (
            select(FileRow.image_id).where(FileRow.source_digest == digest),
            select(PixelsRow.image_id).where(PixelsRow.digest == digest),
            select(ImageRow.id).where(ImageRow.digest == digest, is_there(ImageRow, None)),
        )
        with self._database.read() as connection:
            for each in asked:
                if (found := connection.execute(each.limit(1)).scalar_one_or_none()) is not None:
                    return int(found)
        return None

    def save(
        self,
        record_id: int,
        *,
        expected: int,
        actor: str,
        put: Sequence[Annotation] = (),
        remove: Collection[int | str] = (),
        key: str | None = None,
        note: str | None = None,
    ) -> StoredRecord:
        """Add, change and remove annotations of a record: all of it or nothing.

        Of an annotation whose mask was edited the imported outline is dropped. A state of review may change as the
        table of `segany.store.review` allows.

        Args:
            record_id: Which record.
            expected: The revision of the record that the edit was made on.
            actor: Who edits.
            put: New annotations, and changed ones under the id they have.
            remove: Ids of annotations.
            key: A word that is different for every edit, such as a UUID: saving again under the same key changes
                nothing and succeeds, so that an edit whose answer was lost may be sent again.
            note: For the audit log.

        Returns:
            The record as it is now.

        Raises:
            ConflictError: Someone else changed the record; load it, make the edit again on what is there now.
            NotInStoreError: There is no such record, or no annotation that was to be removed.
            RecordError: A mask does not have the image's size, or an id came twice.
            ReviewError: A state changes as no step of a review does.
        """
        identities = [to_identity(each.id) for each in put] + [to_identity(each) for each in remove]
        if len(set(identities)) < len(identities):
            raise RecordError(f"the edit of record {record_id} names an annotation twice.")
        with self._database.write() as writing:
            if not self._was_saved(writing, key, record_id):
                image = self._checked_image(writing, record_id, expected)
                edit = Edit(writing, image, identities)
                for annotation in put:
                    edit.put(annotation)
                for identity in remove:
                    edit.remove(to_identity(identity))
                edit.finish(actor, "record.edited", key, note)
            return load_records(writing.connection, [record_id])[0]

    def review(
        self,
        record_id: int,
        steps: Mapping[int | str, ReviewAction],
        *,
        expected: int,
        actor: str,
        key: str | None = None,
        note: str | None = None,
    ) -> StoredRecord:
        """Take a step of review with annotations of a record: all of them or none.

        Args:
            record_id: Which record.
            steps: Annotation -> step.
            expected: As in `save`.
            actor: Who reviews.
            key: As in `save`.
            note: Why, for the audit log.

        Raises:
            ConflictError: As `save`.
            NotInStoreError: There is no such record or annotation.
            ReviewError: The step may not be taken from where the annotation is.
        """
        names = {to_identity(identity): action for identity, action in steps.items()}
        with self._database.write() as writing:
            if not self._was_saved(writing, key, record_id):
                image = self._checked_image(writing, record_id, expected)
                edit = Edit(writing, image, list(names))
                for identity, action in names.items():
                    edit.step(identity, action)
                edit.finish(actor, "record.reviewed", key, note)
            return load_records(writing.connection, [record_id])[0]

    def restore(
        self, record_id: int, revision: int, *, expected: int, actor: str, key: str | None = None
    ) -> StoredRecord:
        """Make the annotations of a record what they were at a revision: undo, and redo, of any number of edits.

        Args:
            record_id: Which record.
            revision: What to go back to.
            expected: As in `save`.
            actor: Who does.
            key: As in `save`.

        Raises:
            ConflictError: As `save`.
            NotInStoreError: There is no such record, or was not at that revision.
        """
        with self._database.write() as writing:
            if not self._was_saved(writing, key, record_id):
                image = self._checked_image(writing, record_id, expected)
                if not load_records(writing.connection, [record_id], revision):
                    raise NotInStoreError(f"record {record_id} was not there at revision {revision}.")
                then = {row.identity: row for row in writing.connection.execute(annotation_rows([record_id], revision))}
                now = {row.identity: row for row in writing.connection.execute(annotation_rows([record_id], None))}
                edit = Edit(writing, image, [*{**then, **now}])
                for identity in now.keys() - then.keys():
                    edit.remove(identity)
                for identity, row in then.items():
                    if identity not in now or now[identity].digest != row.digest:
                        edit.replace(annotation_values_of_row(row), row.mask_id, row.origin)
                edit.finish(actor, "record.restored", key, f"to revision {revision}")
            return load_records(writing.connection, [record_id])[0]

    def remove(self, record_id: int, *, expected: int, actor: str, note: str | None = None) -> None:
        """Take a record out of the collection; frozen versions keep it.

        Args:
            record_id: Which record.
            expected: As in `save`.
            actor: Who does.
            note: Why, for the audit log.

        Raises:
            ConflictError: As `save`.
            NotInStoreError: There is none.
        """
        with self._database.write() as writing:
            self._checked_image(writing, record_id, expected)
            ended = {"until": writing.revision}
            for model, column in ((AnnotationRow, AnnotationRow.image_id), (SplitRow, SplitRow.image_id)):
                live = (column == record_id, is_there(model, None))
                writing.connection.execute(update(model).where(*live).values(ended))
            writing.connection.execute(
                update(ImageRow).where(ImageRow.id == record_id).values(**ended, revision=writing.revision)
            )
            said = event_row(writing, actor, "record.removed", record_id, {"note": note} if note else None)
            writing.connection.execute(insert(EventRow).values(said))

    def history(self, record_id: int, annotation_id: int | str | None = None) -> list[PastAnnotation]:
        """Every state of a record's annotations, or of one, the oldest first, as far back as `gc` left them.

        Args:
            record_id: Which record.
            annotation_id: Only this annotation.

        Raises:
            NotInStoreError: There is no such record.
        """
        with self._database.read() as connection:
            size = connection.execute(select(ImageRow.height, ImageRow.width).where(ImageRow.id == record_id)).first()
            if size is None:
                raise _no_record(record_id)
            asked = (
                select(*AnnotationRow.__table__.columns, MaskRow.counts, MaskRow.outline)
                .join(MaskRow, MaskRow.id == AnnotationRow.mask_id)
                .where(AnnotationRow.image_id == record_id)
                .order_by(AnnotationRow.since, AnnotationRow.id)
            )
            if annotation_id is not None:
                asked = asked.where(AnnotationRow.identity == to_identity(annotation_id))
            rows = connection.execute(asked).all()
        return [PastAnnotation(annotation_from_row(row, Size(*size)), row.since, row.until) for row in rows]

    def _was_saved(self, writing: Writing, key: str | None, record_id: int) -> bool:
        """Whether the edit of this key is in already."""
        if key is None:
            return False
        asked = select(EventRow.image_id).where(EventRow.key == key)
        found = writing.connection.execute(asked).first()
        if found is not None and found.image_id != record_id:
            raise ConfigError(f"the key {key!r} was used for an edit of record {found.image_id}; keys are used once.")
        return found is not None

    def _checked_image(self, writing: Writing, record_id: int, expected: int) -> Any:
        asked = select(ImageRow).where(ImageRow.id == record_id, is_there(ImageRow, None))
        image = writing.connection.execute(asked).first()
        if image is None:
            raise _no_record(record_id)
        if image.revision != expected:
            last = writing.connection.execute(
                select(EventRow).where(EventRow.image_id == record_id).order_by(EventRow.id.desc()).limit(1)
            ).first()
            by = "" if last is None else f" by {last.actor} at {to_time(last.at):%Y-%m-%d %H:%M:%S} UTC"
            raise ConflictError(
                f"record {record_id} was changed{by}: it is at revision {image.revision}, and the edit was made on "
                f"{expected}. Nothing was saved; load the record and make the edit on what it holds now.",
                image.revision,
            )
        return image


def _no_record(record_id: int) -> NotInStoreError:
    return NotInStoreError(f"the store has no record {record_id}; `segany store ls` lists them.")
