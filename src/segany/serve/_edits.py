"""Edits as they come over HTTP: what the client may say of an annotation, and what only the server says."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from segany.errors import RecordError
from segany.geometry import Size
from segany.schema import Annotation
from segany.serve._answers import schema_prompt
from segany.serve._images import StoredImage
from segany.store import Store, StoredRecord
from segany.wire import AnnotationInput, EditRequest

__all__ = ["SavedEdit", "save_edit"]

# What a client says as it is; the rest of an annotation is the server's.
_SAID = (
    *("category", "source", "iscrowd", "predicted_iou", "stability_score"),
    *("seconds_spent", "parent_id", "model_digest"),
)


class SavedEdit(NamedTuple):
    """What became of an edit.

    Attributes:
        record: As it is now.
        is_next: Whether it is what the edit was made on, with the edit: not so when the edit came a second time.
    """

    record: StoredRecord
    is_next: bool


def save_edit(store: Store, record_id: int, asked: EditRequest, actor: str) -> SavedEdit:
    """Save an edit; blocks.

    Args:
        store: Where to.
        record_id: Of which record.
        asked: The edit.
        actor: Who makes it.

    Raises:
        ConflictError: Someone else changed the record.
        NotInStoreError: There is no such record, or no annotation that was to be removed.
        RecordError: A mask does not have the image's size, or an id came twice.
    """
    now = store.records.get(record_id)
    # Compared by `save` itself; when the record moved on meanwhile it refuses, whatever is made of it here.
    there = {annotation.id: annotation for annotation in now.record.annotations}
    size = now.record.image.size
    put = [_annotation(each, there, StoredImage(record_id, now.record.image.digest or "", size)) for each in asked.put]
    put = [_signed(annotation, there, actor) for annotation in put]
    saved = store.records.save(
        record_id,
        expected=asked.expected,
        actor=actor,
        put=put,
        remove=asked.remove,
        key=asked.key,
        note=asked.note,
    )
    # What moved on after it was read was refused by `save`, unless this very edit moved it.
    return SavedEdit(saved, now.revision == asked.expected)


def _annotation(given: AnnotationInput, there: Mapping[int | str, Annotation], image: StoredImage) -> Annotation:
    size = Size(*given.mask.size)
    if size != image.size:
        raise RecordError(f"the mask of annotation {given.id!r} is {size} but the image is {image.size}.")
    rle = given.mask.rle()
    said: dict[str, Any] = {name: getattr(given, name) for name in _SAID if name in given.model_fields_set}
    if "prompts" in given.model_fields_set:
        # Of what only lived in the server's memory nothing is kept.
        kept = [words.model_copy(update={"logits": None}) for words in given.prompts]
        said["prompts"] = tuple(
            schema_prompt(words, image) for words in kept if words.points or words.box or words.mask
        )
    before = there.get(given.id)
    if before is None:
        return Annotation(given.id, rle, **{"source": "manual", **said})
    if rle != before.segmentation:
        x0, y0, x1, y1 = (float(side) for side in rle.box)
        said |= {"segmentation": rle, "box": (x0, y0, x1, y1), "area": rle.area}
    return replace(before, **said)


def _signed(annotation: Annotation, there: Mapping[int | str, Annotation], actor: str) -> Annotation:
    """Who and when; what was reviewed has to be reviewed again when it was changed."""
    before = there.get(annotation.id)
    if before is None:
        return replace(annotation, annotator=actor, created_at=datetime.now(UTC), review_state="unreviewed")
    if _same(annotation, before):
        return before
    return replace(annotation, annotator=actor, review_state="unreviewed")


def _same(one: Annotation, other: Annotation) -> bool:
    if one.segmentation != other.segmentation or any(getattr(one, name) != getattr(other, name) for name in _SAID):
        return False
    return [prompt.to_dict() for prompt in one.prompts] == [prompt.to_dict() for prompt in other.prompts]
