"""COCO instances: one JSON document for a whole set of images, both ways.

```text
{"images": [{"id", "width", "height", "file_name", "license"}], "categories": [{"id", "name"}],
 "annotations": [{"id", "image_id", "category_id", "segmentation", "bbox": [x, y, w, h], "area", "iscrowd"}]}
```

The mask decides: box and area of an annotation are those of its mask. Polygons are kept as its `outline`, and so are,
in its `extra`, the file's `bbox` and `area` where they are the polygons' own; they are written again as long as the
outline is there. Other fields of an annotation are kept in `extra` too; other fields of an image are not kept. What
COCO has no field for stands under the key "segany".
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np

from segany.errors import InputError, RecordError
from segany.files import atomic_path
from segany.formats._json import Fields, read_json
from segany.formats._own import (
    OWN,
    annotation_to_own,
    image_size,
    image_to_own,
    own_to_annotation,
    own_to_image,
    plain_number,
    read_rle,
    to_xywh,
    to_xyxy,
)
from segany.geometry import Size
from segany.masks import rings_to_rle
from segany.schema import Annotation, ImageInfo, Record

__all__ = ["NO_CATEGORY", "read_categories", "read_records", "stated_area", "write_records"]

# COCO wants a category for every annotation; one that has none gets this.
NO_CATEGORY = "object"
_MAX_FILE_BYTES = 4 * 2**30
_SPOOL_BYTES = 2**24
_SCORES = ("predicted_iou", "stability_score", "point_coords", "crop_box")
_FIELDS = frozenset(
    {"id", "image_id", "category_id", "segmentation", "bbox", "area", "iscrowd", OWN, *_SCORES},
)


def read_records(path: str | os.PathLike[str]) -> Iterator[Record]:
    """Read an instances file, image by image in the file's order; images without annotations too.

    The document is parsed whole, and checked as far as images and categories go; masks are made one image at a time.

    Args:
        path: A JSON file of up to 4 GiB.

    Raises:
        RecordError: The file cannot be read or is not valid; the message names file, image or annotation, and field.
    """
    return _Instances(path).records()


def read_categories(path: str | os.PathLike[str]) -> dict[str, int]:
    """Name and id of each category of an instances file, in the file's order.

    Raises:
        RecordError: As `read_records`.
    """
    return {name: identity for identity, name in _Instances(path).categories.items()}


def write_records(
    records: Iterable[Record], path: str | os.PathLike[str], *, categories: Mapping[str, int] | None = None
) -> None:
    """Write an instances file, atomically; records are taken one by one and not kept.

    An id stays as it is where it is a whole number above 0 that no other image (or annotation) has; else it is replaced
    and kept under "segany", from where `read_records` takes it.

    Args:
        records: One for each image.
        path: The JSON file.
        categories: Name and id of categories, used or not; others get the ids after them, in order of appearance.

    Raises:
        RecordError: A value (of `extra`, say) cannot be written as JSON.
        OutputError: The file cannot be written.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
        SpooledTemporaryFile(_SPOOL_BYTES, "w+", encoding="utf-8", newline="\n") as images,
    ):
        writer = _Writer(file, images, dict(categories or {}))
        file.write('{"annotations":[')
        for record in records:
            writer.add(record)
        file.write('],\n"images":[')
        images.seek(0)
        shutil.copyfileobj(images, file)
        file.write(f'],\n"categories":{json.dumps(writer.category_entries())},\n')
        file.write(f'"licenses":{json.dumps(writer.licence_entries())},\n"info":{{}}}}\n')


def stated_area(annotation: Annotation) -> float:
    """The area by which COCO sorts an object into small, medium and large, square pixels.

    For polygons as imported it is the file's, which is that of the polygons; else the mask's.
    """
    area = annotation.extra.get("area") if annotation.outline is not None else None
    return float(annotation.area if area is None else area)


