"""Label maps: one picture for each image in which a pixel's value is the number of its object, both ways.

0 is the background. A pixel has one number, so where masks overlap the smaller one is seen: masks are painted from the
largest to the smallest, and of two equally large ones the later in the record first. A mask that smaller ones cover
wholly is not in the picture. PNG files have 8 bits, or 16 where there are more than 255 masks; more than 65,535 need 32
bits, which TIFF files have. Scores, categories and ids are not kept: write a record beside it.
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from segany.errors import MaskError, RecordError
from segany.files import atomic_path
from segany.formats.problems import FlawError
from segany.geometry import Size
from segany.masks.rle import RLE
from segany.schema import Annotation, ImageInfo, Record
from segany.settings import DEFAULT_MAX_PIXELS

__all__ = [
    "MAX_NUMBER",
    "label_map",
    "picture_numbers",
    "read_labels",
    "read_record",
    "record_from_label_map",
    "write_record",
]

# Of a picture of 16 bits.
MAX_NUMBER = 65_535

# Their decoders lose nothing, so that a number is read as it was written.
_LOSSLESS = ("PNG", "TIFF", "GIF", "BMP")
_LABELS = {"L": np.uint8, "P": np.uint8, "1": np.uint8, "I;16": np.uint16, "I;16B": np.uint16, "I": np.int32}


def label_map(record: Record) -> NDArray[np.uint32]:
    """Paint the masks of a record.

    Args:
        record: Masks; the first gets the number 1.

    Returns:
        [H, W] uint32, column-contiguous: 0 where there is no mask, else the place in the record of the smallest mask
        there, from 1.
    """
    size = record.image.size
    flat = np.zeros(size.area, dtype=np.uint32)
    numbered = list(enumerate((annotation.segmentation for annotation in record.annotations), start=1))
    for number, rle in sorted(numbered, key=lambda pair: (-pair[1].area, -pair[0])):
        ends = rle.runs.cumsum().tolist()
        for start, end in zip(ends[0::2], ends[1::2], strict=False):
            flat[start:end] = number
    return flat.reshape(size.width, size.height).T


def picture_numbers(annotations: Sequence[Annotation], highest: int) -> list[int]:
    """The number of each mask in a picture: its id where all ids can be numbers there, else its place from 1.

    Args:
        annotations: Of one record.
        highest: The largest number that the picture holds; places may exceed it.
    """
    ids = [each.id for each in annotations if type(each.id) is int and 1 <= each.id <= highest]
    return ids if len(ids) == len(annotations) else list(range(1, len(annotations) + 1))


def record_from_label_map(labels: NDArray[Any], image: ImageInfo, *, ignore: Collection[int] = ()) -> Record:
    """One annotation for each number, which becomes its id.

    Args:
        labels: [H, W] integers from 0 up, 0 the background.
        image: Of which image; its size is that of the map.
        ignore: Numbers that are no object, such as 255 for a border that nobody decided on.

    Raises:
        MaskError: The array is not [H, W] of integers from 0 up, or has another size than the image.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "iub" or (labels.size and labels.min() < 0):
        raise MaskError(f"a label map must be [H, W] of whole numbers from 0 up, got {labels.dtype} {_shape(labels)}.")
    if labels.shape != tuple(image.size):
        raise MaskError(f"the label map of {image.file_name} is {_shape(labels)}, but the image {image.size}.")
    flat = labels.T.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    values = flat[starts[:-1]]
    order = np.argsort(values, kind="stable")
    numbers, places = np.unique(values[order], return_index=True)
    annotations = []
    for number, runs in zip(numbers.tolist(), np.split(order, places[1:]), strict=True):
        if number == 0 or number in ignore:
            continue
        edges = np.stack([starts[runs], starts[runs + 1]], axis=1).ravel()
        counts = np.diff(np.concatenate([[0], edges, [flat.size]]))
        annotations.append(Annotation(int(number), RLE.from_counts(image.size, counts), source="manual"))
    return Record(image, tuple(annotations))


