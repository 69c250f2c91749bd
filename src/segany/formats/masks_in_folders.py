"""Folders of images beside folders of mask pictures: label maps, black and white masks, PASCAL VOC.

What a picture's numbers mean is found out from a sample of the set's pictures, or said:

- black and white: 255 is the object, 0 the background; other numbers in between, such as GrabCut's 128, are undecided;
- label maps: each number from 1 up is an object; in pictures of 8 bits whose other numbers stay below 254, 255 is
  undecided, as in PASCAL VOC, where it is the border between objects.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segany.errors import RecordError
from segany.formats._folders import Layout, Pair
from segany.formats.category import Category, FormatName
from segany.formats.label_map import read_labels, record_from_label_map
from segany.formats.problems import FlawError, Problem, ProblemLog
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Parent, Record

__all__ = ["LABELS_FILE", "VOC_CATEGORIES", "Encoding", "MaskFolders", "read_encoding"]

LABELS_FILE = "labelmap.txt"
_MAX_LABELS_BYTES = 2**20
_SAMPLED = 24
_WHITE = 255
# One grey in the middle is a band that nobody decided on; many greys on few pixels are a softened edge.
_BAND = range(64, 192)
_SOFT_VALUES = 30
_SOFT_SHARE = 0.5

_NO_SEQUENCES = ("", "train", "training", "val", "valid", "validation", "test", "testing")

_VOC_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOC_CATEGORIES = tuple(Category(number, name) for number, name in enumerate(_VOC_NAMES, start=1))


@dataclass(frozen=True)
class Encoding:
    """What the numbers of mask pictures mean.

    Attributes:
        kind: "binary": 255 is the object; "label_map": each number is one.
        ignore: Numbers of pixels that nobody decided on.
    """

    kind: Literal["binary", "label_map"]
    ignore: frozenset[int] = frozenset()

    def record(self, labels: NDArray[Any], image: ImageInfo) -> Record:
        """The masks of one picture.

        Args:
            labels: [H, W] integers.
            image: Of which image; of the picture's size.
        """
        undecided = np.isin(labels, list(self.ignore)) if self.ignore else None
        region = RLE.from_mask(undecided) if undecided is not None and undecided.any() else None
        if self.kind == "label_map":
            found = record_from_label_map(labels, image, ignore=self.ignore)
            return Record(image, found.annotations, region)
        white = labels > _WHITE // 2
        mask = RLE.from_mask(white if undecided is None else white & ~undecided)
        return Record(image, (Annotation(1, mask, source="manual"),), region)


def read_encoding(pairs: Sequence[Pair], ignore: Collection[int] | None = None) -> Encoding:
    """Find out from a sample of a set what the numbers of its pictures mean.

    Args:
        pairs: Of the set.
        ignore: The numbers of undecided pixels, where they are known.
    """
    values: set[int] = set()
    depth = 8
    soft = 0.0
    pictures = [path for pair in pairs for path in pair.masks]
    for path in pictures[:: max(1, len(pictures) // _SAMPLED)]:
        try:
            labels = read_labels(path)
        except RecordError:
            # The reading itself tells of it.
            continue
        depth = max(depth, 8 * labels.dtype.itemsize)
        values |= set(np.unique(labels).tolist())
        white = int(np.count_nonzero(labels == _WHITE))
        soft = max(soft, (int(np.count_nonzero(labels)) - white) / max(white, 1))
    between = {value for value in values if 0 < value < _WHITE}
    if depth == 8 and _WHITE in values:
        if not between or (len(between) == 1 and min(between) in _BAND):
            return Encoding("binary", frozenset(between if ignore is None else ignore))
        if len(between) > _SOFT_VALUES and soft < _SOFT_SHARE:
            return Encoding("binary", frozenset(ignore or ()))
    void = {_WHITE} if depth == 8 and _WHITE in values and _WHITE - 1 not in values else set()
    return Encoding("label_map", frozenset(void if ignore is None else ignore))


class MaskFolders:
    """A set of images with mask pictures; a reader of `segany.formats.open_dataset`."""

    def __init__(self, layouts: Sequence[Layout], log: ProblemLog, ignore: Collection[int] | None = None) -> None:
        """List the files and look at a sample of the masks.

        Args:
            layouts: Folders of images and of masks.
            log: Takes the problems.
            ignore: The numbers of undecided pixels; found out when left out.
        """
        self._log = log
        self._pairs = {pair.name: pair for layout in layouts for pair in layout.pairs(log)}
        self._classes = _class_folder(layouts)
        if self._classes is None:
            self._encoding = read_encoding(tuple(self._pairs.values()), ignore)
        else:
            # VOC says itself what its numbers mean.
            self._encoding = Encoding("label_map", frozenset({_WHITE} if ignore is None else ignore))
        self._names = {each.id: each.name for each in VOC_CATEGORIES}
        if self._classes is not None:
            with log.watch(str(self._classes.with_name(LABELS_FILE))):
                self._names = _class_names(self._classes.with_name(LABELS_FILE)) or self._names
        self._is_video = _is_video(self._pairs)
        # Of VOC's images, only some are segmented.
        self._partial = self._classes is not None

    @property
    def format(self) -> FormatName:
        """What it is."""
        if self._is_video:
            return "davis"
        if self._encoding.kind == "binary":
            return "binary_masks"
        return "voc" if self._classes or self._encoding.ignore == {_WHITE} else "label_maps"

    @property
    def categories(self) -> tuple[Category, ...]:
        """VOC's classes or those of `labelmap.txt`, where the set says which object is of which."""
        return tuple(Category(number, name) for number, name in self._names.items()) if self._classes else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out, for people."""
        ignore = ", ".join(map(str, sorted(self._encoding.ignore)))
        meaning = "255 is the object" if self._encoding.kind == "binary" else "each number is an object"
        return (meaning + (f", {ignore} is undecided" if ignore else ""),)

    def __len__(self) -> int:
        return sum(1 for pair in self._pairs.values() if pair.masks) if self._partial else len(self._pairs)

    def image_file(self, record: Record) -> Path | None:
        """The image of a record."""
        pair = self._pairs.get(record.image.file_name)
        return None if pair is None else pair.image

    def annotation_path(self, record: Record) -> Path | None:
        """The first picture of a record's masks."""
        pair = self._pairs.get(record.image.file_name)
        return pair.masks[0] if pair is not None and pair.masks else None

    def records(self) -> Iterator[Record]:
        """The records, by name."""
        frames: Counter[str] = Counter()
        for pair in self._pairs.values():
            sequence = pair.name.rpartition("/")[0]
            parent = Parent("video", sequence, frames[sequence]) if self._is_video else None
            frames[sequence] += 1
            if not pair.masks:
                if not self._partial:
                    what = f"no mask has its name; wanted {PurePath(pair.name).stem}.png in the folder of masks."
                    self._log.add(Problem("missing_mask", str(pair.image), "", what))
                continue
            record = None
            with self._log.watch(str(pair.masks[0])):
                record = self._record(pair, parent)
            if record is not None:
                yield record

    def _record(self, pair: Pair, parent: Parent | None) -> Record:
        group = parent.parent_id if parent is not None else None
        records: list[Record] = []
        for path in pair.masks:
            labels = read_labels(path)
            size = Size(*labels.shape)
            if records and size != records[0].image.size:
                raise FlawError(
                    "wrong_size", f"{path}: it is {size}, but {pair.masks[0].name} {records[0].image.size}."
                )
            identity = PurePath(pair.name).with_suffix("").as_posix()
            info = ImageInfo(identity, pair.name, size, parent=parent, group=group)
            records.append(self._with_classes(self._encoding.record(labels, info), pair))
        return records[0] if len(records) == 1 else _joined(records, pair.masks)

    def _with_classes(self, record: Record, pair: Pair) -> Record:
        """With the class that most of an object's pixels have in VOC's other picture."""
        if self._classes is None:
            return record
        stem = pair.name if pair.image is None else PurePath(pair.name).with_suffix("").as_posix()
        path = self._classes / f"{stem}.png"
        if not path.is_file():
            path = self._classes / f"{PurePath(stem).name}.png"
        with self._log.watch(str(path)):
            classes = read_labels(path)
            if classes.shape != tuple(record.image.size):
                size = Size(*classes.shape)
                raise FlawError("wrong_size", f"{path}: it is {size}, but the objects' {record.image.size}.")
            annotations = []
            for each in record.annotations:
                number = int(np.bincount(classes[each.segmentation.to_mask()].astype(np.int64)).argmax())
                name = self._names.get(number)
                if name is None:
                    what = f"the class {number} is none of the set's, 1 to {len(self._names)}."
                    self._log.add(Problem("unknown_category", str(path), f"object {each.id}", what))
                annotations.append(replace(each, category=name))
            return replace(record, annotations=tuple(annotations))
        return record


