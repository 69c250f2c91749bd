"""What each format can hold of a record, and what of a data set would be lost.

Every format that segany writes holds the masks themselves, with their holes and parts. `HOLDS` says what else; what a
format does not hold is counted, field by field, before anything is written.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

import numpy as np

from segany.formats.category import Category
from segany.formats.label_map import MAX_NUMBER, label_map, picture_numbers
from segany.schema import Annotation, Record

__all__ = ["FIELDS", "HOLDS", "TARGETS", "Loss", "LossCounter", "LossField", "Target"]

Target = Literal["coco", "sa1b", "yolo", "voc", "labelme", "labels", "sav", "geojson", "parquet"]
TARGETS: tuple[Target, ...] = get_args(Target)

MAX_VOC_OBJECTS = 254
_SAV_IDS = ("manual:", "auto:")


@dataclass(frozen=True)
class LossField:
    """One thing that a format may be unable to hold.

    Attributes:
        name: As it is printed.
        group: Its column in `HOLDS`.
        unit: What is counted: "masks", "images" or "classes".
        count: How many of them a record has; None where it takes more than one record to tell.
    """

    name: str
    group: str
    unit: Literal["masks", "images", "classes"]
    count: Callable[[Record], int] | None = None


def _masks(group: str, name: str, has: Callable[[Annotation], Any]) -> LossField:
    return LossField(name, group, "masks", lambda record: sum(bool(has(each)) for each in record.annotations))


def _images(group: str, name: str, has: Callable[[Record], Any]) -> LossField:
    return LossField(name, group, "images", lambda record: int(bool(has(record))))


FIELDS: tuple[LossField, ...] = (
    LossField("holes", "holes and parts", "masks"),
    LossField("overlap", "overlaps", "masks"),
    LossField("objects beyond 254", "any number", "masks"),
    _masks("empty masks", "empty masks", lambda each: not each.segmentation.area),
    _masks("outlines", "outline", lambda each: each.outline is not None),
    _masks("crowds", "iscrowd", lambda each: each.iscrowd),
    _images("ignore", "ignore", lambda record: record.ignore is not None),
    _masks("category", "category", lambda each: each.category is not None),
    _masks("no category", "no category", lambda each: each.category is None),
    LossField("id", "ids", "masks"),
    _masks("scores", "predicted_iou", lambda each: each.predicted_iou is not None),
    _masks("scores", "stability_score", lambda each: each.stability_score is not None),
    _masks("prompts", "point_coords", lambda each: each.point_coords),
    _masks("prompts", "crop_box", lambda each: each.crop_box is not None),
    _masks("prompts", "prompts", lambda each: each.prompts),
    _masks("source", "source", lambda each: each.source != "manual"),
    _masks("provenance", "model_digest", lambda each: each.model_digest is not None),
    _masks("provenance", "annotator", lambda each: each.annotator is not None),
    _masks("provenance", "seconds_spent", lambda each: each.seconds_spent is not None),
    _masks("provenance", "created_at", lambda each: each.created_at is not None),
    _masks("provenance", "review_state", lambda each: each.review_state != "unreviewed"),
    _masks("provenance", "parent_id", lambda each: each.parent_id is not None),
    _masks("extra", "extra", lambda each: each.extra),
    _images("extra", "image.extra", lambda record: record.extra),
    _images("image id", "image.image_id", lambda record: str(record.image.image_id) != _stem(record)),
    _images("image data", "image.digest", lambda record: record.image.digest is not None),
    _images("image data", "image.source_digest", lambda record: record.image.source_digest is not None),
    _images("image data", "image.spacing", lambda record: record.image.spacing is not None),
    _images("image data", "image.affine", lambda record: record.image.affine is not None),
    _images("image data", "image.crs", lambda record: record.image.crs is not None),
    _images("video", "image.parent", lambda record: record.image.parent is not None),
    _images("images of no video", "images of no video", lambda record: _is_no_frame(record)),
    LossField("unused classes", "unused classes", "classes"),
)

# All but the classes that no mask has: what is in a record.
_RECORD = frozenset({each.group for each in FIELDS} - {"unused classes"})
_PICTURE = frozenset({"holes and parts", "images of no video"})

HOLDS: Mapping[Target, frozenset[str]] = {
    "coco": _RECORD | {"unused classes"},
    "sa1b": _RECORD,
    "parquet": _RECORD | {"unused classes"},
    "labelme": _RECORD - {"empty masks"},
    "geojson": _RECORD,
    "yolo": _PICTURE | {"overlaps", "any number", "outlines", "category", "unused classes"},
    "voc": _PICTURE | {"ignore", "category", "unused classes"},
    "labels": _PICTURE | {"any number", "no category"},
    "sav": frozenset({"holes and parts", "overlaps", "any number", "no category", "source", "video"}),
}

# What becomes of it, where it is more than that it is not there any more.
_FATES: Mapping[tuple[str, str], str] = {
    ("voc", "iscrowd"): "become pixels to ignore",
    ("yolo", "iscrowd"): "left out",
    ("labels", "iscrowd"): "left out",
    ("sav", "iscrowd"): "left out",
    ("yolo", "outline"): "of several rings, which are joined by lines of no width",
    ("yolo", "no category"): 'get the class "object"',
    ("voc", "no category"): 'get the class "object"',
    ("voc", "objects beyond 254"): "the smallest of an image with more are left out",
    **{(target, "id"): "numbered anew" for target in TARGETS},
    ("sav", "source"): "semi-automatic becomes manual",
    ("sav", "images of no video"): "left out",
}


@dataclass(frozen=True)
class Loss:
    """Something that a format cannot hold, in one data set.

    Attributes:
        field: What: a name of `FIELDS`.
        count: How many masks, images or classes have it.
        unit: What was counted.
        fate: What becomes of it, in words.
    """

    field: str
    count: int
    unit: str
    fate: str

    def __str__(self) -> str:
        unit = self.unit if self.count != 1 else {"masks": "mask", "images": "image", "classes": "class"}[self.unit]
        return f"{self.field}: {self.count:,} {unit}{f' ({self.fate})' if self.fate else ''}"


@dataclass
class LossCounter:
    """Counts, record by record, what a format would lose.

    Attributes:
        target: The format.
        records: Records seen.
        masks: Their annotations.
    """

    target: Target
    records: int = 0
    masks: int = 0
    _counts: Counter[str] = field(default_factory=Counter, init=False)
    _used: set[str] = field(default_factory=set, init=False)
    _covered: int = field(default=0, init=False)
    _pixels: int = field(default=0, init=False)

    def add(self, record: Record) -> None:
        """Count a record."""
        holds = HOLDS[self.target]
        self.records += 1
        self.masks += len(record.annotations)
        for each in FIELDS:
            if each.count is not None and each.group not in holds:
                self._counts[each.name] += each.count(record)
        if "overlaps" not in holds:
            self._count_covered(record)
        if "any number" not in holds:
            self._counts["objects beyond 254"] += max(0, len(record.objects) - MAX_VOC_OBJECTS)
        if "unused classes" not in holds:
            self._used |= {each.category for each in record.annotations if each.category is not None}
        self._count_exceptions(record)

    def losses(self, categories: Iterable[Category] = ()) -> tuple[Loss, ...]:
        """What would be lost, in the order of `FIELDS`.

        Args:
            categories: Of the data set.
        """
        counts = Counter(self._counts)
        if "unused classes" not in HOLDS[self.target]:
            counts["unused classes"] = sum(1 for each in categories if each.name not in self._used)
        return tuple(
            Loss(each.name, counts[each.name], each.unit, self._fate(each.name)) for each in FIELDS if counts[each.name]
        )

    def _fate(self, name: str) -> str:
        if name == "overlap":
            hidden = f", {self._covered:,} of them wholly" if self._covered else ""
            return f"lose {self._pixels:,} pixels to smaller masks{hidden}"
        return _FATES.get((self.target, name), "")

    def _count_covered(self, record: Record) -> None:
        objects = tuple(each for each in record.objects if each.segmentation.area)
        if sum(each.area for each in objects) <= _union_at_least(objects):
            return
        seen = np.bincount(label_map(Record(record.image, objects)).ravel(), minlength=len(objects) + 1)[1:]
        areas = np.array([each.segmentation.area for each in objects])
        self._counts["overlap"] += int((seen < areas).sum())
        self._covered += int((seen == 0).sum())
        self._pixels += int((areas - seen).sum())

    def _count_exceptions(self, record: Record) -> None:
        """Of what a format holds, the few things that it does not."""
        if self.target == "yolo":
            several = (each.outline is not None and len(each.outline) > 1 for each in record.annotations)
            self._counts["outline"] += sum(several)
        if self.target == "sav":
            self._counts["source"] += sum(each.source == "semi_automatic" for each in record.objects)
        if "ids" not in HOLDS[self.target]:
            self._counts["id"] += _renumbered(self.target, record.objects)


def _renumbered(target: Target, objects: tuple[Annotation, ...]) -> int:
    """How many masks do not keep their id."""
    if target == "sav":
        return sum(1 for each in objects if not str(each.id).startswith(_SAV_IDS))
    if target == "yolo":
        return sum(1 for place, each in enumerate(objects, start=1) if each.id != place)
    kept = picture_numbers(objects, MAX_VOC_OBJECTS if target == "voc" else MAX_NUMBER)
    return sum(1 for each, number in zip(objects, kept, strict=True) if each.id != number)


def _union_at_least(objects: tuple[Annotation, ...]) -> int:
    """All of the objects' pixels if no two boxes meet, which is quick to tell; else less than any sum."""
    boxes = sorted(each.segmentation.box for each in objects)
    reach = -1
    for x0, _, x1, _ in boxes:
        if x0 < reach:
            return -1
        reach = max(reach, x1)
    return sum(each.segmentation.area for each in objects)


def _stem(record: Record) -> str:
    name = PurePosixPath(record.image.file_name.replace("\\", "/"))
    return str(name.with_suffix("")) if name.name else ""


def _is_no_frame(record: Record) -> bool:
    return record.image.parent is None or record.image.parent.kind != "video"
