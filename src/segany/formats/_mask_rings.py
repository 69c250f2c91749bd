"""Rings for the formats that hold polygons."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segany.masks import RLE, Polygon, mask_to_polygons

__all__ = ["crop_mask", "joined_ring", "polygons_of"]

Ring = NDArray[np.float64]


def crop_mask(rle: RLE) -> NDArray[np.bool_]:
    """[h, w] bool: the mask within its box, which alone is decoded; the mask must not be empty."""
    x0, y0, x1, y1 = rle.box
    height, width = rle.size
    runs = rle.runs.copy()
    runs[0] -= x0 * height
    if len(runs) % 2:
        # The last run is background and reaches to the mask's end.
        runs[-1] -= (width - x1) * height
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(pixels.reshape(x1 - x0, height).T[y0:y1])


def polygons_of(rle: RLE) -> tuple[Polygon, ...]:
    """The mask's polygons, along the edges of its pixels: `segany.masks.polygons_to_rle` gives it back exactly."""
    if not rle.area:
        return ()
    shift = np.array(rle.box[:2], dtype=np.float64)
    return tuple(
        Polygon(polygon.exterior + shift, tuple(hole + shift for hole in polygon.holes))
        for polygon in mask_to_polygons(crop_mask(rle))
    )


def joined_ring(rings: Sequence[Ring]) -> Ring:
    """One ring of several: lines of no width lead from ring to ring and back.

    Filled by the even-odd rule it covers what an odd number of the rings covers: parts stay parts, holes stay holes.

    Args:
        rings: [N, 2] float64 (x, y) each, one at least.
    """
    if len(rings) == 1:
        return rings[0]
    there = [np.concatenate([ring, ring[:1]]) for ring in rings]
    back = [ring[:1] for ring in rings[-2::-1]]
    return np.concatenate([*there, *back])
