"""open_image and open_source: one way in for files, arrays and Pillow images."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ImageError
from segany.schema import Image
from segany.sources.array import ArraySource
from segany.sources.mapping import to_rgb
from segany.sources.photo import PhotoSource, PillowSource, check_pixels

__all__ = ["ImageLike", "open_image", "open_source", "pixel_digest"]

ImageLike = str | os.PathLike[str] | NDArray[Any] | PillowImage.Image | Image


def open_image(
    image: ImageLike,
    *,
    max_pixels: int | None = None,
    bands: Sequence[int] | None = None,
    window: Sequence[float] | None = None,
) -> Image:
    """Read an image whole as upright 8-bit RGB.

    How grey, deep, transparent and many-channel images are shown is the table of `segany.sources.mapping`; what was
    done is in the result's `mapping`. Colour profiles are not applied. An array is copied, so that later changes to it
    do not reach the image.

    Args:
        image: A file; an array [H, W] or [H, W, C] of bool, integers or floats, RGB order; a Pillow image; or an
            Image, which is returned as it is.
        max_pixels: Most pixels (height x width), compared before anything is decoded; None for `Settings.max_pixels`.
        bands: One channel to show as grey or three as red, green, blue, from 0.
        window: Stored values (low, high) to show as 0 and 255.

    Raises:
        ImageError: No such file, a folder, not an image, truncated or damaged, empty, too many pixels, NaN, a shape
            or type that is no image, bands that are not there.
    """
    if isinstance(image, Image):
        return image
    source = _source(image, max_pixels, bands_chosen=bands is not None)
    name = str(source.path) if isinstance(source, PhotoSource) else source.info.file_name
    pixels, mapping = to_rgb(source.decode(), name, bands, window)
    source_digest = _file_digest(source.path) if isinstance(source, PhotoSource) else None
    info = replace(source.info, digest=pixel_digest(pixels), source_digest=source_digest)
    return Image(info, pixels, mapping)


def open_source(path: str | os.PathLike[str], *, max_pixels: int | None = None) -> PhotoSource:
    """Open an image file lazily: its header now, its pixels when they are asked for.

    Args:
        path: The file.
        max_pixels: Most pixels (height x width); None for `Settings.max_pixels`.

    Raises:
        ImageError: As `open_image`, but for damage that only decoding shows.
    """
    return PhotoSource(path, max_pixels=max_pixels)


def pixel_digest(pixels: NDArray[Any]) -> str:
    """sha256 over dtype, shape and values, hexadecimal: equal for equal arrays and for no others.

    Args:
        pixels: Any array; [H, W, 3] uint8 RGB for an image's digest.
    """
    values = np.ascontiguousarray(pixels)
    digest = hashlib.sha256(f"{values.dtype.newbyteorder('<').str}{list(values.shape)}".encode())
    digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).data)
    return digest.hexdigest()


def _source(image: object, max_pixels: int | None, *, bands_chosen: bool) -> PhotoSource | PillowSource | ArraySource:
    if isinstance(image, str | os.PathLike):
        return PhotoSource(Path(os.fsdecode(image)), max_pixels=max_pixels)
    if isinstance(image, np.ndarray):
        source = ArraySource(image, bands_chosen=bands_chosen)
        check_pixels(source.info.size, source.info.file_name, max_pixels)
        return source
    if isinstance(image, PillowImage.Image):
        return PillowSource(image, max_pixels=max_pixels)
    raise ImageError(
        f"an image must be a file's path, a NumPy array or a Pillow image, got {type(image).__name__}; "
        "convert it to a NumPy array [H, W, C] first."
    )


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
