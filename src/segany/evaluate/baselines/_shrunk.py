"""Images made small enough for methods that take seconds for each megapixel, and masks made large again."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.geometry import Size
from segany.schema import Image

__all__ = ["Shrunk", "shrink"]


class Shrunk(NamedTuple):
    """An image at working size.

    Attributes:
        pixels: [h, w, 3] uint8 RGB.
        size: Of the original.
    """

    pixels: NDArray[np.uint8]
    size: Size

    @property
    def scale(self) -> NDArray[np.float64]:
        """(x, y): working pixels for each original one."""
        height, width = self.pixels.shape[:2]
        return np.array([width / self.size.width, height / self.size.height])

    def clicks(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """Clicks [N, 2] (x, y) in original pixels as working pixels, [N, 2] int64 within the image."""
        height, width = self.pixels.shape[:2]
        moved = np.floor((points + 0.5) * self.scale).astype(np.int64)
        return np.clip(moved, 0, [width - 1, height - 1])

    def enlarge(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask [h, w] bool of working pixels at original pixels, [H, W] bool."""
        import cv2

        if mask.shape == tuple(self.size):
            return mask
        share = cv2.resize(mask.astype(np.float32), (self.size.width, self.size.height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(share >= 0.5)

    def reduce(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask [H, W] bool of original pixels at working pixels, [h, w] bool."""
        import cv2

        height, width = self.pixels.shape[:2]
        return np.asarray(cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) >= 0.5)


def shrink(image: Image, long_side: int) -> Shrunk:
    """Shrink an image to a longest side; a smaller one stays as it is.

    Args:
        image: The image.
        long_side: Pixels.
    """
    import cv2

    size = image.size
    scale = min(1.0, long_side / max(size))
    if scale == 1.0:
        return Shrunk(np.ascontiguousarray(image.pixels), size)
    target = (max(1, round(size.width * scale)), max(1, round(size.height * scale)))
    return Shrunk(np.asarray(cv2.resize(image.pixels, target, interpolation=cv2.INTER_AREA), dtype=np.uint8), size)
