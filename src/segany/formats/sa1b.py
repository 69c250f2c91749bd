"""The SA-1B record: one JSON file for each image (SAM paper, sec. 5), both ways.

```text
{"image": {"image_id", "width", "height", "file_name"},
 "annotations": [{"id", "segmentation": {"size": [h, w], "counts"}, "bbox": [x, y, w, h], "area", "predicted_iou",
                  "stability_score", "point_coords": [[x, y]], "crop_box": [x, y, w, h]}]}
```

What SA-1B has no field for stands under the key "segany" of the image and of each annotation, where it differs from
the default, so that a record survives the way to the file and back. Other fields of an annotation are kept in its
`extra` and written again; other fields of the image or the document are not kept.
"""

import json
import os
from datetime import datetime
from typing import Any, cast, get_args

import numpy as np

from segany.errors import InputError, MaskError, RecordError
from segany.files import write_text
from segany.formats._json import Fields, read_json
from segany.geometry import Size, xywh_to_xyxy, xyxy_to_xywh
from segany.masks.rle import MAX_PIXELS, RLE
from segany.schema import Annotation, AnnotationSource, ImageInfo, Parent, Prompt, Record, ReviewState
from segany.settings import DEFAULT_MAX_PIXELS

__all__ = ["MAX_ANNOTATIONS", "read_record", "record_from_json", "record_to_json", "write_record"]

