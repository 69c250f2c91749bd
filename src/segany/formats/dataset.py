"""open_dataset: one way in for annotated images, whatever their format."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from types import MappingProxyType
from typing import IO, Protocol

from PIL import Image as PillowImage

from segany.errors import ImageError, RecordError
from segany.formats.category import Category, FormatName
from segany.formats.problems import FlawError, Problem, ProblemKind, ProblemLog
from segany.schema import Annotation, Image, ImageInfo, Record
from segany.sources import PillowSource, open_image, open_source

__all__ = ["Dataset", "Reader"]

METADATA = "metadata.csv"
# Annotation tools round; a vertex may lie this many pixels outside the image and mean its border.
_SLACK_PIXELS = 1.0
# What archives hold images as; read by decoders that start no program.
_ARCHIVED = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")


class Reader(Protocol):
    """What a format gives to a `Dataset`; problems go to the log that it was made with."""

    @property
    def format(self) -> FormatName:
        """What it is."""
        ...

    @property
    def categories(self) -> tuple[Category, ...]:
        """The classes that the files name."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out about the files, for people."""
        ...

    def __len__(self) -> int:
        """How many images the files name, problems included."""
        ...

    def records(self) -> Iterator[Record]:
        """The records, in an order that stays the same."""
        ...

    def image_file(self, record: Record) -> Path | IO[bytes] | None:
        """A record's image: its file, or its bytes where it is in an archive; None where there is none."""
        ...

    def annotation_path(self, record: Record) -> Path | None:
        """The file that a record's masks were read from."""
        ...


class Dataset:
    """Annotated images: records one by one, where their images are, and what is wrong with them.

    Nothing of a record is kept when the next one is read. A record that has a problem which concerns all of it (no
    image, another size than its image) is left out, and so is an annotation with a problem of its own (an empty mask,
    a damaged encoding); an annotation that reaches over the image's border is cut off there, and one of an unknown
    category loses its category. Every one of these is in `problems`.

    Attributes:
        path: The folder or file.
    """

    def __init__(self, path: Path, reader: Reader, log: ProblemLog, *, require_images: bool = True) -> None:
        """Made by `open_dataset`."""
        self.path = path
        self._reader, self._log, self._require_images = reader, log, require_images
        self._metadata = _read_metadata(path if path.is_dir() else path.parent, log)

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r}, format={self.format!r}, images={len(self)})"

    def __len__(self) -> int:
        """How many images the files name, those with problems included."""
        return len(self._reader)

    @property
    def name(self) -> str:
        """What people call it: its folder's or its file's name."""
        return self.path.absolute().name

    @property
    def format(self) -> FormatName:
        """What was found."""
        return self._reader.format

    @property
    def categories(self) -> tuple[Category, ...]:
        """The classes that the files name; none where masks have no class."""
        return self._reader.categories

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out about the files, for people."""
        return self._reader.notes

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was wrong so far, each once; complete after a pass over `records`. The first 100,000."""
        return self._log.kept

    @property
    def problem_counts(self) -> Mapping[ProblemKind, int]:
        """How many problems of each kind so far."""
        return MappingProxyType(dict(self._log.counts))

    @property
    def metadata_columns(self) -> tuple[str, ...]:
        """The columns of `metadata.csv` but for `image`."""
        return tuple(dict.fromkeys(column for row in self._metadata.values() for column in row))

    def metadata(self, record: Record) -> Mapping[str, str]:
        """What `metadata.csv` says of a record's image, by column; nothing where it does not name it.

        The column `image` holds the image's name with or without suffix, with or without its folder.
        """
        return _row_of(self._metadata, record.image.file_name)

    def records(self) -> Iterator[Record]:
        """The records, in an order that stays the same; may be called again for another pass.

        Raises:
            RecordError: The data set was opened strictly, and there is a problem.
        """
        for record in self._reader.records():
            checked = self._checked(record)
            if checked is not None:
                yield checked

    def image_path(self, record: Record) -> Path | None:
        """The file of a record's image; None where there is none, or where it is in an archive: see `open_image`."""
        file = self._reader.image_file(record) if _is_inside(record.image.file_name) else None
        return file if isinstance(file, Path) and file.is_file() else None

    def image_file(self, record: Record) -> Path | IO[bytes] | None:
        """The file of a record's image, or its bytes where it is in an archive; None where there is none."""
        file = self._reader.image_file(record) if _is_inside(record.image.file_name) else None
        return None if isinstance(file, Path) and not file.is_file() else file

    def annotation_path(self, record: Record) -> Path | None:
        """The file that a record's masks were read from."""
        return self._reader.annotation_path(record)

    def open_image(self, record: Record) -> Image:
        """The pixels of a record's image, also out of an archive.

        Raises:
            ImageError: It cannot be read.
            RecordError: There is none.
        """
        file = self._reader.image_file(record) if _is_inside(record.image.file_name) else None
        if file is None:
            raise FlawError("missing_image", f"{self.path}: the image {record.image.file_name} is not there.")
        if isinstance(file, Path):
            return open_image(file)
        image = open_image(_opened(file, record.image.file_name))
        return replace(
            image, info=replace(image.info, image_id=record.image.file_name, file_name=record.image.file_name)
        )

    def _checked(self, record: Record) -> Record | None:
        """The record without what is wrong with it, its image's channels and group filled in; or None."""
        source, name = str(self.annotation_path(record) or self.path), record.image.file_name
        if not _is_inside(name):
            what = "the image's name leads out of the data set; it is not opened."
            self._log.add(Problem("refused", source, name[:200], what))
            return None
        file = self._reader.image_file(record)
        if file is None or (isinstance(file, Path) and not file.is_file()):
            what = f"the image {name} is not there; restore it, or correct its name."
            self._log.add(Problem("missing_image", source, name, what))
            if self._require_images:
                return None
        else:
            seen: ImageInfo | None = None
            with self._log.watch(str(file) if isinstance(file, Path) else source, kind="unreadable"):
                seen = open_source(file).info if isinstance(file, Path) else PillowSource(_opened(file, name)).info
            if seen is None:
                return None
            if seen.size != record.image.size:
                what = f"the annotations are for an image of {record.image.size}, but the image is {seen.size}."
                self._log.add(Problem("wrong_size", source, name, what))
                return None
            record = replace(record, image=replace(record.image, channels=seen.channels, dtype=seen.dtype))
        said = self.metadata(record)
        info = record.image
        group, licence = info.group or said.get("group") or None, info.licence or said.get("licence") or None
        if (group, licence) != (info.group, info.licence):
            record = replace(record, image=replace(info, group=group, licence=licence))
        kept = tuple(each for each in record.annotations if self._is_usable(each, record, source))
        return record if len(kept) == len(record.annotations) else replace(record, annotations=kept)

    def _is_usable(self, annotation: Annotation, record: Record, source: str) -> bool:
        key = f"{record.image.file_name}, annotation {annotation.id}"
        height, width = record.image.size
        for ring in annotation.outline or ():
            low, high = ring.min(axis=0), ring.max(axis=0)
            if low.min() < -_SLACK_PIXELS or high[0] > width + _SLACK_PIXELS or high[1] > height + _SLACK_PIXELS:
                span = f"x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
                what = f"a polygon reaches out of the image of {record.image.size}: {span}."
                self._log.add(Problem("outside_image", source, key, what))
                break
        if annotation.segmentation.area:
            return True
        self._log.add(Problem("empty_mask", source, key, "the mask has no pixel."))
        return False


