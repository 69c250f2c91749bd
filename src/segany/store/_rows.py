"""Images and annotations as rows, both ways, and the digest of what a row says."""

import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from segany.errors import RecordError
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, AnnotationSource, ImageInfo, Parent, Prompt, Record, ReviewState
from segany.store.database import to_micros, to_time

__all__ = [
    "AnnotationValues",
    "annotation_from_row",
    "annotation_values",
    "annotation_values_of_row",
    "checked_text",
    "from_identity",
    "image_content",
    "image_values",
    "record_from_row",
    "renamed",
    "to_identity",
    "to_json",
    "with_state",
]

_MAX_VERTICES = 10_000_000
# The columns that say what an annotation is; the others say where its row stands.
_CONTENT = (
    "identity",
    "source",
    "review_state",
    "category",
    "iscrowd",
    "area",
    "x0",
    "y0",
    "x1",
    "y1",
    "predicted_iou",
    "stability_score",
    "model_digest",
    "annotator",
    "seconds_spent",
    "parent",
    "created_at",
    "details",
)

AnnotationValues = tuple[dict[str, Any], bytes, bytes | None]
"""Columns of the annotation with their digest, run lengths, outline."""


def to_json(value: Any, what: str) -> str:
    """JSON text of a value. Raises RecordError when it has none."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"{what} cannot be kept as JSON: {error}.") from error


def to_identity(identity: Any) -> str:
    """An id as the store writes it. Raises RecordError when it is neither a whole number nor text."""
    if isinstance(identity, str):
        return json.dumps(identity)
    if isinstance(identity, Integral) and not isinstance(identity, bool):
        return str(int(identity))
    raise RecordError(f"an id must be a whole number or text, got {identity!r:.60}.")


def from_identity(text: str) -> int | str:
    """The inverse of `to_identity`."""
    value = json.loads(text)
    return value if isinstance(value, str) else int(value)


def checked_text(value: str | None, what: str) -> str | None:
    """Text that both databases can hold. Raises RecordError for anything else."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise RecordError(f"{what} must be text, got {type(value).__name__}.")
    if "\0" in value:
        raise RecordError(f"{what} must not hold the character NUL, got {value!r:.60}.")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RecordError(f"{what} is no valid text: {value!r:.60}.") from error
    return value


def annotation_values(annotation: Annotation, where: str) -> AnnotationValues:
    """An annotation as columns.

    Args:
        annotation: Checked at its birth but for what only matters here.
        where: What messages call its record.

    Raises:
        RecordError: A value cannot be kept: NaN, NUL in text, `extra` that is no JSON.
    """
    where = f"{where}: annotation {annotation.id!r:.40}"
    details: dict[str, Any] = {}
    if annotation.point_coords:
        details["point_coords"] = [[float(x), float(y)] for x, y in annotation.point_coords]
    if annotation.crop_box is not None:
        details["crop_box"] = [float(v) for v in annotation.crop_box]
    if annotation.prompts:
        details["prompts"] = [prompt.to_dict() for prompt in annotation.prompts]
    if annotation.extra:
        details["extra"] = dict(annotation.extra)
    x0, y0, x1, y1 = annotation.box
    created = annotation.created_at
    row: dict[str, Any] = {
        "identity": to_identity(annotation.id),
        "source": annotation.source,
        "review_state": annotation.review_state,
        "category": checked_text(annotation.category, f"{where}: category"),
        "iscrowd": bool(annotation.iscrowd),
        "area": int(annotation.area),
        "x0": _finite(x0, where, "box"),
        "y0": _finite(y0, where, "box"),
        "x1": _finite(x1, where, "box"),
        "y1": _finite(y1, where, "box"),
        "predicted_iou": _finite(annotation.predicted_iou, where, "predicted_iou"),
        "stability_score": _finite(annotation.stability_score, where, "stability_score"),
        "model_digest": checked_text(annotation.model_digest, f"{where}: model_digest"),
        "annotator": checked_text(annotation.annotator, f"{where}: annotator"),
        "seconds_spent": _finite(annotation.seconds_spent, where, "seconds_spent"),
        "parent": None if annotation.parent_id is None else to_identity(annotation.parent_id),
        "created_at": None if created is None else to_micros(created),
        "details": to_json(details, where) if details else None,
    }
    outline = None if annotation.outline is None else _pack_rings(annotation.outline, where)
    counts = annotation.segmentation.counts
    row["digest"] = _digest(row, counts, annotation.outline)
    return row, counts, outline


