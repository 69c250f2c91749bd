"""LabelMe: a JSON file of shapes beside each image.

```text
{"version", "flags", "shapes": [{"label", "points": [[x, y], ...], "group_id", "shape_type", "flags", "mask"}],
 "imagePath", "imageData", "imageHeight", "imageWidth"}
```

Polygons, rectangles, circles and masks are read; points and lines have no mask and are problems. Shapes of one label
and one `group_id` are parts of one object. A mask is a PNG in base64 at its box, whose last row and column are in it.
What LabelMe has no field for stands under the key "segany", which LabelMe keeps when it saves the file.
"""

import base64
import binascii
import io
import math
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import InputError, RecordError
from segany.formats._folders import files_below
from segany.formats._json import Fields, finite_fields, read_json
from segany.formats._own import OWN, image_size, own_to_info, own_to_whole, read_ignore
from segany.formats.category import Category, FormatName
from segany.formats.coco import NO_CATEGORY
from segany.formats.problems import FlawError, ProblemLog
from segany.geometry import Size
from segany.masks import RLE, rings_to_rle
from segany.schema import Annotation, Record
from segany.settings import DEFAULT_MAX_PIXELS
from segany.sources import IMAGE_SUFFIXES

__all__ = ["DOCUMENT_FIELDS", "SHAPE_FIELDS", "LabelmeFolder", "record_from_json"]

