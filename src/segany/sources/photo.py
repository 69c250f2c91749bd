"""Image files: what is refused and why, what is read and how."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ImageError
from segany.geometry import Size
from segany.schema import ImageInfo
from segany.settings import Settings
from segany.sources._deep import DeepPng, DeepTiff, is_deep_png, is_deep_tiff
from segany.sources._large import LargePhoto, is_large_photo
from segany.sources._pillow import (
    DAMAGE,
    FORMATS,
    PillowFile,
    StoredPillow,
    load_pixels,
    open_header,
    orientation_of,
)
from segany.sources._refusals import describe_foreign
from segany.sources._stored import Stored, read_upright
from segany.sources._window import window_slices

__all__ = ["PhotoSource", "PillowSource", "check_pixels"]

_TIFF_MARKS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_HEAD_BYTES = 1024


class _Header(Protocol):
    """What a file says of itself before its pixels are decoded; see `Stored` for the attributes."""

    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def orientation(self) -> int: ...
    def decode(self) -> Stored: ...


class PhotoSource:
    """An image file as a source: JPEG, PNG, TIFF, WebP, GIF, BMP, AVIF, JPEG 2000 or PNM.

    Making one reads the header; `read` and `decode` read the pixels, each time anew. Values come as stored, upright,
    except that palettes, CMYK, YCbCr, HSV and CIE Lab come as RGB or RGBA. Of an animation or a file of several pages,
    it is the first.

    Attributes:
        path: The file.
        info: Size (upright), channels and dtype. `digest` and `source_digest` are None: only the header was read.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_pixels: int | None = None) -> None:
        """Read the header.

        Args:
            path: The file.
            max_pixels: Most pixels (height x width) to read whole; None for `Settings.max_pixels`.

        Raises:
            ImageError: No such file, a folder, an empty file, not an image, a damaged header, too many pixels.
        """
        self.path = Path(path)
        with _explained(self.path):
            self._header = _read_header(self.path)
        height, width, channels = self._header.shape
        size = Size(width, height) if self._header.orientation >= 5 else Size(height, width)
        check_pixels(size, str(self.path), max_pixels)
        self.info = ImageInfo(self.path.name, self.path.name, size, channels=channels, dtype=self._header.dtype.name)

    def decode(self) -> Stored:
        """Decode the pixels.

        Raises:
            ImageError: The file is truncated or damaged, or needs a package that is not installed.
        """
        with _explained(self.path):
            return self._header.decode()

    def read(self, window: Sequence[int] | None = None, level: int = 0) -> NDArray[Any]:
        """Decode and give the values of a window; see `Source`. These formats cannot be decoded in part.

        Raises:
            ImageError: As `decode`; or the window does not lie in the image, or the level is not 0.
        """
        asked = window_slices(self.info.size, window, level, str(self.path))
        values = read_upright(self.decode())
        # A copy, so that a small window does not keep the whole image.
        return values if window is None else values[asked].copy()


class PillowSource:
    """A Pillow image as a source; its EXIF orientation, if it still has one, is undone.

    Attributes:
        info: Size (upright), channels and dtype.
    """

    def __init__(self, image: PillowImage.Image, *, max_pixels: int | None = None) -> None:
        """Take an image, which need not be loaded yet.

        Args:
            image: Of any mode.
            max_pixels: Most pixels (height x width); None for `Settings.max_pixels`.

        Raises:
            ImageError: No pixels, or too many.
        """
        name = Path(str(getattr(image, "filename", "") or "image")).name
        if min(image.size) < 1:
            raise ImageError(f"a Pillow image must have at least one pixel, got {image.width}x{image.height}.")
        self._image, self._orientation, self._name = image, orientation_of(image), name
        size = Size(image.width, image.height) if self._orientation >= 5 else Size(image.height, image.width)
        check_pixels(size, name, max_pixels)
        stored = StoredPillow(image, orientation=self._orientation)
        self.info = ImageInfo(name, name, size, channels=stored.shape[2], dtype=stored.dtype.name)

    def decode(self) -> StoredPillow:
        """Load the pixels.

        Raises:
            ImageError: The file behind the image is truncated or damaged.
        """
        with _explained(Path(self._name)):
            load_pixels(self._image)
        return StoredPillow(self._image, orientation=self._orientation)

    def read(self, window: Sequence[int] | None = None, level: int = 0) -> NDArray[Any]:
        """The values of a window; see `Source`.

        Raises:
            ImageError: As `decode`; or the window does not lie in the image, or the level is not 0.
        """
        asked = window_slices(self.info.size, window, level, self._name)
        values = read_upright(self.decode())
        return values if window is None else values[asked].copy()


def check_pixels(size: Size, name: str, max_pixels: int | None) -> None:
    """Refuse an image that is too large to be read whole.

    Args:
        size: Of the image.
        name: What to call it in the error.
        max_pixels: The limit; None for `Settings.max_pixels`.

    Raises:
        ImageError: It has more pixels.
    """
    limit = Settings.from_environment().max_pixels if max_pixels is None else max_pixels
    if size.area > limit:
        raise ImageError(
            f"{name} is {size}, {size.area:,} pixels; an image that is read whole may have {limit:,}. "
            "Raise the limit with --max-pixels or SEGANY_MAX_PIXELS, or cut the image into tiles and segment those."
        )


def _read_header(path: Path) -> _Header:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if not head:
            raise ImageError(f"{path} is empty (0 bytes); copy or download it again.")
        file.seek(0)
        try:
            image = open_header(file, path)
        except DAMAGE:
            if head.startswith(_TIFF_MARKS):
                return DeepTiff(path)
            raise
        if image is None:
            raise _not_an_image(path, head)
        if is_deep_tiff(image):
            return DeepTiff(path)
        if is_deep_png(image):
            return DeepPng(path, image, orientation_of(image))
        if is_large_photo(image):
            return LargePhoto(path, image, orientation_of(image))
        return PillowFile(path, image)


def _not_an_image(path: Path, head: bytes) -> ImageError:
    foreign = describe_foreign(head)
    if foreign is None:
        return ImageError(f"{path} is not an image that segany reads; wanted one of {', '.join(FORMATS)}.")
    what, advice = foreign
    return ImageError(f"{path} is {what}, not an image that segany reads; {advice}.")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the operating system and the decoders raise into an ImageError that says what to do."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"no such file: {path}; check its name and the folder it is in.") from error
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
        raise ImageError(f"{path} is too large for the reader of its format; convert it to PNG or TIFF.") from error
    except MemoryError as error:
        raise ImageError(f"cannot read {path}: not enough memory for its pixels; cut it into tiles.") from error
    except DAMAGE as error:
        # Windows refuses to open a folder with the same error as a file that it may not read.
        if path.is_dir():
            raise ImageError(f"{path} is a folder, not an image; give the images in it.") from error
        if isinstance(error, OSError) and error.errno is not None and error.errno != errno.EIO:
            raise ImageError(f"cannot read {path}: {error.strerror}; check that you may read it.") from error
        raise ImageError(f"{path} is truncated or damaged ({error}); copy or download it again.") from error