def renamed(values: AnnotationValues, names: Mapping[str, str]) -> AnnotationValues:
    """The same annotation under other ids.

    Args:
        values: From `annotation_values`.
        names: Old identity -> new one, for the annotation's own id and its parent's.
    """
    columns, counts, outline = values
    row = dict(columns)
    for column in ("identity", "parent"):
        row[column] = names.get(row[column], row[column])
    row["digest"] = _digest(row, counts, None if outline is None else _unpack_rings(outline))
    return row, counts, outline


def annotation_values_of_row(row: Any) -> AnnotationValues:
    """The same from a stored row, its digest computed anew."""
    values = {name: getattr(row, name) for name in _CONTENT}
    outline = None if row.outline is None else _unpack_rings(row.outline)
    values["digest"] = _digest(values, row.counts, outline)
    return values, row.counts, row.outline


def with_state(row: Any, state: ReviewState) -> AnnotationValues:
    """The values of a stored row in another state of review."""
    columns, counts, outline = annotation_values_of_row(row)
    columns = {**columns, "review_state": state}
    columns["digest"] = _digest(columns, counts, None if outline is None else _unpack_rings(outline))
    return columns, counts, outline


def annotation_from_row(row: Any, size: Size) -> Annotation:
    """The inverse of `annotation_values`. Raises MaskError when the run lengths are damaged."""
    details: dict[str, Any] = json.loads(row.details) if row.details else {}
    crop_box = details.get("crop_box")
    return Annotation(
        id=from_identity(row.identity),
        segmentation=RLE(size, row.counts),
        box=(row.x0, row.y0, row.x1, row.y1),
        area=row.area,
        predicted_iou=row.predicted_iou,
        stability_score=row.stability_score,
        point_coords=tuple((x, y) for x, y in details.get("point_coords", ())),
        crop_box=None if crop_box is None else (crop_box[0], crop_box[1], crop_box[2], crop_box[3]),
        source=cast(AnnotationSource, row.source),
        category=row.category,
        iscrowd=bool(row.iscrowd),
        prompts=tuple(Prompt.from_dict(prompt) for prompt in details.get("prompts", ())),
        model_digest=row.model_digest,
        annotator=row.annotator,
        seconds_spent=row.seconds_spent,
        parent_id=None if row.parent is None else from_identity(row.parent),
        review_state=cast(ReviewState, row.review_state),
        created_at=None if row.created_at is None else to_time(row.created_at),
        outline=None if row.outline is None else _unpack_rings(row.outline),
        extra=details.get("extra", {}),
    )


def image_values(record: Record) -> dict[str, Any]:
    """What is known of a record's image as columns. Raises RecordError as `annotation_values`."""
    info = record.image
    where = f"image {info.file_name!r:.60}"
    parent = info.parent
    details = {
        "parent": parent and [parent.kind, parent.parent_id, parent.index],
        "spacing": info.spacing,
        "affine": info.affine,
        "crs": info.crs,
        "licence": info.licence,
        "ignore": record.ignore and record.ignore.counts.decode("ascii"),
        "extra": dict(record.extra) or None,
    }
    kept = {key: value for key, value in details.items() if value is not None}
    identity = to_identity(info.image_id)
    file_name = checked_text(info.file_name, f"{where}: file_name")
    height, width = (int(side) for side in info.size)
    key = json.dumps([identity, file_name, height, width])
    return {
        "identity": identity,
        "file_name": file_name,
        "height": height,
        "width": width,
        "channels": int(info.channels),
        "dtype": checked_text(info.dtype, f"{where}: dtype"),
        "digest": checked_text(info.digest, f"{where}: digest"),
        "source_digest": checked_text(info.source_digest, f"{where}: source_digest"),
        "details": to_json(kept, where) if kept else None,
        "group_name": checked_text(info.group, f"{where}: group"),
        "origin_key": hashlib.sha256(key.encode()).digest(),
    }


