"""Painting one mask into a picture: fill, outline and halo, tile by tile, so that no float copy of it exists."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from segany.masks.rle import RLE
from segany.render._pixels import Style, signed_distance
from segany.render.colors import RGB

__all__ = ["fit_mask", "fit_rle", "paint_mask"]

_TILE = 512
# Original pixels of a mask that are decoded at once.
_DECODED = 4_000_000
_HALO_OPACITY = 0.6
_SMOOTHING = 0.8


def fit_mask(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask at the size of what is drawn on: [h, w] bool -> [H, W] bool.

    A pixel is set when half of it is covered, or any of it where that would leave nothing.
    """
    return _drawn(_coverage(mask, shape[0], shape[1]))


def fit_rle(rle: RLE, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """As `fit_mask`, of run lengths: no more is decoded at once than some of the columns that the mask has.

    Where the picture is shrunk, an edge may lie up to a pixel of the result from where `fit_mask` puts it.

    Args:
        rle: The mask, original pixels.
        shape: Of what is drawn on.

    Returns:
        [H, W] bool.
    """
    size, (x0, y0, x1, y1) = rle.size, rle.box
    covered = np.zeros(shape[:2], dtype=np.uint8)
    if x1 == 0:
        return covered > 0
    # The result's pixels that the box touches, and the whole original pixels under these.
    scale_y, scale_x = size.height / shape[0], size.width / shape[1]
    top, bottom = min(int(y0 / scale_y), shape[0] - 1), min(math.ceil(y1 / scale_y), shape[0])
    left, right = min(int(x0 / scale_x), shape[1] - 1), min(math.ceil(x1 / scale_x), shape[1])
    rows = slice(int(top * scale_y), min(size.height, math.ceil(bottom * scale_y)))
    ends = rle.runs.cumsum()
    step = max(1, int(_DECODED / (size.height * scale_x)))
    for start in range(left, right, step):
        stop = min(start + step, right)
        first, last = int(start * scale_x), min(size.width, math.ceil(stop * scale_x))
        runs = np.diff(ends.clip(first * size.height, last * size.height), prepend=first * size.height)
        decoded = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(-1, size.height)
        part = np.ascontiguousarray(decoded[:, rows].T)
        covered[top:bottom, start:stop] = _coverage(part, bottom - top, stop - start)
    return _drawn(covered)


def _coverage(mask: NDArray[np.bool_], height: int, width: int) -> NDArray[np.uint8]:
    """How much of each of [height, width] pixels a mask covers, of 255."""
    import cv2

    opaque = np.ascontiguousarray(mask, dtype=np.uint8) * np.uint8(255)
    if mask.shape == (height, width):
        return opaque
    shrink = mask.shape[0] >= height and mask.shape[1] >= width
    method = cv2.INTER_AREA if shrink else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(opaque, (width, height), interpolation=method), dtype=np.uint8).reshape(height, width)


def _drawn(covered: NDArray[np.uint8]) -> NDArray[np.bool_]:
    half = covered >= 128
    return half if half.any() else covered > 0


def paint_mask(canvas: NDArray[np.uint8], mask: NDArray[np.bool_], color: RGB, style: Style, *, fill: float) -> None:
    """Paint a mask into a picture.

    Args:
        canvas: [H, W, 3] uint8 RGB, changed in place.
        mask: [H, W] bool.
        color: Of fill and outline.
        style: Widths.
        fill: Opacity of the fill, 0 to 1.
    """
    rgb = np.array(color, dtype=np.float32)
    reach = int(np.ceil(style.outline / 2 + style.halo + 3 * _SMOOTHING)) + 1
    for rows, columns in _tiles(mask, reach):
        part = canvas[rows, columns]
        distance = _distance(mask, rows, columns, reach, style.outline / 2)
        if distance is None:
            part[...] = np.rint(part * np.float32(1 - fill) + rgb * np.float32(fill)).astype(np.uint8)
            continue
        from_edge = np.abs(distance)
        line = np.clip(style.outline / 2 + 0.5 - from_edge, 0, 1)[..., None]
        halo = np.clip((style.outline / 2 + style.halo - from_edge) / style.halo, 0, 1)[..., None] * _HALO_OPACITY
        inside = np.clip(0.5 - distance, 0, 1)[..., None] * np.float32(fill)
        painted = part * (1 - inside) + rgb * inside
        painted *= 1 - halo
        painted += (rgb - painted) * line
        part[...] = np.rint(painted).astype(np.uint8)


def _tiles(mask: NDArray[np.bool_], reach: int) -> Iterator[tuple[slice, slice]]:
    """Tiles of the mask's box, widened by what is drawn round it, that hold or touch some of the mask."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return
    y0, y1 = max(0, int(rows[0]) - reach), min(height, int(rows[-1]) + 1 + reach)
    x0, x1 = max(0, int(columns[0]) - reach), min(width, int(columns[-1]) + 1 + reach)
    for top in range(y0, y1, _TILE):
        for left in range(x0, x1, _TILE):
            bottom, right = min(top + _TILE, y1), min(left + _TILE, x1)
            if mask[max(0, top - reach) : bottom + reach, max(0, left - reach) : right + reach].any():
                yield slice(top, bottom), slice(left, right)


def _distance(
    mask: NDArray[np.bool_], rows: slice, columns: slice, reach: int, inset: float
) -> NDArray[np.float32] | None:
    """Smoothed signed distance of a tile's pixels to the mask's edge, or None when all lie deep inside.

    Beyond the picture the mask goes on as it was at the border. The border itself counts as an edge, moved inwards by
    `inset`, so that the whole width of an outline is seen there.
    """
    import cv2

    height, width = mask.shape
    y0, y1, x0, x1 = rows.start - reach, rows.stop + reach, columns.start - reach, columns.stop + reach
    part = mask[max(0, y0) : y1, max(0, x0) : x1]
    at_border = y0 < 0 or x0 < 0 or y1 > height or x1 > width
    if not at_border and part.all():
        return None
    missing = ((max(0, -y0), max(0, y1 - height)), (max(0, -x0), max(0, x1 - width)))
    distance = signed_distance(np.pad(part, missing, mode="edge"))
    # Takes the stairs of the pixels out of a slanting edge.
    distance = np.asarray(cv2.GaussianBlur(distance, (0, 0), _SMOOTHING), dtype=np.float32).reshape(distance.shape)
    distance = distance[reach:-reach, reach:-reach]
    if at_border:
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        x = np.arange(columns.start, columns.stop, dtype=np.float32)[None]
        to_border = np.minimum(np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x)) + 0.5
        distance = np.maximum(distance, (inset - to_border).astype(np.float32))
    return distance
