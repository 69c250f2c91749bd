"""Pillow, held to known formats and to our own limit on pixels, and its modes as plain values."""

import importlib
import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms

from segany.sources._stored import STRIP_ROWS

__all__ = ["DAMAGE", "FORMATS", "PillowFile", "StoredPillow", "load_pixels", "open_header", "orientation_of"]

_PLUGINS = {
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "TIFF": "TiffImagePlugin",
    "WEBP": "WebPImagePlugin",
    "GIF": "GifImagePlugin",
    "BMP": "BmpImagePlugin",
    "AVIF": "AvifImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "PPM": "PpmImagePlugin",
}

# Read by decoders alone: none of them starts a program or follows a name in the file, as EPS and others do.
FORMATS = tuple(_PLUGINS)

# What the decoders raise on damaged data.
DAMAGE = (
    *(OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError),
    *(ArithmeticError, struct.error, zlib.error),
)

# What it says of a damaged file becomes an error of ours; without a handler it would be printed as well.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_EXIF_ORIENTATION = 0x0112

# Mode -> (mode to convert to, what to say of it). Modes that are not here hold plain channels.
_CONVERSIONS = {
    "CMYK": ("RGB", "CMYK shown as RGB without its colour profile"),
    "YCbCr": ("RGB", "YCbCr shown as RGB"),
    "HSV": ("RGB", "HSV shown as RGB"),
    "LAB": ("RGB", "CIE Lab shown as sRGB"),
    "PA": ("RGBA", "palette shown as its colours"),
    "RGBX": ("RGB", ""),
    "RGBa": ("RGBA", ""),
    "La": ("LA", ""),
}

_limit_lock = threading.Lock()


@lru_cache(maxsize=1)
def _readers() -> tuple[tuple[Any, Any], ...]:
    """(Image class, test of the first bytes) of each format that this build of Pillow can read."""
    for plugin in _PLUGINS.values():
        importlib.import_module(f"PIL.{plugin}")
    return tuple(PillowImage.OPEN[name] for name in FORMATS if name in PillowImage.OPEN)


def open_header(file: IO[bytes], path: Path) -> PillowImage.Image | None:
    """Read the header alone.

    `PIL.Image.open` would compare the size with a limit that is one for the whole process; the format's own class
    does not, so the caller can apply its limit without touching anybody else's.

    Args:
        file: The open file; it must stay open until the pixels are loaded.
        path: Its name.

    Returns:
        The image, not decoded yet; None when no reader claims the first bytes.

    Raises:
        Exception: One of `DAMAGE`, when a reader claims the file but cannot read its header.
    """
    prefix = file.read(16)
    for factory, accept in _readers():
        claims = accept is not None and accept(prefix)
        # A string says that this build lacks the decoder.
        if claims and not isinstance(claims, str):
            file.seek(0)
            image: PillowImage.Image = factory(file, str(path))
            return image
    return None


def load_pixels(image: PillowImage.Image) -> None:
    """Decode. Raises one of `DAMAGE` when the data end early or are broken."""
    with _limit_lifted(image):
        image.load()


@contextmanager
def _limit_lifted(image: PillowImage.Image) -> Iterator[None]:
    """Keep Pillow's process-wide limit out of the way of an image that ours has let pass already.

    Only TIFF and GIF look at it again while decoding, so only their giants touch it, one at a time.
    """
    if image.format not in ("TIFF", "GIF"):
        yield
        return
    with _limit_lock:
        limit = PillowImage.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            PillowImage.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            PillowImage.MAX_IMAGE_PIXELS = limit


