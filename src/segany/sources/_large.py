"""Large photos: decoded into one array, where Pillow would hold four bytes for each pixel beside it."""

from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.sources._pillow import PillowFile, open_header
from segany.sources._stored import Stored, StoredArray

__all__ = ["LargePhoto", "is_large_photo"]

_LEAST_PIXELS = 4_000_000
_TRACE = 64
# ITU-T T.81, table B.1: start of scan, end of image. In coded data 0xFF is never followed by either.
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


def is_large_photo(image: PillowImage.Image) -> bool:
    """Whether OpenCV gives the same values as Pillow, and the memory is worth another way."""
    plain = image.mode == "RGB" and "transparency" not in image.info and not getattr(image, "is_animated", False)
    return plain and image.format in ("JPEG", "PNG") and image.width * image.height >= _LEAST_PIXELS


class LargePhoto:
    """A JPEG or PNG of 8-bit RGB through OpenCV; through Pillow, which says what is wrong, if it is damaged.

    Attributes:
        shape: (height, width, 3) as stored, pixels.
        dtype: uint8.
        orientation: EXIF orientation, 1 to 8.
    """

    dtype: np.dtype[Any] = np.dtype(np.uint8)

    def __init__(self, path: Path, image: PillowImage.Image, orientation: int) -> None:
        """Take the header that Pillow read."""
        self._path, self._format = path, image.format
        self._by_pillow = PillowFile(path, image)
        self.shape = (image.height, image.width, 3)
        self.orientation = orientation

    def decode(self) -> Stored:
        """The values.

        Raises:
            Exception: One of `DAMAGE`, when the file is damaged or ends early.
        """
        decoded = self._decoded()
        if decoded is None:
            return self._by_pillow.decode()
        return StoredArray(decoded, orientation=self.orientation, is_own=True)

    def _decoded(self) -> NDArray[np.uint8] | None:
        """[H, W, 3] uint8 RGB, or None where Pillow has to look at it."""
        import cv2

        if not self._is_whole():
            return None
        pixels = np.empty(self.shape, dtype=np.uint8)
        # OpenCV does not say whether it read the file, or all of it: then these last values would still be there.
        unread = np.random.default_rng().integers(0, 256, _TRACE, dtype=np.uint8)
        end = pixels.reshape(-1)[-_TRACE:]
        end[:] = unread
        try:
            # Into an array of ours: what OpenCV allocates itself is copied on its way to Python.
            cv2.imread(str(self._path), pixels, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            return None
        return None if np.array_equal(end, unread) else pixels

    def _is_whole(self) -> bool:
        """OpenCV fills what is missing and only prints a line: look before."""
        with self._path.open("rb") as file:
            if self._format == "JPEG":
                with mmap(file.fileno(), 0, access=ACCESS_READ) as held:
                    return held.rfind(_END_OF_IMAGE) > held.rfind(_START_OF_SCAN)
            image = open_header(file, self._path)
            if image is None:
                return False
            # The checksums.
            image.verify()
        return True