def write_record(record: Record, path: str | os.PathLike[str]) -> None:
    """Write the label map of a record, atomically.

    Args:
        record: Masks.
        path: A .png file, or .tif or .tiff.

    Raises:
        RecordError: More than 65,535 masks for a PNG file, or another kind of file.
        OutputError: The file cannot be written.
    """
    target, count = Path(path), len(record.annotations)
    if target.suffix.lower() not in (".png", ".tif", ".tiff"):
        raise RecordError(f"a label map must be a .png, .tif or .tiff file, got {target.name!r}.")
    if count > 65_535 and target.suffix.lower() == ".png":
        raise RecordError(
            f"{record.image.file_name} has {count:,} masks, and PNG holds numbers up to 65,535; name a .tif file."
        )
    dtype = np.uint8 if count <= 255 else np.uint16 if count <= 65_535 else np.int32
    picture = PillowImage.fromarray(np.ascontiguousarray(label_map(record), dtype=dtype))
    with atomic_path(target) as temporary:
        picture.save(temporary, compression=None if target.suffix.lower() == ".png" else "tiff_adobe_deflate")


def read_record(
    path: str | os.PathLike[str], image: ImageInfo | None = None, *, ignore: Collection[int] = ()
) -> Record:
    """Read a label map. Of a picture with a palette the indexes are read, not the colours.

    Args:
        path: A grey or palette picture of 1, 8, 16 or 32 bits without loss: PNG or TIFF.
        image: Of which image; one named like the file when left out.
        ignore: As in `record_from_label_map`.

    Raises:
        RecordError: The file cannot be read, has colours, too many pixels or another size than the image.
    """
    source = Path(path)
    labels = read_labels(source)
    info = image or ImageInfo(source.stem, source.name, Size(*labels.shape))
    try:
        return record_from_label_map(labels, info, ignore=ignore)
    except MaskError as error:
        raise RecordError(f"{source}: {error}") from error


def read_labels(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The numbers of a label map or a mask, before anyone says what they mean.

    Of a picture with a palette the indexes are read, not the colours, but for GIF; a picture whose red, green and blue
    are the same everywhere is grey.

    Args:
        path: A picture of 1, 8, 16 or 32 bits without loss: PNG, TIFF, GIF or BMP.

    Returns:
        [H, W] uint8, uint16 or int32.

    Raises:
        RecordError: The file cannot be read, has colours or too many pixels.
    """
    path = Path(path)
    try:
        with PillowImage.open(path, formats=_LOSSLESS) as picture:
            if picture.width * picture.height > DEFAULT_MAX_PIXELS:
                raise FlawError(
                    "refused",
                    f"{path} has {picture.width * picture.height:,} pixels; a label map may have "
                    f"{DEFAULT_MAX_PIXELS:,}.",
                )
            if picture.format == "GIF":
                # Its writers renumber the palette as they like, so that only the colours mean anything.
                return _grey(picture.convert("RGB"), path)
            if picture.mode in ("RGB", "RGBA", "LA"):
                return _grey(picture, path)
            if picture.mode not in _LABELS:
                raise RecordError(f"{path} has the mode {picture.mode}; a label map has one number for each pixel.")
            return np.asarray(picture).astype(_LABELS[picture.mode], copy=False)
    except UnidentifiedImageError as error:
        raise FlawError("unreadable", f"{path} is no PNG or TIFF file, so it is no label map.") from error
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
        raise FlawError("refused", f"{path} has too many pixels for a label map.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, RecordError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise FlawError("unreadable", f"cannot read {path}: {reason}.") from error


def _grey(picture: PillowImage.Image, path: Path) -> NDArray[np.uint8]:
    channels = np.asarray(picture)[..., : 1 if picture.mode == "LA" else 3]
    if (channels != channels[..., :1]).any():
        raise RecordError(f"{path} has the mode {picture.mode}; a label map has one number for each pixel.")
    return np.ascontiguousarray(channels[..., 0])


def _shape(labels: NDArray[Any]) -> str:
    return str(list(labels.shape))
