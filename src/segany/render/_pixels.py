"""What the functions of this package take as a picture, and the sizes they work at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from segany.errors import ImageError, MaskError
from segany.geometry import Size
from segany.masks.rle import RLE
from segany.schema import Image

__all__ = ["Picture", "Style", "check_masks", "pixels_of", "signed_distance"]

Picture = Image | NDArray[np.uint8] | PillowImage.Image


@dataclass(frozen=True)
class Style:
    """Sizes of what is drawn, in pixels of the picture drawn on.

    Attributes:
        outline: Width of an outline.
        halo: Width of the dark rim on either side of it.
        mark: Radius of a click's mark.
        text: Height of text.
    """

    outline: float
    halo: float
    mark: float
    text: float

    @classmethod
    def for_size(cls, size: Size) -> "Style":
        """Grow with the picture, so that it looks alike at any size once it is scaled to a screen."""
        unit = min(max((size.area**0.5) / 700, 0.5), 12.0)
        thin = min(size) / 8
        return cls(
            outline=max(1.0, min(max(1.8, 1.9 * unit), thin)),
            halo=max(0.5, min(max(1.0, 1.0 * unit), thin / 2)),
            mark=max(4.5, 7.0 * unit),
            text=max(11.0, 15.0 * unit),
        )


def pixels_of(picture: Picture) -> NDArray[np.uint8]:
    """[H, W, 3] uint8 RGB of a picture, not to be written to. Raises ImageError for anything else."""
    if isinstance(picture, Image):
        return picture.pixels
    if isinstance(picture, PillowImage.Image):
        return np.asarray(picture.convert("RGB"))
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise ImageError(
            f"a picture to draw on must be an Image, a Pillow image or uint8 [H, W, 3], got {array.dtype} "
            f"{list(array.shape)}; read it through segany.open_image."
        )
    return array


def check_masks(masks: list[RLE], size: Size) -> None:
    """Raise MaskError unless every mask has the picture's size."""
    for index, mask in enumerate(masks):
        if mask.size != size:
            raise MaskError(f"mask {index} is {mask.size} but the picture is {size}; both must have one size.")


def signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of each pixel's centre to the mask's edge.

    Args:
        mask: [h, w] bool.

    Returns:
        [h, w] float32, pixels; negative inside. Far away where there is no edge.
    """
    import cv2

    inside = mask.astype(np.uint8)
    within = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    # The edge lies between two pixels, half a pixel from either centre.
    distance: NDArray[np.float32] = np.where(mask, 0.5 - within, outside - 0.5).astype(np.float32)
    return distance
