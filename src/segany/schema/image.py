"""ImageInfo, Image and Source: a picture, what is known of it, and where it is read from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from segany.errors import ImageError
from segany.geometry import Size

__all__ = ["Image", "ImageInfo", "Parent", "PixelMapping", "Source"]


@dataclass(frozen=True)
class Parent:
    """What an image is one part of.

    Attributes:
        kind: "volume", "video" or "mosaic".
        parent_id: Identity of the whole.
        index: Slice, frame or tile number, from 0.
    """

    kind: Literal["volume", "video", "mosaic"]
    parent_id: str
    index: int


@dataclass(frozen=True)
class PixelMapping:
    """How stored pixels became 8-bit RGB.

    Attributes:
        bands: Source bands shown as red, green and blue, from 0; one band three times for grey.
        window: Stored values shown as 0 and 255, or None when they were 8-bit already.
        orientation: EXIF orientation that was undone, 1 to 8 (1: none).
        notes: Further steps in plain words, in order: "transparency laid on white".
    """

    bands: tuple[int, int, int] = (0, 1, 2)
    window: tuple[float, float] | None = None
    orientation: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageInfo:
    """What is known of an image without its pixels.

    Attributes:
        image_id: Identity within its collection.
        file_name: Name of the file, without folders of this machine.
        size: Height and width as seen (EXIF rotation undone), pixels.
        digest: sha256 of the stored pixels, hexadecimal; None when the pixels were never seen.
        source_digest: sha256 of the file as it came, hexadecimal, or None.
        channels: Channels as stored.
        dtype: NumPy name of the stored values: "uint8", "uint16", "float32".
        parent: The volume, video or mosaic it belongs to.
        spacing: Millimetres per pixel (y, x) or (z, y, x), or None.
        affine: Row-major affine map of a volume or a raster, or None.
        crs: Coordinate reference system, as an authority string: "EPSG:32616".
        licence: SPDX identifier or the source's words.
        group: Images of one group (a patient, a burst of photos) never straddle a split.
    """

    image_id: int | str
    file_name: str
    size: Size
    digest: str | None = None
    source_digest: str | None = None
    channels: int = 3
    dtype: str = "uint8"
    parent: Parent | None = None
    spacing: tuple[float, ...] | None = None
    affine: tuple[float, ...] | None = None
    crs: str | None = None
    licence: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        """Refuse a size without pixels."""
        object.__setattr__(self, "size", Size(*self.size))
        if min(self.size) < 1:
            raise ImageError(f"an image has at least 1x1 pixel, got {self.size} for {self.file_name!r}.")


@dataclass(frozen=True, eq=False)
class Image:
    """One 8-bit RGB view of a source, upright.

    Attributes:
        info: What is known of it; `info.size` is the size of `pixels`.
        pixels: [H, W, 3] uint8, RGB, EXIF rotation undone.
        mapping: How the stored values became these.
    """

    info: ImageInfo
    pixels: NDArray[np.uint8]
    mapping: PixelMapping = field(default_factory=PixelMapping)

    def __post_init__(self) -> None:
        """Check shape and dtype."""
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or shape[:2] != tuple(self.info.size):
            raise ImageError(
                f"pixels must be [{self.info.size.height}, {self.info.size.width}, 3] uint8 RGB, "
                f"got {list(shape)} {self.pixels.dtype}; read files and other arrays through segany.open_image."
            )

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self.info.size


class Source(Protocol):
    """Something an image is read from, lazily."""

    @property
    def info(self) -> ImageInfo:
        """What is known without reading the pixels."""
        ...

    def read(self, window: Sequence[int] | None = None, level: int = 0) -> NDArray[Any]:
        """Read stored values.

        Args:
            window: XYXY half-open, pixels of level 0; None for all.
            level: Pyramid level, 0 the finest.

        Returns:
            [H, W, C] of the stored dtype.
        """
        ...
