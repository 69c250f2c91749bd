"""TrueObject: an object whose mask people drew; where such objects come from, and how a sample is taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ConfigError, MissingExtraError, RecordError
from segany.formats import coco
from segany.masks import RLE

__all__ = ["TrueObject", "coco_objects", "mask_folder_objects", "stratified", "volume_objects"]


@dataclass(frozen=True, eq=False)
class TrueObject:
    """One object of an annotated image.

    Attributes:
        id: Its name within the set.
        group: The image, volume or video it is from: objects of one group are not independent.
        image: The image's file, or its pixels [H, W] uint8 where it is a slice of something.
        mask: The true mask, original pixels.
    """

    id: str
    group: str
    image: Path | NDArray[np.uint8]
    mask: RLE


def coco_objects(folder: Path) -> list[TrueObject]:
    """Objects of a COCO set, crowd regions left out, image by image in the file's order.

    Args:
        folder: Holds `instances.json` and `images/`.

    Raises:
        RecordError: No such file, or not in COCO's format.
    """
    return [
        TrueObject(
            str(annotation.id),
            record.image.file_name,
            folder / "images" / record.image.file_name,
            annotation.segmentation,
        )
        for record in coco.read_records(folder / "instances.json")
        for annotation in record.annotations
        if not annotation.iscrowd
    ]


def mask_folder_objects(folder: Path) -> list[TrueObject]:
    """Objects of a set with one black and white mask for each image, in the order of names.

    Args:
        folder: Holds `images/`, and `masks/` with PNG files of the same names.

    Raises:
        RecordError: There are none, or a mask is missing.
    """
    objects = []
    for path in sorted((folder / "images").glob("*")):
        mask_path = (folder / "masks" / path.name).with_suffix(".png")
        if not mask_path.is_file():
            raise RecordError(f"{path.name} has no mask {mask_path}; add it or remove the image.")
        with PillowImage.open(mask_path) as picture:
            mask = np.asarray(picture.convert("L")) >= 128
        objects.append(TrueObject(path.stem, path.stem, path, RLE.from_mask(mask)))
    if not objects:
        raise RecordError(f"no images in {folder / 'images'}; name the folder that holds images/ and masks/.")
    return objects


def volume_objects(folder: Path, per_volume: int, min_area: int) -> list[TrueObject]:
    """Slices of labelled volumes: what is labelled in a slice, whatever the label, is the object.

    The slices are those along the last axis whose object is large enough, evenly spread. Intensities from the 0.5th to
    the 99.5th percentile of the volume become 0 to 255 (Ma et al., "Segment anything in medical images", 2024).

    Args:
        folder: Holds `images/` and `labels/` with NIfTI files of the same names.
        per_volume: How many slices of each volume; fewer where there are not as many.
        min_area: Smallest object, pixels.

    Raises:
        RecordError: There are none, or a label volume is missing.
        MissingExtraError: nibabel is not installed.
    """
    objects = []
    for path in sorted((folder / "images").glob("*.nii*")):
        label_path = folder / "labels" / path.name
        if not label_path.is_file():
            raise RecordError(f"{path.name} has no labels {label_path}; add them or remove the volume.")
        volume, labels = _volume(path), _volume(label_path) > 0
        low, high = np.percentile(volume, [0.5, 99.5])
        grey = np.clip((volume - low) / max(high - low, 1e-9) * 255, 0, 255).round().astype(np.uint8)
        found = np.flatnonzero(labels.sum(axis=(0, 1)) >= min_area)
        for place in range(min(per_volume, len(found))):
            k = int(
                found[(2 * place + 1) * len(found) // (2 * per_volume)] if len(found) > per_volume else found[place]
            )
            name = path.name.split(".")[0]
            mask = RLE.from_mask(np.ascontiguousarray(labels[:, :, k].T))
            objects.append(TrueObject(f"{name}:{k}", name, np.ascontiguousarray(grey[:, :, k].T), mask))
    if not objects:
        raise RecordError(f"no labelled slices in {folder}; name the folder that holds images/ and labels/.")
    return objects


def stratified(objects: Sequence[TrueObject], count: int, min_area: int = 1) -> list[TrueObject]:
    """A sample that is spread evenly over the sizes: every so manieth object in order of area.

    Args:
        objects: To choose from.
        count: How many.
        min_area: Smaller objects are left out first, pixels.

    Returns:
        `count` objects from the smallest to the largest; the same ones every time.

    Raises:
        ConfigError: There are not that many.
    """
    candidates = sorted((o for o in objects if o.mask.area >= min_area), key=lambda o: (o.mask.area, o.id))
    if not 1 <= count <= len(candidates):
        raise ConfigError(f"a sample must have 1 to {len(candidates)} objects, got {count}.")
    return [candidates[(2 * place + 1) * len(candidates) // (2 * count)] for place in range(count)]


def _volume(path: Path) -> NDArray[np.float64]:
    try:
        import nibabel
    except ImportError as error:
        raise MissingExtraError("Reading NIfTI volumes", "medical") from error
    return np.asarray(nibabel.nifti1.Nifti1Image.from_filename(path).get_fdata())
