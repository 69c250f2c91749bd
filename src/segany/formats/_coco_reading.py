"""Reading COCO instances, and LVIS, which is COCO with more to say of images and categories.

The file is walked through once. Of images and annotations only the place in the file is kept, a few numbers each, and
a record is read when its turn comes: memory holds no document, however large the file.
"""

import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import InputError, RecordError
from segany.formats._json import Fields, finite_fields
from segany.formats._json_stream import Element, iter_elements, parse_element
from segany.formats._own import OWN, image_size, own_to_annotation, own_to_image, read_ignore, read_rle, to_xyxy
from segany.formats.category import Category
from segany.formats.problems import FlawError, ProblemLog
from segany.geometry import Size
from segany.masks import rings_to_rle
from segany.schema import Annotation, ImageInfo, Record

__all__ = ["ANNOTATION_FIELDS", "IMAGE_FIELDS", "Instances"]

_SCORES = ("predicted_iou", "stability_score", "point_coords", "crop_box")
ANNOTATION_FIELDS = frozenset(
    {"id", "image_id", "category_id", "segmentation", "bbox", "area", "iscrowd", OWN, *_SCORES},
)
IMAGE_FIELDS = frozenset({"id", "width", "height", "file_name", "license", OWN})
_WORDS = {"images": "image", "annotations": "annotation", "categories": "category", "licenses": "licence"}


