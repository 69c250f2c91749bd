"""Label maps, and PASCAL VOC's two pictures for each image: the objects' numbers and their classes."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import RecordError
from segany.formats._placing import ImageFile
from segany.formats.coco import NO_CATEGORY
from segany.formats.label_map import MAX_NUMBER, label_map, picture_numbers
from segany.formats.losses import MAX_VOC_OBJECTS
from segany.formats.masks_in_folders import LABELS_FILE
from segany.formats.writers._files import ImageFolder, write_beside
from segany.formats.writers.target import Options, Writer
from segany.schema import Annotation, Record

__all__ = ["writer"]

_VOID = 255
# In 8 bits, 255 beside numbers without 254 is read as undecided.
_MAX_BYTE = 253


def writer(folder: Path, options: Options) -> Writer:
    """A writer of label maps or of VOC."""
    return _Voc(folder, options) if options.target == "voc" else _Labels(folder, options)


class _Labels:
    def __init__(self, folder: Path, options: Options) -> None:
        self._folder = folder / "labels"
        self._folder.mkdir()
        self._images = ImageFolder(folder / "images", options.images)

    def add(self, record: Record, image: ImageFile) -> str:
        placed = self._images.place(record, image)
        name = placed.image.file_name
        if len(placed.objects) > MAX_NUMBER:
            raise RecordError(
                f"{name} has {len(placed.objects):,} masks; a label map of 16 bits holds {MAX_NUMBER:,}. Write another "
                "format, or filter the masks first."
            )
        numbers = np.array([0, *picture_numbers(placed.objects, MAX_NUMBER)])
        dtype = np.uint8 if numbers.max() <= _MAX_BYTE else np.uint16
        picture = PillowImage.fromarray(numbers.astype(dtype)[painted(placed, placed.objects)])
        write_beside(self._folder, name, ".png", _png(picture))
        return name

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Voc:
    def __init__(self, folder: Path, options: Options) -> None:
        self._folder = folder
        self._objects, self._classes_folder = folder / "SegmentationObject", folder / "SegmentationClass"
        for each in (self._objects, self._classes_folder):
            each.mkdir()
        self._images = ImageFolder(folder / "JPEGImages", options.images)
        self._classes = {each.name: number for number, each in enumerate(options.categories, start=1)}
        lists = folder / "ImageSets" / "Segmentation"
        lists.mkdir(parents=True)
        self._list = (lists / "all.txt").open("x", encoding="utf-8", newline="\n")

    def add(self, record: Record, image: ImageFile) -> str:
        placed = self._images.place(record, image)
        name = placed.image.file_name
        objects = placed.objects
        if len(objects) > MAX_VOC_OBJECTS:
            largest = sorted(objects, key=lambda each: -each.area)[:MAX_VOC_OBJECTS]
            objects = tuple(each for each in objects if each in largest)
        places = painted(placed, objects)
        classes = np.array([0, *(self._class(each, name) for each in objects)], dtype=np.uint8)[places]
        numbers = np.array([0, *picture_numbers(objects, MAX_VOC_OBJECTS)], dtype=np.uint8)[places]
        if (undecided := placed.undecided) is not None:
            void = undecided.to_mask() & (places == 0)
            numbers[void] = classes[void] = _VOID
        for folder, values in ((self._objects, numbers), (self._classes_folder, classes)):
            write_beside(folder, name, ".png", _png(_with_palette(values)))
        self._list.write(f"{Path(name).with_suffix('').as_posix()}\n")
        return name

    def finish(self) -> None:
        self._list.close()
        colors = voc_palette().reshape(-1, 3).tolist()
        lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
        for name, number in sorted(self._classes.items(), key=lambda pair: pair[1]):
            lines.append(f"{' '.join(name.split())}:{','.join(map(str, colors[number]))}::")
        text = "".join(f"{line}\n" for line in lines)
        (self._folder / LABELS_FILE).write_text(text, encoding="utf-8", newline="\n")

    def close(self) -> None:
        self._list.close()

    def _class(self, annotation: Annotation, file_name: str) -> int:
        name = NO_CATEGORY if annotation.category is None else annotation.category
        number = self._classes.setdefault(name, len(self._classes) + 1)
        if number >= _VOID:
            raise RecordError(
                f"{file_name} has an object of the class {name!r}, which is number {number}; VOC's pictures hold "
                f"{_VOID - 1} classes. Write another format."
            )
        return number


def painted(record: Record, objects: tuple[Annotation, ...]) -> NDArray[np.uint32]:
    """[H, W] uint32: the place among the objects, from 1, of the smallest one at each pixel."""
    return label_map(Record(record.image, objects))


def voc_palette() -> NDArray[np.uint8]:
    """[768] uint8: VOC's colour of each number, which spreads the number's bits over red, green and blue."""
    numbers = np.arange(256)
    colors = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (((numbers >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return colors.ravel()


def _with_palette(values: NDArray[np.uint8]) -> PillowImage.Image:
    picture = PillowImage.fromarray(np.ascontiguousarray(values))
    picture.putpalette(voc_palette().tolist())
    return picture


def _png(picture: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, format="PNG")
    return content.getvalue()
