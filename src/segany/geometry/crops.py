"""Crops and tiles: overlapping windows of an image, as XYXY half-open boxes in original pixels."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.geometry.size import Size

__all__ = ["DEFAULT_OVERLAP_RATIO", "Crops", "crop_boxes", "tile_boxes"]

# The released generator's default: 512 px of overlap for a short side of 1500 px.
DEFAULT_OVERLAP_RATIO = 512 / 1500


class Crops(NamedTuple):
    """Crop windows and the layer that each belongs to.

    Attributes:
        boxes: [N, 4] int64, XYXY half-open, original pixels; the whole image comes first.
        layers: [N] int64; 0 is the whole image.
    """

    boxes: NDArray[np.int64]
    layers: NDArray[np.int64]


def crop_boxes(size: Size, layers: int, overlap_ratio: float = DEFAULT_OVERLAP_RATIO) -> Crops:
    """Windows for automatic masks on zoomed-in crops (SAM paper, app. B): layer i has 2**i x 2**i windows.

    The overlap is a share of the image's short side, halved from layer to layer. Windows of one layer come column
    by column, as the reference generator orders them. On images of a few pixels some windows would lie outside
    the image; these are left out.

    Args:
        size: Size of the image.
        layers: Number of layers beyond the whole image, 0 or more.
        overlap_ratio: Overlap of the first layer as a share of the short side, 0 <= ratio < 1.

    Returns:
        The windows and their layers.

    Raises:
        ConfigError: A number is out of range.
    """
    if layers < 0 or not 0 <= overlap_ratio < 1:
        raise ConfigError(
            f"crops need at least 0 layers and an overlap ratio from 0 to below 1, got {layers} and {overlap_ratio}."
        )
    boxes = [(0, 0, size.width, size.height)]
    layer_of = [0]
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(size) * (2 / per_side))
        width = math.ceil((overlap * (per_side - 1) + size.width) / per_side)
        height = math.ceil((overlap * (per_side - 1) + size.height) / per_side)
        for x in range(per_side):
            for y in range(per_side):
                x0, y0 = x * (width - overlap), y * (height - overlap)
                if x0 < size.width and y0 < size.height:
                    boxes.append((x0, y0, min(x0 + width, size.width), min(y0 + height, size.height)))
                    layer_of.append(layer)
    return Crops(np.array(boxes, dtype=np.int64), np.array(layer_of, dtype=np.int64))


def tile_boxes(size: Size, tile: Size, overlap: int) -> NDArray[np.int64]:
    """Equal windows that cover an image of any size, spread evenly, row by row.

    Every window has the tile's size (the image's, where that is smaller) and lies wholly inside the image;
    neighbours share at least `overlap` pixels.

    Args:
        size: Size of the image.
        tile: Size of a window, each side at least 1 pixel.
        overlap: Least overlap of neighbours in pixels, less than the tile's sides.

    Returns:
        [N, 4] int64, XYXY half-open.

    Raises:
        ConfigError: A number is out of range.
    """
    if min(tile) < 1 or not 0 <= overlap < min(tile) or min(size) < 1:
        raise ConfigError(
            f"tiles need an image and a tile of at least 1 pixel a side and an overlap below the tile's sides, "
            f"got image {size}, tile {tile}, overlap {overlap}."
        )
    height, width = min(tile.height, size.height), min(tile.width, size.width)
    rows = _starts(size.height, height, overlap)
    columns = _starts(size.width, width, overlap)
    return np.array([(x, y, x + width, y + height) for y in rows for x in columns], dtype=np.int64)


def _starts(length: int, window: int, overlap: int) -> list[int]:
    """First pixels of evenly spread windows of `window` pixels over `length` pixels."""
    room = length - window
    if room == 0:
        return [0]
    steps = math.ceil(room / (window - overlap))
    return [room * step // steps for step in range(steps + 1)]
