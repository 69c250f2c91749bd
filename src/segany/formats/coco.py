"""COCO instances: one JSON document for a whole set of images, both ways.

```text
{"images": [{"id", "width", "height", "file_name", "license"}], "categories": [{"id", "name"}],
 "annotations": [{"id", "image_id", "category_id", "segmentation", "bbox": [x, y, w, h], "area", "iscrowd"}]}
```

The mask decides: box and area of an annotation are those of its mask. Polygons are kept as its `outline`, and so are,
in its `extra`, the file's `bbox` and `area` where they are the polygons' own; they are written again as long as the
outline is there. Other fields of an annotation are kept in `extra` too, those of an image in the record's `extra`: that
is where LVIS has `neg_category_ids` and `not_exhaustive_category_ids`. What COCO has no field for stands under the key
"segany".
"""

import json
import os
import shutil
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from segany.errors import RecordError
from segany.files import atomic_path
from segany.formats._coco_reading import ANNOTATION_FIELDS, IMAGE_FIELDS, Instances
from segany.formats._own import OWN, annotation_to_own, plain_number, record_to_own, to_xywh
from segany.formats.category import Category
from segany.schema import Annotation, Record

__all__ = ["NO_CATEGORY", "InstancesWriter", "read_categories", "read_records", "stated_area", "write_records"]

# COCO wants a category for every annotation; one that has none gets this.
NO_CATEGORY = "object"
# What 64 bits hold; the next one must fit too.
_MAX_ID = 2**62


def read_records(path: str | os.PathLike[str]) -> Iterator[Record]:
    """Read an instances file, image by image in the file's order; images without annotations too.

    The file is walked through once for its index, and then read image by image; it is never held whole.

    Args:
        path: A JSON file of any size.

    Raises:
        RecordError: The file cannot be read or is not valid; the message names file, image or annotation, and field.
    """
    return Instances(path).records()


def read_categories(path: str | os.PathLike[str]) -> dict[str, int]:
    """Name and id of each category of an instances file, in the file's order.

    Raises:
        RecordError: As `read_records`.
    """
    return {category.name: identity for identity, category in Instances(path).categories.items()}


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
    given = [Category(number, name) for name, number in (categories or {}).items()]
    with atomic_path(path) as temporary, closing(InstancesWriter(temporary, given)) as writer:
        for record in records:
            writer.add(record)
        writer.finish()


def stated_area(annotation: Annotation) -> float:
    """The area by which COCO sorts an object into small, medium and large, square pixels.

    For polygons as imported it is the file's, which is that of the polygons; else the mask's.
    """
    area = annotation.extra.get("area") if annotation.outline is not None else None
    return float(annotation.area if area is None else area)


