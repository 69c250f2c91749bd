"""What the formats have no field for: kept in them under the key "segany", where it differs from the default."""

from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, cast, get_args

import numpy as np

from segany.errors import InputError, MaskError, RecordError
from segany.formats._json import Fields
from segany.geometry import Size, xywh_to_xyxy, xyxy_to_xywh
from segany.masks.rle import MAX_PIXELS, RLE
from segany.schema import Annotation, AnnotationSource, ImageInfo, Parent, Prompt, Record, ReviewState
from segany.settings import DEFAULT_MAX_PIXELS

__all__ = [
    "OWN",
    "annotation_to_own",
    "image_size",
    "image_to_own",
    "info_to_own",
    "own_to_annotation",
    "own_to_image",
    "own_to_info",
    "own_to_whole",
    "plain_number",
    "read_ignore",
    "read_rle",
    "record_to_own",
    "to_xywh",
    "to_xyxy",
    "whole_to_own",
]

OWN = "segany"


def annotation_to_own(annotation: Annotation, default_source: AnnotationSource) -> dict[str, Any]:
    """JSON values of what the formats have no field for."""
    values = {
        "source": None if annotation.source == default_source else annotation.source,
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
    return {key: value for key, value in values.items() if value is not None}


def own_to_annotation(own: Fields, default_source: AnnotationSource) -> dict[str, Any]:
    """The inverse of `annotation_to_own`: arguments of `Annotation`.

    Raises:
        RecordError: A value is not what it should be.
    """
    outline = own.rings("outline")
    return {
        "source": cast(AnnotationSource, _one_of(own, "source", get_args(AnnotationSource)) or default_source),
        "category": own.text("category"),
        "iscrowd": own.flag("iscrowd") or False,
        "prompts": tuple(_prompt(own, each) for each in own.items("prompts") or ()),
        "model_digest": own.text("model_digest"),
        "annotator": own.text("annotator"),
        "seconds_spent": own.number("seconds_spent"),
        "parent_id": own.identity("parent_id"),
        "review_state": cast(ReviewState, _one_of(own, "review_state", get_args(ReviewState)) or "unreviewed"),
        "created_at": _time(own, "created_at"),
        "outline": None if outline is None else tuple(np.array(ring).reshape(-1, 2) for ring in outline),
    }


def whole_to_own(annotation: Annotation) -> dict[str, Any]:
    """JSON values of all but the mask, for formats that know next to nothing of one; boxes are XYXY here."""
    scores = {
        "id": annotation.id,
        "predicted_iou": plain_number(annotation.predicted_iou),
        "stability_score": plain_number(annotation.stability_score),
        "point_coords": [[float(x), float(y)] for x, y in annotation.point_coords] or None,
        "crop_box": None if annotation.crop_box is None else [float(value) for value in annotation.crop_box],
    }
    given = {key: value for key, value in scores.items() if value is not None}
    return given | annotation_to_own(annotation, "manual")


def own_to_whole(own: Fields) -> dict[str, Any]:
    """The inverse of `whole_to_own`, but for the id: arguments of `Annotation`.

    Raises:
        RecordError: A value is not what it should be.
    """
    crop_box = own.numbers("crop_box", 4)
    return {
        "predicted_iou": own.number("predicted_iou"),
        "stability_score": own.number("stability_score"),
        "point_coords": own.points("point_coords") or (),
        "crop_box": crop_box,
        **own_to_annotation(own, "manual"),
    }


def info_to_own(record: Record) -> dict[str, Any]:
    """JSON values of a record but for its annotations, its image's size and name, for formats without an image id."""
    return {"image_id": record.image.image_id, **record_to_own(record)}


def own_to_info(own: Fields, file_name: str, size: Size) -> ImageInfo:
    """The inverse of `info_to_own`; the id is the name without suffix where there is none.

    Raises:
        RecordError: A value is not what it should be.
    """
    identity = own.identity("image_id")
    if identity is None:
        identity = PurePosixPath(file_name).with_suffix("").as_posix()
    return ImageInfo(identity, file_name, size, **own_to_image(own))


def image_to_own(info: ImageInfo) -> dict[str, Any]:
    """JSON values of what the formats have no field for."""
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


def own_to_image(own: Fields) -> dict[str, Any]:
    """The inverse of `image_to_own`: arguments of `ImageInfo`.

    Raises:
        RecordError: A value is not what it should be.
    """
    parent = own.child("parent")
    channels = own.whole("channels")
    return {
        "digest": own.text("digest"),
        "source_digest": own.text("source_digest"),
        "channels": 3 if channels is None else channels,
        "dtype": own.text("dtype") or "uint8",
        "parent": None if parent is None else _parent(parent),
        "spacing": own.numbers("spacing"),
        "affine": own.numbers("affine"),
        "crs": own.text("crs"),
        "licence": own.text("licence"),
        "group": own.text("group"),
    }


def record_to_own(record: Record) -> dict[str, Any]:
    """JSON values of what the formats have no field for, of a record but for its annotations."""
    ignore = {} if record.ignore is None else {"ignore": record.ignore.to_coco()}
    return image_to_own(record.image) | ignore


def read_ignore(image: Fields) -> RLE | None:
    """The region to ignore that `record_to_own` wrote with the image.

    Raises:
        RecordError: It is no valid mask.
    """
    own = image.child(OWN)
    ignore = None if own is None else own.child("ignore")
    return None if ignore is None else read_rle(ignore)


def image_size(fields: Fields) -> Size:
    """An image's height and width.

    Raises:
        RecordError: One is missing, or they are beyond what a run-length encoding holds.
    """
    height, width = (fields.require(fields.whole(key), key) for key in ("height", "width"))
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise RecordError(
            f"{fields.where}: height and width must be from 1 to {MAX_PIXELS} pixels in all, got {Size(height, width)}."
        )
    return Size(height, width)


def read_rle(fields: Fields) -> RLE:
    """A mask in COCO's form. Raises RecordError when it is not valid."""
    try:
        return RLE.from_coco(fields.values)
    except MaskError as error:
        raise RecordError(f"{fields.where}: {error}") from error


def to_xyxy(box: tuple[float, ...]) -> tuple[float, float, float, float]:
    """A file's box in XYXY."""
    x0, y0, x1, y1 = xywh_to_xyxy(box).tolist()
    return x0, y0, x1, y1


def to_xywh(box: tuple[float, ...]) -> list[float]:
    """A box as files have it: XYWH, whole numbers where they are exact."""
    return [int(value) if float(value).is_integer() else value for value in xyxy_to_xywh(box).tolist()]


def plain_number(score: float | None) -> float | None:
    """A Python float of any float's exact value."""
    return None if score is None else float(score)


def _parent(fields: Fields) -> Parent:
    return Parent(
        kind=cast(Any, fields.require(_one_of(fields, "kind", ("volume", "video", "mosaic")), "kind")),
        parent_id=fields.require(fields.text("parent_id"), "parent_id"),
        index=fields.require(fields.whole("index"), "index"),
    )


def _prompt(own: Fields, value: Any) -> Prompt:
    fields = Fields.of(value, f"{own.where}: prompts")
    # A few characters can stand for gigabytes of mask; the prompt keeps its pixels.
    mask = fields.child("mask")
    if mask is not None and (size := read_rle(mask).size).area > DEFAULT_MAX_PIXELS:
        raise RecordError(f"{fields.where}: a mask prompt may have {DEFAULT_MAX_PIXELS} pixels, got {size}.")
    try:
        return Prompt.from_dict(fields.values)
    except (InputError, TypeError, ValueError) as error:
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