def _joined(records: Sequence[Record], paths: Sequence[Path]) -> Record:
    """One record of several pictures of one image."""
    annotations = tuple(
        replace(each, id=path.stem if len(record.annotations) == 1 else f"{path.stem}:{each.id}")
        for record, path in zip(records, paths, strict=True)
        for each in record.annotations
    )
    regions = [record.ignore for record in records if record.ignore is not None]
    return Record(records[0].image, annotations, RLE.merge(regions) if regions else None)


def _class_folder(layouts: Sequence[Layout]) -> Path | None:
    """VOC's folder of classes, beside that of objects."""
    for layout in layouts:
        folder = layout.masks.with_name("SegmentationClass")
        if layout.masks.name == "SegmentationObject" and folder.is_dir():
            return folder
    return None


def _class_names(path: Path) -> dict[int, str]:
    """Number and name of each class in a `labelmap.txt`, as labelling tools write it; none where there is no file."""
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            lines = file.read(_MAX_LABELS_BYTES).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FlawError("unreadable", f"{path}: it cannot be read as UTF-8 text: {error}.") from error
    names = [line.rsplit(":", 3)[0] for line in lines if line.strip() and not line.startswith("#")]
    # The first is the background.
    return dict(enumerate(names[1:], start=1))


def _is_video(pairs: Mapping[str, Pair]) -> bool:
    """Whether all images are numbered frames in folders of sequences; a split's folder is none."""
    return bool(pairs) and all(
        PurePath(name).stem.isdecimal() and PurePath(name).parent.name.lower() not in _NO_SEQUENCES for name in pairs
    )
