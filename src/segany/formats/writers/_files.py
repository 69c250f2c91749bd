"""What writers of a file for each image have in common: names, images, JSON."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from segany.errors import RecordError
from segany.formats._names import SafeNames
from segany.formats._placing import ImageFile, ImageMode, place_image
from segany.schema import Record
from segany.sources import IMAGE_SUFFIXES

__all__ = ["ImageFolder", "json_bytes", "write_beside"]

_DEFAULT_SUFFIX = ".jpg"


class ImageFolder:
    """Gives images their names and brings them into a folder.

    Attributes:
        folder: Of the images.
    """

    def __init__(self, folder: Path, mode: ImageMode) -> None:
        """Make the folder.

        Args:
            folder: Of the images.
            mode: What becomes of them.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._mode = folder, mode
        self._names = SafeNames()

    def place(self, record: Record, image: ImageFile) -> Record:
        """Bring a record's image into the folder; the record with the image's name there."""
        name = self._names.take(record.image.file_name, suffix=image_suffix(record.image.file_name, image))
        place_image(image, self.folder / name, self._mode)
        return renamed(record, name)


def image_suffix(file_name: str, image: ImageFile) -> str:
    """The suffix that an image's name gets: its own, or else its file's."""
    for suffix in (Path(file_name.replace("\\", "/")).suffix, image.suffix if isinstance(image, Path) else ""):
        if suffix.lower() in IMAGE_SUFFIXES:
            return suffix
    return _DEFAULT_SUFFIX


def renamed(record: Record, name: str) -> Record:
    """The record with another name of its image."""
    if record.image.file_name == name:
        return record
    return replace(record, image=replace(record.image, file_name=name))


def json_bytes(values: Any, file_name: str) -> bytes:
    """A JSON document.

    Raises:
        RecordError: A value cannot be written as JSON.
    """
    try:
        return f"{json.dumps(values, allow_nan=False, separators=(',', ':'))}\n".encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"the record of {file_name} cannot be written as JSON: {error}.") from error


def write_beside(folder: Path, name: str, suffix: str, content: bytes) -> None:
    """Write a file named like an image, but for the suffix, in a folder of its own or in the image's.

    Raises:
        FileExistsError: There is one.
    """
    path = (folder / name).with_suffix(suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
