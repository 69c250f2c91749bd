"""Which mask pictures belong to which images: the layouts of folders."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segany.formats.problems import Problem, ProblemLog
from segany.sources import IMAGE_SUFFIXES

__all__ = ["MASK_SUFFIXES", "Layout", "Pair", "child_folder", "files_below", "find_layouts"]

MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".gif", ".bmp"})
_IMAGES = ("images", "image", "imgs", "img", "jpegimages", "photos")
_MASKS = (
    *("labels", "masks", "label", "mask", "segmentationobject", "annotations", "instances", "groundtruth"),
    *("ground_truth", "gt", "segmentations"),
)
# What a mask's name may have behind the image's.
_ENDINGS = ("", "_mask", "_label", "_labels", ".labels", "_gt", "_seg", "_segmentation", "-mask", "_instances")


@dataclass(frozen=True)
class Pair:
    """An image and the pictures of its masks.

    Attributes:
        name: What the image is called: its path within the set, with / between folders.
        image: The image; None when there is none with the masks' name.
        masks: The pictures of its masks, by name; none when there are none.
    """

    name: str
    image: Path | None
    masks: tuple[Path, ...]


@dataclass(frozen=True)
class Layout:
    """A folder of images and a folder of masks.

    Attributes:
        prefix: What comes before the images' names: the folder of a sequence or a split, ending in /; or "".
        images: The images' folder.
        masks: The masks' folder.
        suffixes: Of the files with masks.
    """

    prefix: str
    images: Path
    masks: Path
    suffixes: frozenset[str] = MASK_SUFFIXES

    def pairs(self, log: ProblemLog) -> list[Pair]:
        """Images with their masks, by name; masks of no image and images without mask come alone.

        A mask belongs to the image of its name, or stands in a folder of the image's name. Where there is one image
        only, all masks are its own.

        Args:
            log: Takes the images that only their suffix tells from another; they are left out.
        """
        images: dict[str, Path] = {}
        for path in files_below(self.images, IMAGE_SUFFIXES):
            first = images.setdefault(_stem(path, self.images), path)
            if first != path:
                what = f"only its suffix tells it from {first.name}; rename one of them and its masks."
                log.add(Problem("duplicate_id", str(path), "", what))
        masks: dict[str, list[Path]] = {}
        for path in files_below(self.masks, self.suffixes):
            if path not in images.values():
                masks.setdefault(self._owner(_stem(path, self.masks), images), []).append(path)
        return [
            Pair(self.prefix + self._name(stem, images.get(stem)), images.get(stem), tuple(masks.get(stem, ())))
            for stem in sorted(images.keys() | masks.keys())
        ]

    def _owner(self, stem: str, images: dict[str, Path]) -> str:
        """The image that a mask belongs to, by its name; the mask's own where there is none."""
        for ending in _ENDINGS:
            if stem.endswith(ending) and stem.removesuffix(ending) in images:
                return stem.removesuffix(ending)
        folder = stem.rpartition("/")[0]
        if folder in images:
            return folder
        return next(iter(images)) if len(images) == 1 else stem

    def _name(self, stem: str, image: Path | None) -> str:
        return stem if image is None else image.relative_to(self.images).as_posix()


def find_layouts(folder: Path, suffixes: frozenset[str]) -> list[Layout]:
    """The image and mask folders of a set: its own two, or those of each folder in it (sequences, splits).

    Args:
        folder: Of the set.
        suffixes: Of the files with masks.
    """
    own = _layout(folder, "", suffixes)
    if own is not None:
        return [own]
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [layout for path in inner if (layout := _layout(path, f"{path.name}/", suffixes)) is not None]


def child_folder(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first of some folders that is there, whatever the case of its letters."""
    there = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    return next((there[name] for name in names if name in there), None)


def files_below(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    """Files with one of some suffixes in a folder and its folders, by name; hidden ones are left out."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield Path(root, name)


def _layout(folder: Path, prefix: str, suffixes: frozenset[str]) -> Layout | None:
    images = child_folder(folder, _IMAGES)
    if images is None:
        return None
    there = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    for name in _MASKS:
        if name in there and any(True for _ in files_below(there[name], suffixes)):
            return Layout(prefix, images, there[name], suffixes)
    return None


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()