class InstancesWriter:
    """Turns records into entries with ids that are unique over all of them, in a file that is no temporary one."""

    def __init__(self, path: str | os.PathLike[str], categories: Iterable[Category] = ()) -> None:
        """Open the file.

        Args:
            path: The JSON file.
            categories: Used or not; others get the ids after them, in order of appearance.

        Raises:
            OSError: It cannot be written.
        """
        listed = {each.name: each for each in categories}
        self._listed, self._categories = listed, {name: each.id for name, each in listed.items()}
        self._uncategorised: int | None = None
        self._licences: dict[str, int] = {}
        self._image_ids, self._annotation_ids = _Ids(), _Ids()
        self._category_ids, self._licence_ids = _Ids(self._categories.values()), _Ids()
        self._opened = ExitStack()
        self._file: IO[str] = self._opened.enter_context(Path(path).open("w", encoding="utf-8", newline="\n"))  # noqa: SIM115
        # Entries of images come after those of annotations, and wait here.
        self._images: IO[str] = self._opened.enter_context(TemporaryFile("w+", encoding="utf-8", newline="\n"))  # noqa: SIM115
        self._file.write('{"annotations":[')

    def finish(self) -> None:
        """Write what comes after the annotations. Raises OSError."""
        self._file.write('],\n"images":[')
        self._images.seek(0)
        shutil.copyfileobj(self._images, self._file)
        self._file.write(f'],\n"categories":{json.dumps(self._category_entries())},\n')
        self._file.write(f'"licenses":{json.dumps(self._licence_entries())},\n"info":{{}}}}\n')
        self._file.flush()

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def add(self, record: Record) -> None:
        """Write a record; it is not kept.

        Raises:
            RecordError: A value (of `extra`, say) cannot be written as JSON.
            OSError: The file cannot be written.
        """
        try:
            image = self._image(record)
            self._images.write(f"{',' * self._image_ids.several}\n{_dumps(image)}")
            for annotation in record.annotations:
                entry = self._annotation(annotation, image["id"])
                self._file.write(f"{',' * self._annotation_ids.several}\n{_dumps(entry)}")
        except (TypeError, ValueError, RecursionError) as error:
            raise RecordError(f"the record of {record.image.file_name} cannot be written as JSON: {error}.") from error

    def _category_entries(self) -> list[dict[str, Any]]:
        entries = [self._category_entry(name, number) for name, number in self._categories.items()]
        if self._uncategorised is not None:
            entries.append({"id": self._uncategorised, "name": NO_CATEGORY, OWN: {"uncategorised": True}})
        return entries

    def _category_entry(self, name: str, number: int) -> dict[str, Any]:
        known = self._listed.get(name, Category(number, name))
        more = {"supercategory": known.supercategory, "frequency": known.frequency}
        return {"id": number, "name": name, **{key: value for key, value in more.items() if value is not None}}

    def _licence_entries(self) -> list[dict[str, Any]]:
        return [{"id": number, "name": name} for name, number in self._licences.items()]

    def _image(self, record: Record) -> dict[str, Any]:
        info = record.image
        identity = self._image_ids.take(info.image_id)
        values: dict[str, Any] = {
            "id": identity,
            "width": info.size.width,
            "height": info.size.height,
            "file_name": info.file_name,
        }
        own = record_to_own(record)
        if (licence := own.pop("licence", None)) is not None:
            if licence not in self._licences:
                # A licence that is known by its number only keeps it.
                self._licences[licence] = self._licence_ids.take(int(licence) if licence.isdecimal() else 0)
            values["license"] = self._licences[licence]
        if identity != info.image_id:
            own["image_id"] = info.image_id
        extra = {key: value for key, value in record.extra.items() if key not in IMAGE_FIELDS}
        return {**values, **extra, **({OWN: own} if own else {})}

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
        extra = {key: value for key, value in kept.items() if key not in ANNOTATION_FIELDS}
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
    """Whole numbers above 0, each given out once. Numbers that come rising take no memory but for the gaps."""

    def __init__(self, taken: Iterable[int] = ()) -> None:
        self._largest = 0
        self._count = 0
        self._gap_starts, self._gap_ends = array("q"), array("q")
        self._filled: set[int] = set()
        for number in sorted(taken):
            self.take(number)

    @property
    def several(self) -> bool:
        return self._count > 1

    def take(self, wanted: int | str) -> int:
        """The wanted number if it is free, else the next one."""
        usable = isinstance(wanted, int) and 0 < wanted < _MAX_ID and self._is_free(int(wanted))
        number = int(wanted) if usable else self._largest + 1
        if number > self._largest + 1:
            self._gap_starts.append(self._largest + 1)
            self._gap_ends.append(number)
        if number < self._largest:
            self._filled.add(number)
        self._largest = max(self._largest, number)
        self._count += 1
        return number

    def _is_free(self, number: int) -> bool:
        if number > self._largest:
            return True
        gap = bisect_right(self._gap_starts, number) - 1
        return gap >= 0 and number < self._gap_ends[gap] and number not in self._filled


def _dumps(value: dict[str, Any]) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