DOCUMENT_FIELDS = frozenset({"version", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth", OWN})
SHAPE_FIELDS = frozenset({"label", "points", "group_id", "shape_type", "mask", OWN})
_JSON = frozenset({".json"})
_MAX_SHAPES = 100_000
_CIRCLE_VERTICES = range(16, 720)


class LabelmeFolder:
    """LabelMe's files and their images; a reader of `segany.formats.open_dataset`."""

    categories: tuple[Category, ...] = ()
    notes: tuple[str, ...] = ()
    format: FormatName = "labelme"

    def __init__(self, path: Path, log: ProblemLog) -> None:
        """The files are listed as they are read.

        Args:
            path: A folder, or one file.
            log: Takes the problems.
        """
        self._path, self._log = path, log
        self._root = path if path.is_dir() else path.parent
        # Of the record given last: its image's name, its file, and the image in it.
        self._last: tuple[str, Path, Any] | None = None

    def __len__(self) -> int:
        return sum(1 for _ in self._files())

    def records(self) -> Iterator[Record]:
        """The records, by the files' names."""
        for path in self._files():
            with self._log.watch(str(path)):
                document = read_json(path, allow_nan=True)
                name = self._image_name(path, document)
                record = record_from_json(document, str(path), name, self._log)
                self._last = (name, path, document.get("imageData"))
                yield record

    def image_file(self, record: Record) -> Path | IO[bytes] | None:
        """The image beside the file, or the one in it."""
        path = self._root / record.image.file_name
        if path.is_file():
            return path
        name, _, data = self._last or (None, None, None)
        if name != record.image.file_name or not isinstance(data, str) or not data:
            return None
        return io.BytesIO(_from_base64(data, record.image.file_name))

    def annotation_path(self, record: Record) -> Path | None:
        """The file."""
        if self._last is not None and self._last[0] == record.image.file_name:
            return self._last[1]
        path = (self._root / record.image.file_name).with_suffix(".json")
        return path if path.is_file() else None

    def _files(self) -> Iterator[Path]:
        return files_below(self._path, _JSON) if self._path.is_dir() else iter([self._path])

    def _image_name(self, path: Path, document: Any) -> str:
        """The image's name below the folder; that of the file's own neighbour where `imagePath` leads out of it."""
        given = document.get("imagePath") if isinstance(document, dict) else None
        folder = PurePosixPath(path.parent.relative_to(self._root).as_posix())
        if not isinstance(given, str) or not given:
            raise RecordError(f"{path}: imagePath must be the image's name, got {given!r:.60}.")
        parts: list[str] = list(folder.parts)
        for part in given.replace("\\", "/").split("/"):
            if part == "..":
                if not parts:
                    return self._neighbour(path, folder, given)
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        name = "/".join(parts)
        return name if (self._root / name).is_file() else self._neighbour(path, folder, name)

    def _neighbour(self, path: Path, folder: PurePosixPath, name: str) -> str:
        for suffix in sorted(IMAGE_SUFFIXES):
            if path.with_suffix(suffix).is_file():
                return (folder / path.with_suffix(suffix).name).as_posix()
        return name


def record_from_json(document: Any, name: str, image_name: str, log: ProblemLog | None = None) -> Record:
    """A record from JSON values.

    Args:
        document: As `json.load` gives it.
        name: What the messages call it: the file's path.
        image_name: The image's name.
        log: Takes the problems of single shapes, which are left out; the first is raised when left out.

    Raises:
        RecordError: It is not valid.
    """
    fields = Fields.of(document, name)
    log = ProblemLog(strict=True) if log is None else log
    size = image_size(Fields({"height": fields.whole("imageHeight"), "width": fields.whole("imageWidth")}, name))
    shapes = fields.require(fields.items("shapes"), "shapes")
    if len(shapes) > _MAX_SHAPES:
        raise FlawError("refused", f"{name} has {len(shapes)} shapes; a file may have {_MAX_SHAPES}.")
    groups: dict[Hashable, list[Fields]] = {}
    for index, value in enumerate(shapes):
        with log.watch(name, f"shape {index}"):
            shape = Fields.of(value, f"{name}: shape {index}")
            group = shape.identity("group_id")
            key: Hashable = index if group is None else (str(shape.values.get("label")), group)
            groups.setdefault(key, []).append(shape)
    annotations: dict[int | str, Annotation] = {}
    for parts in groups.values():
        with log.watch(name, parts[0].where.removeprefix(f"{name}: ")):
            annotation = _annotation(parts, size, annotations, name, log)
            annotations[annotation.id] = annotation
    extra = {
        key: value for key, value in fields.values.items() if key not in DOCUMENT_FIELDS and value not in ({}, None)
    }
    extra = finite_fields(extra, log, name, name)
    own = fields.child(OWN) or Fields({}, name)
    try:
        return Record(own_to_info(own, image_name, size), tuple(annotations.values()), read_ignore(fields), extra)
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from error


def _annotation(
    parts: Sequence[Fields], size: Size, others: dict[int | str, Annotation], name: str, log: ProblemLog
) -> Annotation:
    first = parts[0]
    own = first.child(OWN) or Fields({}, first.where)
    label = first.require(first.text("label"), "label")
    masks: list[RLE] = []
    rings: list[NDArray[np.float64]] = []
    try:
        for part in parts:
            if (part.text("shape_type") or "polygon") == "mask":
                masks.append(_mask(part, size))
            else:
                rings.append(_ring(part))
        if rings:
            masks.append(rings_to_rle(rings, size))
        mask = masks[0] if len(masks) == 1 else RLE.merge(masks)
        identity = own.identity("id")
        if identity is None or identity in others:
            # A shape that was copied in LabelMe has the id of the one it was copied from.
            identity = len(others) + 1
            while identity in others:
                identity += 1
        values = own_to_whole(own)
        values["category"] = None if label == NO_CATEGORY and own.flag("uncategorised") else label
        values["outline"] = tuple(rings) if len(rings) == len(parts) else None
        extra = {key: value for key, value in first.values.items() if key not in SHAPE_FIELDS}
        extra = {key: value for key, value in extra.items() if value not in ({}, None, "")}
        if (taken := own.child("extra")) is not None:
            extra |= taken.values
        extra = finite_fields(extra, log, name, first.where)
        return Annotation(id=identity, segmentation=mask, extra=extra, **values)
    except RecordError:
        raise
    except InputError as error:
        raise RecordError(f"{first.where}: {error}") from error


def _ring(shape: Fields) -> NDArray[np.float64]:
    kind = shape.text("shape_type") or "polygon"
    points = np.array(shape.require(shape.points("points"), "points"), dtype=np.float64).reshape(-1, 2)
    if kind == "polygon" and len(points) >= 3:
        return points
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points.tolist()
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    if kind == "circle" and len(points) == 2:
        radius = float(np.hypot(*(points[1] - points[0])))
        count = min(max(math.ceil(2 * math.pi * radius), _CIRCLE_VERTICES.start), _CIRCLE_VERTICES.stop)
        turns = np.arange(count) * (2 * math.pi / count)
        return np.asarray(points[0] + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1))
    raise RecordError(
        f"{shape.where}: wanted a polygon of three points or more, a rectangle or a circle of two, or a mask, got "
        f"{kind!r:.40} of {len(points)} points; it has no mask."
    )


def _mask(shape: Fields, size: Size) -> RLE:
    corners = shape.require(shape.points("points"), "points")
    if len(corners) != 2:
        raise RecordError(f"{shape.where}: the points of a mask must be two corners of its box, got {len(corners)}.")
    x0, y0, x1, y1 = (int(value) for corner in corners for value in corner)
    content = _from_base64(shape.require(shape.text("mask"), "mask"), shape.where)
    try:
        with PillowImage.open(io.BytesIO(content), formats=("PNG",)) as picture:
            if picture.width * picture.height > DEFAULT_MAX_PIXELS:
                raise FlawError("refused", f"{shape.where}: a mask may have {DEFAULT_MAX_PIXELS:,} pixels.")
            if picture.size != (x1 + 1 - x0, y1 + 1 - y0) or not _is_in((x0, y0, x1, y1), size):
                found = Size(picture.height, picture.width)
                raise FlawError(
                    "wrong_size",
                    f"{shape.where}: the mask is {found}, but its box {(x0, y0, x1, y1)} in an image of {size}.",
                )
            pixels = np.asarray(picture.convert("L")) > 0
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
        raise FlawError("refused", f"{shape.where}: its mask has too many pixels.") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, RecordError):
            raise
        raise FlawError("unreadable", f"{shape.where}: its mask is no PNG: {error}.") from error
    return RLE.from_column_strips(size, [pixels], (x0, y0, x1 + 1, y1 + 1))


def _is_in(box: tuple[int, int, int, int], size: Size) -> bool:
    x0, y0, x1, y1 = box
    return 0 <= x0 <= x1 < size.width and 0 <= y0 <= y1 < size.height


def _from_base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise FlawError("unreadable", f"{where}: it holds something that is no base64.") from error