class _Instances:
    """A parsed and indexed instances file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._name = os.fspath(path)
        document = Fields.of(read_json(path, _MAX_FILE_BYTES), self._name)
        self.categories: dict[int, str] = {}
        self._uncategorised: set[int] = set()
        for _, fields in _entries(document, "categories", "category", needed=False):
            number = fields.require(fields.whole("id"), "id")
            self.categories[number] = fields.require(fields.text("name"), "name")
            if (fields.child(OWN) or Fields({}, fields.where)).flag("uncategorised"):
                self._uncategorised.add(number)
        self._licences = {
            identity: fields.text("name") or str(identity)
            for identity, fields in _entries(document, "licenses", "licence", needed=False)
        }
        self._images = _unique(_entries(document, "images", "image"))
        self._of_image: dict[int | str, list[Fields]] = {identity: [] for identity in self._images}
        for fields in _unique(_entries(document, "annotations", "annotation")).values():
            image_id = fields.identity("image_id")
            if image_id is None:
                raise fields.missing("image_id")
            if image_id not in self._of_image:
                raise RecordError(f"{fields.where}: there is no image with its image_id {_short(image_id)}.")
            self._of_image[image_id].append(fields)

    def records(self) -> Iterator[Record]:
        for identity, fields in self._images.items():
            info = self._info(identity, fields)
            annotations = tuple(self._annotation(entry, info.size) for entry in self._of_image[identity])
            try:
                yield Record(info, annotations)
            except RecordError as error:
                raise RecordError(f"{fields.where}: {error}") from error

    def _info(self, identity: int | str, fields: Fields) -> ImageInfo:
        own = fields.child(OWN) or Fields({}, fields.where)
        licence = fields.identity("license")
        kept = own.identity("image_id")
        values = own_to_image(own) | {"licence": None if licence is None else self._licences.get(licence, str(licence))}
        file_name = fields.require(fields.text("file_name"), "file_name")
        return ImageInfo(identity if kept is None else kept, file_name, image_size(fields), **values)

    def _annotation(self, fields: Fields, size: Size) -> Annotation:
        own = fields.child(OWN) or Fields({}, fields.where)
        identity = own.identity("id")
        if identity is None:
            identity = fields.identity("id")
        assert identity is not None
        crop_box = fields.numbers("crop_box", 4)
        values = own_to_annotation(own, "manual") | {
            "category": self._category(fields),
            "iscrowd": fields.flag("iscrowd") or False,
        }
        extra = {key: value for key, value in fields.values.items() if key not in _FIELDS}
        try:
            values |= _shape(fields, size, extra)
            return Annotation(
                id=identity,
                predicted_iou=fields.number("predicted_iou"),
                stability_score=fields.number("stability_score"),
                point_coords=fields.points("point_coords") or (),
                crop_box=None if crop_box is None else to_xyxy(crop_box),
                extra=extra,
                **values,
            )
        except RecordError:
            raise
        except InputError as error:
            raise RecordError(f"{fields.where}: {error}") from error

    def _category(self, fields: Fields) -> str | None:
        number = fields.whole("category_id")
        if number is None or number in self._uncategorised:
            return None
        if number not in self.categories:
            raise RecordError(f"{fields.where}: there is no category with its category_id {number}.")
        return self.categories[number]


class _Writer:
    """Turns records into entries with ids that are unique over all of them."""

    def __init__(self, file: IO[str], images: IO[str], categories: dict[str, int]) -> None:
        self._file, self._images = file, images
        self._categories = categories
        self._uncategorised: int | None = None
        self._licences: dict[str, int] = {}
        self._image_ids, self._annotation_ids = _Ids(), _Ids()
        self._category_ids, self._licence_ids = _Ids(categories.values()), _Ids()

    def add(self, record: Record) -> None:
        try:
            image = self._image(record.image)
            self._images.write(f"{',' * self._image_ids.several}\n{_dumps(image)}")
            for annotation in record.annotations:
                entry = self._annotation(annotation, image["id"])
                self._file.write(f"{',' * self._annotation_ids.several}\n{_dumps(entry)}")
        except (TypeError, ValueError, RecursionError) as error:
            raise RecordError(f"the record of {record.image.file_name} cannot be written as JSON: {error}.") from error

    def category_entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = [{"id": number, "name": name} for name, number in self._categories.items()]
        if self._uncategorised is not None:
            entries.append({"id": self._uncategorised, "name": NO_CATEGORY, OWN: {"uncategorised": True}})
        return entries

    def licence_entries(self) -> list[dict[str, Any]]:
        return [{"id": number, "name": name} for name, number in self._licences.items()]

    def _image(self, info: ImageInfo) -> dict[str, Any]:
        identity = self._image_ids.take(info.image_id)
        values: dict[str, Any] = {
            "id": identity,
            "width": info.size.width,
            "height": info.size.height,
            "file_name": info.file_name,
        }
        own = image_to_own(info)
        if (licence := own.pop("licence", None)) is not None:
            if licence not in self._licences:
                # A licence that is known by its number only keeps it.
                self._licences[licence] = self._licence_ids.take(int(licence) if licence.isdecimal() else 0)
            values["license"] = self._licences[licence]
        if identity != info.image_id:
            own["image_id"] = info.image_id
        return values | ({OWN: own} if own else {})

    def _annotation(self, annotation: Annotation, image_id: int) -> dict[str, Any]:
        identity = self._annotation_ids.take(annotation.id)
        own = annotation_to_own(annotation, "manual")
        outline = own.pop("outline", None)
        values: dict[str, Any] = {
            "id": identity,
            "image_id": image_id,
            "category_id": self._category_id(own.pop("category", None)),
            "segmentation": annotation.segmentation.to_coco(),
            "bbox": to_xywh(annotation.box),
            "area": annotation.area,
            "iscrowd": int(own.pop("iscrowd", False)),
        }
        kept = dict(annotation.extra)
        stated: dict[str, Any] = {key: kept.pop(key) for key in ("bbox", "area") if key in kept}
        if outline is not None:
            values |= stated | {"segmentation": [np.ravel(ring).tolist() for ring in outline]}
        scores = {
            "predicted_iou": plain_number(annotation.predicted_iou),
            "stability_score": plain_number(annotation.stability_score),
            "point_coords": [[float(x), float(y)] for x, y in annotation.point_coords] or None,
            "crop_box": None if annotation.crop_box is None else to_xywh(annotation.crop_box),
        }
        values |= {key: value for key, value in scores.items() if value is not None}
        if identity != annotation.id:
            own["id"] = annotation.id
        extra = {key: value for key, value in kept.items() if key not in _FIELDS}
        return {**values, **extra, **({OWN: own} if own else {})}

    def _category_id(self, name: str | None) -> int:
        if name is None:
            if self._uncategorised is None:
                self._uncategorised = self._category_ids.take(0)
            return self._uncategorised
        if name not in self._categories:
            self._categories[name] = self._category_ids.take(0)
        return self._categories[name]


class _Ids:
    """Whole numbers above 0, each given out once."""

    def __init__(self, taken: Iterable[int] = ()) -> None:
        self._taken = set(taken)
        self._largest = max(self._taken, default=0)

    @property
    def several(self) -> bool:
        return len(self._taken) > 1

    def take(self, wanted: int | str) -> int:
        """The wanted number if it is free, else the next one."""
        usable = isinstance(wanted, int) and wanted > 0 and wanted not in self._taken
        number = int(wanted) if usable else self._largest + 1
        self._taken.add(number)
        self._largest = max(self._largest, number)
        return number


def _shape(fields: Fields, size: Size, extra: dict[str, Any]) -> dict[str, Any]:
    """Mask and outline; the file's own box and area go to `extra` where they are not the mask's."""
    area, box = fields.number("area"), fields.numbers("bbox", 4)
    if not isinstance(fields.values.get("segmentation"), list):
        return {"segmentation": read_rle(fields.require(fields.child("segmentation"), "segmentation"))}
    rings = []
    for ring in fields.require(fields.items("segmentation"), "segmentation"):
        numbers = Fields({"segmentation": ring}, fields.where).numbers("segmentation")
        if numbers is None or len(numbers) < 6 or len(numbers) % 2:
            raise RecordError(
                f"{fields.where}: segmentation must be rings [x0, y0, x1, y1, ...] of at least three points, got one "
                f"of {0 if numbers is None else len(numbers)} numbers."
            )
        rings.append(np.array(numbers).reshape(-1, 2))
    if not rings:
        raise RecordError(f"{fields.where}: segmentation is an empty list; a mask needs at least one ring.")
    mask = rings_to_rle(rings, size)
    if area is not None and area != mask.area:
        extra["area"] = area
    if box is not None and to_xyxy(box) != mask.box:
        extra["bbox"] = list(box)
    return {"segmentation": mask, "outline": tuple(rings)}


def _entries(document: Fields, key: str, kind: str, *, needed: bool = True) -> Iterator[tuple[int | str, Fields]]:
    entries = document.items(key)
    for index, entry in enumerate((document.require(entries, key) if needed else entries) or ()):
        fields = Fields.of(entry, f"{document.where}: {kind} {index}")
        identity = fields.identity("id")
        if identity is None:
            raise fields.missing("id")
        yield identity, Fields(fields.values, f"{document.where}: {kind} {index} (id {_short(identity)})")


def _unique(entries: Iterator[tuple[int | str, Fields]]) -> dict[int | str, Fields]:
    found: dict[int | str, Fields] = {}
    for identity, fields in entries:
        if identity in found:
            raise RecordError(f"{fields.where}: the id {_short(identity)} is there twice.")
        found[identity] = fields
    return found


def _short(identity: int | str) -> str:
    return str(identity)[:40]


def _dumps(value: dict[str, Any]) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
