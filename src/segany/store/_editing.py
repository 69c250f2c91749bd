"""Changes of one record within a transaction: rows that end, and rows that begin."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import insert, update

from segany.errors import NotInStoreError, RecordError
from segany.geometry import Size
from segany.schema import Annotation
from segany.store._reading import annotation_rows
from segany.store._rows import AnnotationValues, annotation_values, from_identity, with_state
from segany.store.database import Writing
from segany.store.events import event_row
from segany.store.models import AnnotationRow, EventRow, ImageRow, MaskRow
from segany.store.review import ReviewAction, check_change, next_state

__all__ = ["Edit"]


class Edit:
    """One edit; nothing but what it ends and begins is written, at `finish`."""

    def __init__(self, writing: Writing, image: Any, identities: Sequence[str]) -> None:
        """Look at what the edit will touch.

        Args:
            writing: The transaction.
            image: The record's row of `images`.
            identities: Annotations that will be touched.
        """
        self._writing, self._image = writing, image
        asked = annotation_rows([image.id], None).where(AnnotationRow.identity.in_(identities))
        self._live = {row.identity: row for row in writing.connection.execute(asked)}
        self._ended: list[int] = []
        self._masks: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._told: dict[str, list[Any]] = {"added": [], "changed": [], "removed": []}

    def put(self, annotation: Annotation) -> None:
        """Add an annotation, or change the one of its id; the same again changes nothing."""
        where, size = f"record {self._image.id}", Size(self._image.height, self._image.width)
        if annotation.segmentation.size != size:
            raise RecordError(
                f"{where}: the mask of annotation {annotation.id} is {annotation.segmentation.size} but the image is "
                f"{size}."
            )
        columns, counts, outline = annotation_values(annotation, where)
        live = self._live.get(columns["identity"])
        if live is None:
            self.replace((columns, counts, outline), None, None)
            return
        if live.digest == columns["digest"]:
            return
        check_change(live.review_state, annotation.review_state)
        if outline is not None and outline == live.outline and counts != live.counts:
            # The polygons as imported no longer are those of the mask.
            columns, counts, outline = annotation_values(replace(annotation, outline=None), where)
        same_mask = counts == live.counts and outline == live.outline
        self.replace((columns, counts, outline), live.mask_id if same_mask else None, live.origin)

    def step(self, identity: str, action: ReviewAction) -> None:
        """Take a step of review."""
        live = self._existing(identity)
        self.replace(with_state(live, next_state(live.review_state, action)), live.mask_id, live.origin)

    def remove(self, identity: str) -> None:
        """End an annotation."""
        self._ended.append(self._existing(identity).id)
        self._told["removed"].append(from_identity(identity))

    def replace(self, values: AnnotationValues, mask_id: int | None, origin: str | None) -> None:
        """Begin an annotation, and end the one of its id; `mask_id` names a mask that is stored already."""
        columns, counts, outline = values
        identity = columns["identity"]
        if identity in self._live:
            self._ended.append(self._live[identity].id)
        self._told["changed" if identity in self._live else "added"].append(from_identity(identity))
        if mask_id is None:
            mask_id = self._writing.new_id("mask")
            self._masks.append({"id": mask_id, "counts": counts, "outline": outline})
        self._rows.append(
            {
                **columns,
                "id": self._writing.new_id("annotation"),
                "image_id": self._image.id,
                "mask_id": mask_id,
                "origin": origin,
                "since": self._writing.revision,
                "until": None,
            }
        )

    def finish(self, actor: str, kind: str, key: str | None, note: str | None) -> None:
        """Write it, with its event."""
        connection, revision = self._writing.connection, self._writing.revision
        if self._ended:
            ended = update(AnnotationRow).where(AnnotationRow.id.in_(self._ended))
            connection.execute(ended.values(until=revision))
        self._writing.insert(MaskRow, self._masks)
        self._writing.insert(AnnotationRow, self._rows)
        changed = {name: ids for name, ids in self._told.items() if ids}
        if changed:
            connection.execute(update(ImageRow).where(ImageRow.id == self._image.id).values(revision=revision))
        if changed or key is not None:
            said = event_row(
                self._writing, actor, kind, self._image.id, {**changed, **({"note": note} if note else {})}, key
            )
            connection.execute(insert(EventRow).values(said))

    def _existing(self, identity: str) -> Any:
        live = self._live.get(identity)
        if live is None:
            raise NotInStoreError(f"record {self._image.id} has no annotation {from_identity(identity)!r}.")
        return live