def record_from_row(row: Any, annotations: Sequence[Annotation]) -> Record:
    """The inverse of `image_values`.

    Args:
        row: Of `images`, with the digests of the stored pixels as `pixels_digest` and `pixels_source`.
        annotations: Of the record.
    """
    details: Mapping[str, Any] = json.loads(row.details) if row.details else {}
    parent, spacing, affine, ignore = (details.get(key) for key in ("parent", "spacing", "affine", "ignore"))
    stored = row.pixels_digest is not None
    size = Size(row.height, row.width)
    info = ImageInfo(
        image_id=from_identity(row.identity),
        file_name=row.file_name,
        size=size,
        digest=row.pixels_digest if stored else row.digest,
        source_digest=row.pixels_source if stored else row.source_digest,
        channels=row.channels,
        dtype=row.dtype,
        parent=None if parent is None else Parent(*parent),
        spacing=None if spacing is None else tuple(spacing),
        affine=None if affine is None else tuple(affine),
        crs=details.get("crs"),
        licence=details.get("licence"),
        group=row.group_name,
    )
    extra = details.get("extra", {})
    return Record(info, tuple(annotations), None if ignore is None else RLE(size, ignore.encode("ascii")), extra)


def image_content(row: Any, digest: str | None, source_digest: str | None, split: str | None) -> bytes:
    """What a frozen version says of a record beside its annotations, as bytes to hash."""
    said = (row.identity, row.file_name, row.height, row.width, row.channels, row.dtype, row.details, row.group_name)
    return json.dumps([*said, digest, source_digest, split]).encode()


def _finite(value: float | None, where: str, what: str) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise RecordError(f"{where}: {what} must be a finite number, got {number}.")
    return number


def _digest(row: Mapping[str, Any], counts: bytes, outline: tuple[NDArray[np.float64], ...] | None) -> bytes:
    """sha256 of the content, the same on every machine and in every database."""
    said = json.dumps([row[name] for name in _CONTENT])
    digest = hashlib.sha256(f"{len(said)} {len(counts)} {said}".encode())
    digest.update(counts)
    for ring in outline or ():
        digest.update(f"{len(ring)} ".encode())
        digest.update(np.ascontiguousarray(ring, dtype="<f8").tobytes())
    return digest.digest()


def _pack_rings(rings: tuple[NDArray[np.float64], ...], where: str) -> bytes:
    """Number of rings, their lengths, all vertices; deflated."""
    total = sum(len(ring) for ring in rings)
    if total > _MAX_VERTICES:
        raise RecordError(f"{where}: an outline may have {_MAX_VERTICES:,} vertices, got {total:,}; simplify it.")
    lengths = np.array([len(rings), *(len(ring) for ring in rings)], dtype="<i8")
    vertices = [np.ascontiguousarray(ring, dtype="<f8").tobytes() for ring in rings]
    return zlib.compress(b"".join([lengths.tobytes(), *vertices]), level=1)


def _unpack_rings(packed: bytes) -> tuple[NDArray[np.float64], ...]:
    content = zlib.decompress(packed)
    count = int(np.frombuffer(content, "<i8", 1)[0])
    lengths = np.frombuffer(content, "<i8", count, 8)
    vertices = np.frombuffer(content, "<f8", offset=8 * (count + 1)).reshape(-1, 2)
    return tuple(np.split(vertices, np.cumsum(lengths)[:-1])) if count else ()
