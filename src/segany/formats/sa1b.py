"""The SA-1B record: one JSON file for each image (SAM paper, sec. 5), both ways.

```text
{"image": {"image_id", "width", "height", "file_name"},
 "annotations": [{"id", "segmentation": {"size": [h, w], "counts"}, "bbox": [x, y, w, h], "area", "predicted_iou",
                  "stability_score", "point_coords": [[x, y]], "crop_box": [x, y, w, h]}]}
```

What SA-1B has no field for stands under the key "segany" of the image and of each annotation, where it differs from
the default, so that a record survives the way to the file and back. Other fields of an annotation are kept in its
`extra` and written again, and so are those of the image in the record's; other fields of the document are not kept.
"""

import json
import os
from collections.abc import Collection
from typing import Any

from segany.errors import InputError, RecordError
from segany.files import write_text
from segany.formats._json import Fields, finite_fields, read_json
from segany.formats._own import (
    OWN,
    annotation_to_own,
    image_size,
    own_to_annotation,
    own_to_image,
    plain_number,
    read_ignore,
    read_rle,
    record_to_own,
    to_xywh,
    to_xyxy,
)
from segany.formats.problems import FlawError, ProblemLog
from segany.geometry import Size
from segany.schema import Annotation, ImageInfo, Record

__all__ = ["MAX_ANNOTATIONS", "read_record", "record_from_json", "record_to_json", "write_record"]

MAX_ANNOTATIONS = 100_000
_FIELDS = frozenset(
    {"id", "segmentation", "bbox", "area", "predicted_iou", "stability_score", "point_coords", "crop_box", OWN}
)
_IMAGE_FIELDS = frozenset({"image_id", "width", "height", "file_name", OWN})


def read_record(path: str | os.PathLike[str], log: ProblemLog | None = None) -> Record:
    """Read a record file.

    The mask decides: box and area are taken from it, because files of the reference generator give boxes that are one
    pixel short in width and in height.

    Args:
        path: A JSON file.
        log: Takes the problems of single annotations, which are left out; the first is raised when left out.

    Raises:
        RecordError: The file cannot be read or is not a valid record; the message names file, annotation and field.
    """
    return record_from_json(read_json(path, allow_nan=log is not None), os.fspath(path), log)


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
    image |= {key: value for key, value in record.extra.items() if key not in _IMAGE_FIELDS}
    if own := record_to_own(record):
        image[OWN] = own
    return {"image": image, "annotations": [_annotation_to_json(each, info.size) for each in record.annotations]}


def record_from_json(document: Any, name: str, log: ProblemLog | None = None) -> Record:
    """A record from JSON values.

    Args:
        document: As `json.load` gives it.
        name: What the messages call it: the file's path.
        log: As in `read_record`.

    Raises:
        RecordError: As `read_record`.
    """
    fields = Fields.of(document, name)
    image = fields.require(fields.child("image"), "image")
    entries = fields.require(fields.items("annotations"), "annotations")
    if len(entries) > MAX_ANNOTATIONS:
        raise RecordError(f"{name} has {len(entries)} annotations; a record may have {MAX_ANNOTATIONS}.")
    info = _image_from_json(image)
    log = ProblemLog(strict=True) if log is None else log
    annotations: dict[int | str, Annotation] = {}
    for index, entry in enumerate(entries):
        with log.watch(name, f"annotation {index}"):
            annotation = _annotation_from_json(entry, index, name, log)
            _check_fit(annotation, info, annotations, name)
            annotations[annotation.id] = annotation
    try:
        extra = {key: value for key, value in image.values.items() if key not in _IMAGE_FIELDS}
        extra = finite_fields(extra, log, name, name)
        return Record(info, tuple(annotations.values()), read_ignore(image), extra)
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from error


def _check_fit(annotation: Annotation, info: ImageInfo, others: Collection[int | str], name: str) -> None:
    if annotation.segmentation.size != info.size:
        raise FlawError(
            "wrong_size",
            f"{name}: annotation {annotation.id} of {info.file_name}: its mask is {annotation.segmentation.size} but "
            f"the image is {info.size}.",
        )
    if annotation.id in others:
        raise FlawError("duplicate_id", f"{name}: {info.file_name} has two annotations with the id {annotation.id}.")


def _annotation_to_json(annotation: Annotation, size: Size) -> dict[str, Any]:
    crop = annotation.crop_box or (0, 0, size.width, size.height)
    values: dict[str, Any] = {
        "id": annotation.id,
        "segmentation": annotation.segmentation.to_coco(),
        "bbox": to_xywh(annotation.box),
        "area": annotation.area,
        "predicted_iou": plain_number(annotation.predicted_iou),
        "stability_score": plain_number(annotation.stability_score),
        "point_coords": [[float(x), float(y)] for x, y in annotation.point_coords],
        "crop_box": to_xywh(crop),
    }
    own = annotation_to_own(annotation, "automatic")
    if annotation.crop_box is None:
        # The format wants one: the whole image stands there. That none was known is said here.
        own["crop_box"] = None
    # Fields of another format that mean something else here, such as COCO's area of a polygon.
    if taken := {key: value for key, value in annotation.extra.items() if key in _FIELDS and key != OWN}:
        own["extra"] = taken
    extra = {key: value for key, value in annotation.extra.items() if key not in _FIELDS}
    return {**values, **extra, **({OWN: own} if own else {})}


def _annotation_from_json(entry: Any, index: int, name: str, log: ProblemLog) -> Annotation:
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
    own = fields.child(OWN) or Fields({}, fields.where)
    extra = {key: value for key, value in fields.values.items() if key not in _FIELDS}
    if (taken := own.child("extra")) is not None:
        extra |= taken.values
    try:
        return Annotation(
            id=identity,
            segmentation=read_rle(segmentation),
            predicted_iou=fields.number("predicted_iou"),
            stability_score=fields.number("stability_score"),
            point_coords=fields.points("point_coords") or (),
            crop_box=None if crop_box is None or "crop_box" in own.values else to_xyxy(crop_box),
            extra=finite_fields(extra, log, name, fields.where),
            **own_to_annotation(own, "automatic"),
        )
    except RecordError:
        raise
    except InputError as error:
        raise RecordError(f"{fields.where}: {error}") from error


def _image_from_json(fields: Fields) -> ImageInfo:
    size = image_size(fields)
    own = fields.child(OWN) or Fields({}, fields.where)
    identity = fields.identity("image_id")
    if identity is None:
        raise fields.missing("image_id")
    file_name = fields.require(fields.text("file_name"), "file_name")
    return ImageInfo(image_id=identity, file_name=file_name, size=size, **own_to_image(own))
