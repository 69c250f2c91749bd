"""Depths and layouts that Pillow would cut: 16-bit colour PNG, TIFF of many channels or of deep colour."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ImageError
from segany.sources._pillow import open_header
from segany.sources._stored import StoredArray

# What it says of a damaged file becomes an error of ours; without a handler it would be printed as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

__all__ = ["DeepPng", "DeepTiff", "is_deep_png", "is_deep_tiff"]

_BITS_PER_SAMPLE, _PHOTOMETRIC, _ORIENTATION, _PLANAR, _SAMPLE_FORMAT = 258, 262, 274, 284, 339
_GREY_AND_RGB = {0, 1, 2}

# TIFF 6.0, ExtraSamples: 1 is opacity multiplied in already, 2 is plain opacity.
_OPACITY = {1, 2}


def is_deep_png(image: PillowImage.Image) -> bool:
    """Whether Pillow would keep only the upper 8 of 16 bits."""
    tiles = getattr(image, "tile", [])
    return image.format == "PNG" and image.mode != "I;16" and bool(tiles) and str(tiles[0][3]).endswith(";16B")


def is_deep_tiff(image: PillowImage.Image) -> bool:
    """Whether Pillow, which opened the TIFF, would cut its depth, drop channels, misread its sign or fail."""
    tags = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        return False
    bits = tuple(tags.get(_BITS_PER_SAMPLE, (1,)))
    unsigned = next(iter(tags.get(_SAMPLE_FORMAT, (1,)))) == 1
    plain = image.mode in ("L", "LA", "RGB", "RGBA") and tags.get(_PHOTOMETRIC) in _GREY_AND_RGB
    drops_channels = plain and len(bits) > len(image.getbands())
    # Geographic programs write single bands as "planes"; Pillow knows none but of 8 bits.
    deep = max(bits) > 8 and (len(bits) > 1 or tags.get(_PLANAR) == 2)
    return drops_channels or deep or (bits == (32,) and unsigned)


class DeepPng:
    """A 16-bit colour PNG through OpenCV.

    Attributes:
        shape: (height, width, channels) as stored, pixels.
        dtype: uint16.
        orientation: EXIF orientation, 1 to 8.
    """

    dtype: np.dtype[Any] = np.dtype(np.uint16)

    def __init__(self, path: Path, image: PillowImage.Image, orientation: int) -> None:
        """Take the header that Pillow read."""
        self._path = path
        self._alpha = image.mode in ("LA", "RGBA")
        # OpenCV gives grey with transparency as four channels.
        self.shape = (image.height, image.width, 4 if self._alpha else 3)
        self.orientation = orientation

    def decode(self) -> StoredArray:
        """The values.

        Raises:
            Exception: One of `DAMAGE`, when a checksum is wrong or the file ends early.
        """
        import cv2

        # OpenCV fills what is missing with black and only prints a line; the checksums tell.
        with self._path.open("rb") as file:
            image = open_header(file, self._path)
            if image is None:
                raise ValueError("the file has changed while it was read")
            image.verify()
        # Its types do not say so, but for broken data it gives None.
        decoded: Any = cv2.imdecode(np.fromfile(self._path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None or decoded.ndim != 3:
            raise ValueError("the data cannot be decoded")
        code = cv2.COLOR_BGRA2RGBA if decoded.shape[2] == 4 else cv2.COLOR_BGR2RGB
        cv2.cvtColor(decoded, code, dst=decoded)
        return StoredArray(decoded, orientation=self.orientation, alpha=decoded.shape[2] == 4, is_own=True)


class DeepTiff:
    """The first page of a TIFF through tifffile: any depth, any number of channels.

    Attributes:
        shape: (height, width, channels) as stored, pixels.
        dtype: Of the values.
        orientation: TIFF orientation, 1 to 8.
    """

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            ValueError: No TIFF, or a layout that is no picture.
        """
        import tifffile

        self._path = path
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            if page.dtype is None or page.axes not in ("YX", "YXS", "SYX"):
                raise ValueError(f"the first page has the axes {page.axes}, not height, width and channels")
            lengths = dict(zip(page.axes, page.shape, strict=True))
            self.shape = (lengths["Y"], lengths["X"], lengths.get("S", 1))
            self.dtype: np.dtype[Any] = page.dtype
            orientation = page.tags.valueof(_ORIENTATION, 1)
            self.orientation = int(orientation) if orientation in range(1, 9) else 1
            self._planes_first = page.axes == "SYX"
            rgb = page.photometric == tifffile.PHOTOMETRIC.RGB
            self._alpha = rgb and self.shape[2] == 4 and bool(_OPACITY & {int(kind) for kind in page.extrasamples})
            self._compression = page.compression
            self._pages = len(tiff.pages)
            ends = (start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False))
            self._end = max(ends, default=0)

    def decode(self) -> StoredArray:
        """The values.

        Raises:
            ImageError: Its compression needs a package that is not installed.
            ValueError: The file ends early.
        """
        import tifffile

        if self._end > self._path.stat().st_size:
            # tifffile would fill what is missing with zeros.
            raise ValueError("the file ends before its pixels do")
        try:
            with tifffile.TiffFile(self._path) as tiff:
                values: NDArray[Any] = np.asarray(tiff.pages.first.asarray())
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            name = getattr(self._compression, "name", self._compression)
            raise ImageError(
                f"{self._path} is a TIFF of many channels or deep colour with {name} compression; "
                "reading that needs another package: pip install imagecodecs"
            ) from error
        if self._planes_first:
            values = np.moveaxis(values, 0, -1)
        notes = (f"first of {self._pages} frames",) if self._pages > 1 else ()
        values = values.reshape(self.shape)
        return StoredArray(values, orientation=self.orientation, alpha=self._alpha, notes=notes)