def orientation_of(image: PillowImage.Image) -> int:
    """EXIF orientation that is still to be undone, 1 to 8; 1 when there is none or it cannot be read."""
    if image.format == "TIFF":
        # Pillow turns a TIFF while decoding, and gives its upright size before.
        return 1
    try:
        # For a PNG without such a chunk before its pixels Pillow would decode it all, to look behind them.
        known = image.format != "PNG" or _has_late_exif(image)
        exif = image.getexif() if known else PillowImage.Image.getexif(image)
        value = exif.get(_EXIF_ORIENTATION, 1)
    except DAMAGE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _has_late_exif(image: PillowImage.Image) -> bool:
    """Whether a PNG that is not decoded yet has its EXIF chunk behind its pixels, which the standard allows."""
    file = getattr(image, "fp", None)
    if file is None or "exif" in image.info:
        return False
    place = file.tell()
    try:
        # After the signature: length, name, content and checksum of each chunk.
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, name = struct.unpack(">I4s", head)
            if name == b"eXIf":
                return True
            file.seek(length + 4, os.SEEK_CUR)
        return False
    finally:
        file.seek(place)


def _frame_notes(image: PillowImage.Image) -> tuple[str, ...]:
    """Say that only the first of several frames or pages is shown."""
    try:
        frames = int(getattr(image, "n_frames", 1))
    except DAMAGE:
        return ()
    return (f"first of {frames} frames",) if frames > 1 else ()


class PillowFile:
    """The header of a file that Pillow reads at full depth.

    Attributes:
        shape: (height, width, channels), pixels.
        dtype: Of the values.
        orientation: EXIF orientation, 1 to 8.
    """

    def __init__(self, path: Path, image: PillowImage.Image) -> None:
        """Take the header."""
        self._path = path
        stored = StoredPillow(image, orientation=orientation_of(image))
        self.shape, self.dtype, self.orientation = stored.shape, stored.dtype, stored.orientation

    def decode(self) -> "StoredPillow":
        """The values.

        Raises:
            Exception: One of `DAMAGE`.
        """
        with self._path.open("rb") as file:
            image = open_header(file, self._path)
            if image is None:
                raise ValueError("the file has changed while it was read")
            notes = _frame_notes(image)
            load_pixels(image)
        return StoredPillow(image, orientation=self.orientation, notes=notes)


class StoredPillow:
    """A Pillow image's values; see `Stored`. Palettes and colour spaces are resolved strip by strip."""

    def __init__(self, image: PillowImage.Image, *, orientation: int, notes: tuple[str, ...] = ()) -> None:
        """Take an image; its pixels are needed only by `strips`.

        Args:
            image: Of any mode.
            orientation: EXIF orientation that is still to be undone.
            notes: What to record first.
        """
        self._image = image
        self._mode, note = _target(image)
        self.notes = (*notes, note) if note else notes
        self.orientation = orientation
        self.alpha = self._mode in ("LA", "RGBA")
        bands = len(PillowImage.new(self._mode, (1, 1)).getbands())
        self.shape = (image.height, image.width, bands)
        self.dtype: np.dtype[Any] = np.asarray(PillowImage.new(self._mode, (1, 1))).dtype.newbyteorder("=")

    def strips(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """See `Stored`."""
        width, height = self._image.size
        for top in range(0, height, STRIP_ROWS):
            part = self._image.crop((0, top, width, min(height, top + STRIP_ROWS)))
            if part.mode == "LAB":
                part = _lab_to_rgb(part)
            elif part.mode != self._mode:
                part = part.convert(self._mode)
            values = np.asarray(part).astype(self.dtype, copy=False)
            yield top, values if values.ndim == 3 else values[..., None]


def _target(image: PillowImage.Image) -> tuple[str, str]:
    """Mode whose channels can be shown, and what to say of the change."""
    transparent = "transparency" in image.info
    if image.mode == "P":
        return ("RGBA" if transparent else "RGB"), "palette shown as its colours"
    if transparent and image.mode in ("1", "L", "RGB"):
        return "RGBA", ""
    return _CONVERSIONS.get(image.mode, (image.mode, ""))


def _lab_to_rgb(part: PillowImage.Image) -> PillowImage.Image:
    shown = ImageCms.applyTransform(part, _lab_transform())
    if shown is None:
        raise ValueError("Lab colours could not be converted")
    return shown


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
