"""Writer: what every format gives to a conversion, and the one for each target."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from segany.formats._placing import ImageFile, ImageMode
from segany.formats.category import Category
from segany.formats.losses import Target
from segany.schema import Record

__all__ = ["Options", "Writer", "open_writer"]

# Loaded by name, so that writing one format needs nothing of the others.
_MODULES: dict[Target, str] = {
    "coco": "instances",
    "geojson": "geojson",
    "labelme": "labelme",
    "labels": "pictures",
    "parquet": "tables",
    "sa1b": "records",
    "sav": "masklets",
    "voc": "pictures",
    "yolo": "text",
}


@dataclass(frozen=True)
class Options:
    """How to write.

    Attributes:
        target: The format.
        images: What becomes of the images.
        shard_images: SA-1B: tar files of so many images each, instead of single files.
        categories: Of the data set, used or not.
    """

    target: Target
    images: ImageMode = "copy"
    shard_images: int | None = None
    categories: Sequence[Category] = ()


class Writer(Protocol):
    """Takes the records of a data set."""

    def add(self, record: Record, image: ImageFile) -> str | None:
        """Write a record and its image.

        Returns:
            What the image is called in the new data set, with / between folders; None for a record that the format
            cannot hold.

        Raises:
            RecordError: A value of the record cannot be written.
            OSError: The disk is full, and the like.
        """
        ...

    def finish(self) -> None:
        """Write what comes last. Raises as `add`."""
        ...

    def close(self) -> None:
        """Close the files, whatever happened."""
        ...


def open_writer(folder: Path, options: Options) -> Writer:
    """A writer into an empty folder.

    Raises:
        MissingExtraError: The format needs a package that is not installed.
    """
    module = importlib.import_module(f"segany.formats.writers.{_MODULES[options.target]}")
    return cast(Writer, module.writer(folder, options))