MAX_ANNOTATIONS = 100_000
_OWN = "segany"
_FIELDS = frozenset(
    {"id", "segmentation", "bbox", "area", "predicted_iou", "stability_score", "point_coords", "crop_box", _OWN}
)


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read a record file.

    The mask decides: box and area are taken from it, because files of the reference generator give boxes that are one
    pixel short in width and in height.

    Args:
        path: A JSON file.

    Raises:
        RecordError: The file cannot be read or is not a valid record; the message names file, annotation and field.
    """
    return record_from_json(read_json(path), os.fspath(path))


def write_record(record: Record, path: str | os.PathLike[str]) -> None:
    """Write a record file, atomically; numbers are not rounded.

    Args:
        record: What to write.
        path: The JSON file.

    Raises:
        RecordError: A value (of `extra`, say) cannot be written as JSON.
        OutputError: The file cannot be written.
    """
    try:
        text = json.dumps(record_to_json(record), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"the record of {record.image.file_name} cannot be written as JSON: {error}.") from error
    write_text(path, f"{text}\n")


def record_to_json(record: Record) -> dict[str, Any]:
    """A record as JSON values."""
    info = record.image
    image: dict[str, Any] = {
        "image_id": info.image_id,
        "width": info.size.width,
        "height": info.size.height,
        "file_name": info.file_name,
    }
    if own := _own_of_image(info):
        image[_OWN] = own
    return {"image": image, "annotations": [_annotation_to_json(each, info.size) for each in record.annotations]}


def record_from_json(document: Any, name: str) -> Record:
    """A record from JSON values.

    Args:
        document: As `json.load` gives it.
        name: What the messages call it: the file's path.

    Raises:
        RecordError: As `read_record`.
    """
    fields = Fields.of(document, name)
    image = fields.require(fields.child("image"), "image")
    entries = fields.require(fields.items("annotations"), "annotations")
    if len(entries) > MAX_ANNOTATIONS:
        raise RecordError(f"{name} has {len(entries)} annotations; a record may have {MAX_ANNOTATIONS}.")
    info = _image_from_json(image)
    annotations = tuple(_annotation_from_json(entry, index, name) for index, entry in enumerate(entries))
    try:
        return Record(info, annotations)
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from error


def _annotation_to_json(annotation: Annotation, size: Size) -> dict[str, Any]:
    crop = annotation.crop_box or (0, 0, size.width, size.height)
    values: dict[str, Any] = {
        "id": annotation.id,
        "segmentation": annotation.segmentation.to_coco(),
        "bbox": _whole_where_exact(xyxy_to_xywh(annotation.box).tolist()),
        "area": annotation.area,
        "predicted_iou": _plain(annotation.predicted_iou),
        "stability_score": _plain(annotation.stability_score),
        "point_coords": [[float(x), float(y)] for x, y in annotation.point_coords],
        "crop_box": _whole_where_exact(xyxy_to_xywh(crop).tolist()),
    }
    own = {
        "source": None if annotation.source == "automatic" else annotation.source,
        "category": annotation.category,
        "iscrowd": annotation.iscrowd or None,
        "prompts": [prompt.to_dict() for prompt in annotation.prompts] or None,
        "model_digest": annotation.model_digest,
        "annotator": annotation.annotator,
        "seconds_spent": annotation.seconds_spent,
        "parent_id": annotation.parent_id,
        "review_state": None if annotation.review_state == "unreviewed" else annotation.review_state,
        "created_at": annotation.created_at.isoformat() if annotation.created_at else None,
        "outline": None if annotation.outline is None else [ring.tolist() for ring in annotation.outline],
    }
    own = {key: value for key, value in own.items() if value is not None}
    extra = {key: value for key, value in annotation.extra.items() if key not in _FIELDS}
    return {**values, **extra, **({_OWN: own} if own else {})}


def _annotation_from_json(entry: Any, index: int, name: str) -> Annotation:
    fields = Fields.of(entry, f"{name}: annotation {index}")
    identity = fields.identity("id")
    if identity is None:
        raise fields.missing("id")
    fields = Fields(fields.values, f"{name}: annotation {index} (id {str(identity)[:40]})")
    segmentation = fields.require(fields.child("segmentation"), "segmentation")
    # Checked though not used: a file in which these are no numbers is damaged.
    fields.numbers("bbox", 4)
    fields.number("area")
    crop_box = fields.numbers("crop_box", 4)
    own = fields.child(_OWN) or Fields({}, fields.where)
    outline = own.rings("outline")
    try:
        return Annotation(
            id=identity,
            segmentation=_rle(segmentation),
            predicted_iou=fields.number("predicted_iou"),
            stability_score=fields.number("stability_score"),
            point_coords=fields.points("point_coords") or (),
            crop_box=None if crop_box is None else cast(tuple[float, float, float, float], _xyxy(crop_box)),
            source=cast(AnnotationSource, _one_of(own, "source", get_args(AnnotationSource)) or "automatic"),
            category=own.text("category"),
            iscrowd=own.flag("iscrowd") or False,
            prompts=tuple(_prompt_from_json(own, each) for each in own.items("prompts") or ()),
            model_digest=own.text("model_digest"),
            annotator=own.text("annotator"),
            seconds_spent=own.number("seconds_spent"),
            parent_id=own.identity("parent_id"),
            review_state=cast(ReviewState, _one_of(own, "review_state", get_args(ReviewState)) or "unreviewed"),
            created_at=_time(own, "created_at"),
            outline=None if outline is None else tuple(np.array(ring).reshape(-1, 2) for ring in outline),
            extra={key: value for key, value in fields.values.items() if key not in _FIELDS},
        )
    except RecordError:
        raise
    except InputError as error:
        raise RecordError(f"{fields.where}: {error}") from error


def _own_of_image(info: ImageInfo) -> dict[str, Any]:
    parent = info.parent
    own = {
        "digest": info.digest,
        "source_digest": info.source_digest,
        "channels": None if info.channels == 3 else info.channels,
        "dtype": None if info.dtype == "uint8" else info.dtype,
        "parent": parent and {"kind": parent.kind, "parent_id": parent.parent_id, "index": parent.index},
        "spacing": info.spacing,
        "affine": info.affine,
        "crs": info.crs,
        "licence": info.licence,
        "group": info.group,
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in own.items() if value is not None}


def _image_from_json(fields: Fields) -> ImageInfo:
    height, width = (fields.require(fields.whole(key), key) for key in ("height", "width"))
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise RecordError(
            f"{fields.where}: height and width must be from 1 to {MAX_PIXELS} pixels in all, got {Size(height, width)}."
        )
    own = fields.child(_OWN) or Fields({}, fields.where)
    identity = fields.identity("image_id")
    if identity is None:
        raise fields.missing("image_id")
    parent = own.child("parent")
    channels = own.whole("channels")
    return ImageInfo(
        image_id=identity,
        file_name=fields.require(fields.text("file_name"), "file_name"),
        size=Size(height, width),
        digest=own.text("digest"),
        source_digest=own.text("source_digest"),
        channels=3 if channels is None else channels,
        dtype=own.text("dtype") or "uint8",
        parent=None if parent is None else _parent_from_json(parent),
        spacing=own.numbers("spacing"),
        affine=own.numbers("affine"),
        crs=own.text("crs"),
        licence=own.text("licence"),
        group=own.text("group"),
    )


def _parent_from_json(fields: Fields) -> Parent:
    return Parent(
        kind=cast(Any, fields.require(_one_of(fields, "kind", ("volume", "video", "mosaic")), "kind")),
        parent_id=fields.require(fields.text("parent_id"), "parent_id"),
        index=fields.require(fields.whole("index"), "index"),
    )


def _prompt_from_json(own: Fields, value: Any) -> Prompt:
    fields = Fields.of(value, f"{own.where}: prompts")
    # A few characters can stand for gigabytes of mask; the prompt keeps its pixels.
    mask = fields.child("mask")
    if mask is not None and (size := _rle(mask).size).area > DEFAULT_MAX_PIXELS:
        raise RecordError(f"{fields.where}: a mask prompt may have {DEFAULT_MAX_PIXELS} pixels, got {size}.")
    try:
        return Prompt.from_dict(fields.values)
    except (InputError, TypeError, ValueError) as error:
        raise RecordError(f"{fields.where}: {error}") from error


def _rle(fields: Fields) -> RLE:
    try:
        return RLE.from_coco(fields.values)
    except MaskError as error:
        raise RecordError(f"{fields.where}: {error}") from error


def _one_of(fields: Fields, key: str, names: tuple[str, ...]) -> str | None:
    value = fields.text(key)
    if value is not None and value not in names:
        raise RecordError(f"{fields.where}: {key} must be one of {', '.join(names)}, got {value[:60]!r}.")
    return value


def _time(fields: Fields, key: str) -> datetime | None:
    value = fields.text(key)
    try:
        return None if value is None else datetime.fromisoformat(value)
    except ValueError as error:
        raise RecordError(f"{fields.where}: {key} must be an ISO 8601 time, got {value!r:.60}.") from error


def _xyxy(box: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(xywh_to_xyxy(box).tolist())


def _plain(score: float | None) -> float | None:
    """A Python float of any float's exact value."""
    return None if score is None else float(score)


def _whole_where_exact(values: list[float]) -> list[float]:
    return [int(value) if float(value).is_integer() else value for value in values]