class Instances:
    """An instances file, indexed.

    Attributes:
        categories: By their number.
    """

    def __init__(self, path: str | os.PathLike[str], log: ProblemLog | None = None) -> None:
        """Walk through the file.

        Args:
            path: A JSON file of any size.
            log: Takes the problems; the first one is raised when left out.

        Raises:
            RecordError: The log is strict, and there is a problem.
        """
        self._log = ProblemLog(strict=True) if log is None else log
        self._path, self._name = Path(path), os.fspath(path)
        self.categories: dict[int, Category] = {}
        self._uncategorised: set[int] = set()
        self._licences: dict[int | str, str] = {}
        self._images: dict[int | str, tuple[int, int, int]] = {}
        # Of each annotation: its image's ordinal, first byte, length, place in the array.
        self._annotations = tuple(array("q") for _ in range(4))
        self._ordinals: dict[int | str, int] = {}
        self._read_index()
        self._order, self._bounds = self._by_image()

    @property
    def is_lvis(self) -> bool:
        """Whether categories have frequencies, as LVIS has them."""
        return any(category.frequency is not None for category in self.categories.values())

    @property
    def listed_categories(self) -> tuple[Category, ...]:
        """The categories that objects can have, in the file's order."""
        return tuple(each for number, each in self.categories.items() if number not in self._uncategorised)

    def __len__(self) -> int:
        return len(self._images)

    def records(self) -> Iterator[Record]:
        """The records, image by image in the file's order.

        Raises:
            RecordError: The log is strict, and there is a problem.
        """
        if not self._images:
            return
        with self._path.open("rb") as file:
            for identity, (start, length, index) in self._images.items():
                record = None
                key = f"image {index} (id {_short(identity)})"
                with self._log.watch(self._name, key):
                    record = self._record(file, identity, self._parse(file, start, length, key))
                if record is not None:
                    yield record

    def _read_index(self) -> None:
        there: set[str] = set()
        annotation_ids: set[int | str] = set()
        with self._log.watch(self._name, kind="bad_json"):
            for element in iter_elements(self._path, _WORDS):
                if element.index is None and element.value is None:
                    continue
                there.add(element.key)
                if element.index is None:
                    Fields({element.key: element.value}, self._name).items(element.key)
                    continue
                with self._log.watch(self._name, f"{_WORDS[element.key]} {element.index}"):
                    self._add(element, annotation_ids)
            for key in ("images", "annotations"):
                if key not in there:
                    raise RecordError(f"{self._name}: {key} is missing.")

    def _add(self, element: Element, annotation_ids: set[int | str]) -> None:
        where = f"{self._name}: {_WORDS[element.key]} {element.index}"
        fields = Fields.of(element.value, where)
        if not str(fields.values.get("id")).isascii() or not str(fields.values.get("image_id")).isascii():
            fields = Fields.of(self._read_again(element, where), where)
        identity = fields.identity("id")
        if identity is None:
            raise fields.missing("id")
        fields = Fields(fields.values, f"{where} (id {_short(identity)})")
        assert element.index is not None
        length = element.end - element.start
        if element.key == "images":
            _refuse_twice(fields, identity in self._images, identity)
            self._images[identity] = (element.start, length, element.index)
            self._ordinals.setdefault(identity, len(self._ordinals))
        elif element.key == "annotations":
            _refuse_twice(fields, identity in annotation_ids, identity)
            annotation_ids.add(identity)
            image_id = fields.identity("image_id")
            if image_id is None:
                raise fields.missing("image_id")
            ordinal = self._ordinals.setdefault(image_id, len(self._ordinals))
            for column, value in zip(self._annotations, (ordinal, element.start, length, element.index), strict=True):
                column.append(value)
        elif element.key == "categories":
            self._add_category(Fields(self._read_again(element, where), fields.where))
        else:
            licence = Fields(self._read_again(element, where), fields.where)
            self._licences[identity] = licence.text("name") or str(identity)

    def _read_again(self, element: Element, where: str) -> Any:
        with self._path.open("rb") as file:
            file.seek(element.start)
            return parse_element(file.read(element.end - element.start), where)

    def _add_category(self, fields: Fields) -> None:
        number = fields.require(fields.whole("id"), "id")
        if number in self.categories:
            _refuse_twice(fields, True, number)
        name = fields.require(fields.text("name"), "name")
        self.categories[number] = Category(number, name, fields.text("supercategory"), fields.text("frequency"))
        if (fields.child(OWN) or Fields({}, fields.where)).flag("uncategorised"):
            self._uncategorised.add(number)

    def _by_image(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Annotations sorted by image, and where each image's begin; annotations without image are reported."""
        ordinals = np.array(self._annotations[0], dtype=np.int64)
        if len(self._images) < len(self._ordinals):
            there = np.zeros(len(self._ordinals), dtype=np.bool_)
            there[[self._ordinals[identity] for identity in self._images]] = True
            names = {ordinal: identity for identity, ordinal in self._ordinals.items() if not there[ordinal]}
            self._report_homeless(np.flatnonzero(~there[ordinals]), ordinals, names)
        order = np.argsort(ordinals, kind="stable")
        return order, np.searchsorted(ordinals[order], np.arange(len(self._ordinals) + 1))

    def _report_homeless(
        self, places: NDArray[np.int64], ordinals: NDArray[np.int64], names: dict[int, int | str]
    ) -> None:
        with self._path.open("rb") as file:
            for place in places.tolist():
                fields = self._annotation_fields(file, place)
                with self._log.watch(self._name, self._key(fields), "missing_image"):
                    image_id = _short(names[int(ordinals[place])])
                    raise FlawError("missing_image", f"{fields.where}: there is no image with its image_id {image_id}.")

    def _parse(self, file: IO[bytes], start: int, length: int, key: str) -> Fields:
        file.seek(start)
        where = f"{self._name}: {key}"
        return Fields.of(parse_element(file.read(length), where), where)

    def _annotation_fields(self, file: IO[bytes], place: int) -> Fields:
        _, start, length, index = (column[place] for column in self._annotations)
        fields = self._parse(file, start, length, f"annotation {index}")
        return Fields(fields.values, f"{fields.where} (id {_short(fields.values['id'])})")

    def _key(self, fields: Fields) -> str:
        return fields.where.removeprefix(f"{self._name}: ")

    def _record(self, file: IO[bytes], identity: int | str, fields: Fields) -> Record:
        fields = Fields(fields.values, f"{fields.where}")
        info = self._info(identity, fields)
        ordinal = self._ordinals[identity]
        annotations = []
        for place in self._order[self._bounds[ordinal] : self._bounds[ordinal + 1]].tolist():
            entry = self._annotation_fields(file, place)
            with self._log.watch(self._name, self._key(entry)):
                annotation = self._annotation(entry, info.size)
                if annotation.segmentation.size != info.size:
                    raise FlawError(
                        "wrong_size",
                        f"{fields.where}: annotation {annotation.id} of {info.file_name}: its mask is "
                        f"{annotation.segmentation.size} but the image is {info.size}.",
                    )
                annotations.append(annotation)
        extra = {key: value for key, value in fields.values.items() if key not in IMAGE_FIELDS}
        extra = finite_fields(extra, self._log, self._name, fields.where)
        try:
            return Record(info, tuple(annotations), read_ignore(fields), extra)
        except RecordError as error:
            raise RecordError(f"{fields.where}: {error}") from error

    def _info(self, identity: int | str, fields: Fields) -> ImageInfo:
        own = fields.child(OWN) or Fields({}, fields.where)
        licence = fields.identity("license")
        kept = own.identity("image_id")
        values = own_to_image(own) | {"licence": None if licence is None else self._licences.get(licence, str(licence))}
        file_name = fields.text("file_name")
        if file_name is None and (address := fields.text("coco_url")):
            # LVIS names its images by COCO's address alone: .../val2017/000000397133.jpg
            file_name = "/".join(address.split("/")[-2:])
        file_name = fields.require(file_name, "file_name")
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
        extra = {key: value for key, value in fields.values.items() if key not in ANNOTATION_FIELDS}
        extra = finite_fields(extra, self._log, self._name, fields.where)
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
        """The category's name; None, and a problem, where the file has no such category."""
        number = fields.whole("category_id")
        if number is None or number in self._uncategorised:
            return None
        if number in self.categories:
            return self.categories[number].name
        with self._log.watch(self._name, self._key(fields)):
            raise FlawError("unknown_category", f"{fields.where}: there is no category with its category_id {number}.")
        return None


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
        raise FlawError("empty_mask", f"{fields.where}: segmentation is an empty list; a mask needs at least one ring.")
    mask = rings_to_rle(rings, size)
    if area is not None and area != mask.area:
        extra["area"] = area
    if box is not None and to_xyxy(box) != mask.box:
        extra["bbox"] = list(box)
    return {"segmentation": mask, "outline": tuple(rings)}


def _refuse_twice(fields: Fields, twice: bool, identity: int | str) -> None:
    if twice:
        raise FlawError("duplicate_id", f"{fields.where}: the id {_short(identity)} is there twice.")


def _short(identity: Any) -> str:
    return str(identity)[:40]
