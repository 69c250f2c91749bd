"""COCO: one instances file and a folder of images."""

from pathlib import Path

from segany.formats import coco
from segany.formats._placing import ImageFile
from segany.formats.writers._files import ImageFolder
from segany.formats.writers.target import Options
from segany.schema import Record

__all__ = ["writer"]

INSTANCES = "instances.json"


class _Instances:
    def __init__(self, folder: Path, options: Options) -> None:
        self._images = ImageFolder(folder / "images", options.images)
        self._writer = coco.InstancesWriter(folder / INSTANCES, options.categories)

    def add(self, record: Record, image: ImageFile) -> str:
        placed = self._images.place(record, image)
        self._writer.add(placed)
        return placed.image.file_name

    def finish(self) -> None:
        self._writer.finish()

    def close(self) -> None:
        self._writer.close()


writer = _Instances
