"""YOLO's segmentation labels: a text file for each image, a line for each object.

```text
class x0 y0 x1 y1 x2 y2 ...        # a polygon, as shares of the image's width and height
```

`data.yaml` beside the folders names the classes. An image without a text file has no object.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segany.errors import RecordError
from segany.formats._folders import Layout, Pair
from segany.formats.category import Category, FormatName
from segany.formats.problems import FlawError, ProblemLog
from segany.geometry import Size
from segany.masks import rings_to_rle
from segany.schema import Annotation, ImageInfo, Record
from segany.sources import open_source

__all__ = ["DECIMALS", "TXT", "YoloFolder", "read_names"]

TXT = frozenset({".txt"})
_MAX_FILE_BYTES = 2**26
# Of pixels: what is beyond is the arithmetic's, and a vertex on the border between two pixels should stay there.
DECIMALS = 8


def read_names(path: Path) -> Mapping[int, str]:
    """Number and name of each class in a data.yaml.

    Raises:
        RecordError: It cannot be read, or its `names` is neither a list nor a map of names.
    """
    document = read_yaml(path)
    names = document.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(number, int) for number in names):
        raise RecordError(f"{path}: names must be a list of the classes' names, or a map of number and name.")
    return {number: str(name) for number, name in names.items()}


def read_yaml(path: Path) -> dict[str, Any]:
    """The document of a data.yaml.

    Raises:
        RecordError: It cannot be read, or is no map.
    """
    import yaml

    try:
        with path.open("rb") as file:
            document = yaml.safe_load(file.read(_MAX_FILE_BYTES))
    except (OSError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise FlawError("unreadable", f"{path}: it cannot be read as YAML: {error}.") from error
    if not isinstance(document, dict):
        raise RecordError(f"{path}: it must be a map with the key names.")
    return document


class YoloFolder:
    """Images with YOLO's text files; a reader of `segany.formats.open_dataset`."""

    format: FormatName = "yolo"

    def __init__(self, layouts: Sequence[Layout], names: Path | None, log: ProblemLog) -> None:
        """List the files.

        Args:
            layouts: Folders of images and of text files.
            names: The data.yaml; without one, classes go by their numbers.
            log: Takes the problems.
        """
        self._log = log
        self._pairs: dict[str, Pair] = {pair.name: pair for layout in layouts for pair in layout.pairs(log)}
        self._names: Mapping[int, str] | None = None
        if names is not None:
            with log.watch(str(names)):
                self._names = read_names(names)

    @property
    def categories(self) -> tuple[Category, ...]:
        """The classes of data.yaml."""
        return tuple(Category(number, name) for number, name in sorted((self._names or {}).items()))

    @property
    def notes(self) -> tuple[str, ...]:
        """Whether classes have names."""
        return () if self._names is not None else ("no data.yaml: classes go by their numbers",)

    def __len__(self) -> int:
        return len(self._pairs)

    def records(self) -> Iterator[Record]:
        """The records, by name."""
        for pair in self._pairs.values():
            record = None
            file = pair.masks[0] if pair.masks else pair.image
            with self._log.watch(str(file), kind="unreadable"):
                record = self._record(pair)
            if record is not None:
                yield record

    def image_file(self, record: Record) -> Path | None:
        """The image."""
        pair = self._pairs.get(record.image.file_name)
        return None if pair is None else pair.image

    def annotation_path(self, record: Record) -> Path | None:
        """The text file; None where there is none."""
        pair = self._pairs.get(record.image.file_name)
        return pair.masks[0] if pair is not None and pair.masks else None

    def _record(self, pair: Pair) -> Record:
        if pair.image is None:
            raise FlawError("missing_image", f"{pair.masks[0]}: there is no image of its name, and so no size.")
        size = open_source(pair.image).info.size
        info = ImageInfo(Path(pair.name).with_suffix("").as_posix(), pair.name, size)
        if not pair.masks:
            return Record(info)
        path = pair.masks[0]
        annotations = []
        for number, line in enumerate(_lines(path), start=1):
            if not line.strip():
                continue
            with self._log.watch(str(path), f"line {number}"):
                annotations.append(self._annotation(line.split(), number, size, f"{path}: line {number}"))
        return Record(info, tuple(annotations))

    def _annotation(self, words: Sequence[str], number: int, size: Size, where: str) -> Annotation:
        try:
            values = [float(word) for word in words]
        except ValueError as error:
            raise RecordError(f"{where}: wanted numbers, got {' '.join(words)[:60]!r}.") from error
        if not all(map(math.isfinite, values)):
            raise FlawError("not_a_number", f"{where}: wanted finite numbers, got {' '.join(words)[:60]!r}.")
        if len(values) == 5:
            raise RecordError(f"{where}: it is a box and no polygon, so it has no mask.")
        if len(values) < 7 or len(values) % 2 == 0 or not values[0].is_integer():
            raise RecordError(
                f"{where}: wanted a class and at least three points, x and y each, got {len(values)} numbers."
            )
        # What is too large for rounding is refused as a ring.
        with np.errstate(over="ignore"):
            ring = (np.array(values[1:]).reshape(-1, 2) * (size.width, size.height)).round(DECIMALS)
        category = self._category(int(values[0]), where, number)
        mask = rings_to_rle([ring], size)
        return Annotation(number, mask, source="manual", category=category, outline=(ring,))

    def _category(self, index: int, where: str, line: int) -> str | None:
        if self._names is None:
            return str(index)
        if index in self._names:
            return self._names[index]
        with self._log.watch(where.removesuffix(f": line {line}"), f"line {line}"):
            raise FlawError("unknown_category", f"{where}: data.yaml names no class {index}.")
        return None


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise FlawError("refused", f"{path}: it is larger than {_MAX_FILE_BYTES} bytes.")
        return content.decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FlawError("unreadable", f"{path}: it cannot be read as text: {error}.") from error