def _is_inside(file_name: str) -> bool:
    """Whether an image's name stays within its data set."""
    name = PureWindowsPath(file_name)
    return not (name.drive or name.root or ".." in name.parts or "\0" in file_name)


def _opened(file: IO[bytes], name: str) -> PillowImage.Image:
    try:
        return PillowImage.open(file, formats=_ARCHIVED)
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
        raise ImageError(f"{name} is no image that segany reads: {error}.") from error


def _read_metadata(folder: Path, log: ProblemLog) -> dict[str, dict[str, str]]:
    """Rows of `metadata.csv` by image."""
    path = folder / METADATA
    if not path.is_file():
        return {}
    rows: dict[str, dict[str, str]] = {}
    with log.watch(str(path), kind="unreadable"):
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{path}: it cannot be read as UTF-8 text: {error}.") from error
        table = csv.DictReader(io.StringIO(text, newline=""))
        if "image" not in (table.fieldnames or ()):
            raise RecordError(f"{path}: wanted a column `image`, got {', '.join(table.fieldnames or ()) or 'none'}.")
        for row in table:
            values = {key: value for key, value in row.items() if isinstance(key, str) and isinstance(value, str)}
            name = values.pop("image", "")
            if len(values) != len(table.fieldnames or ()) - 1 or None in row or name in rows:
                what = f"{name!r} is there twice." if name in rows else "another number of values than of columns."
                log.add(Problem("invalid", str(path), f"line {table.line_num}", what))
                continue
            rows[name.replace("\\", "/")] = values
    return rows


def _row_of(rows: Mapping[str, Mapping[str, str]], file_name: str) -> Mapping[str, str]:
    whole = Path(file_name)
    for name in (file_name, whole.with_suffix("").as_posix(), whole.name, whole.stem):
        if name in rows:
            return rows[name]
    return {}
