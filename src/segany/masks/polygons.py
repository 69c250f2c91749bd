"""Polygons with holes, to and from masks.

The outline convention: vertices lie on the corners of pixels, pixel (x, y) being the square from (x, y) to
(x + 1, y + 1). Holes, one-pixel parts and parts that touch at a corner therefore survive the way to polygons and back
exactly. Parts are 8-connected and holes 4-connected, as in OpenCV's `findContours` with RETR_CCOMP; an exterior runs
clockwise on the screen (y down), a hole counter-clockwise. Neither repeats its first vertex at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segany.errors import MaskError
from segany.geometry.size import Size
from segany.masks import _runs
from segany.masks._checks import checked_mask
from segany.masks._outlines import corner_rings
from segany.masks.rle import RLE

__all__ = ["Polygon", "mask_to_polygons", "polygons_to_rle", "rings_to_rle"]

Ring = NDArray[np.float64]

# COCO's rasteriser draws outlines on a grid this many times finer than the pixels.
_SCALE = 5
# Beyond this, an outline costs gigabytes and is no outline of an image that fits into an RLE.
_MAX_COORDINATE = 2.0**24
_MAX_OUTLINE = 2**27


@dataclass(frozen=True, eq=False)
class Polygon:
    """One connected part of a mask: its outer ring and its holes.

    Attributes:
        exterior: [N, 2] float64 (x, y), original pixels, N >= 3; the first vertex is not repeated.
        holes: Rings like the exterior.
    """

    exterior: Ring
    holes: tuple[Ring, ...] = ()

    def __post_init__(self) -> None:
        """Check every ring; MaskError says what is wrong with it."""
        object.__setattr__(self, "exterior", _checked_ring(self.exterior))
        object.__setattr__(self, "holes", tuple(_checked_ring(hole) for hole in self.holes))

    @property
    def area(self) -> float:
        """Area of the exterior less that of the holes, square pixels."""
        return abs(_signed_area(self.exterior)) - sum(abs(_signed_area(hole)) for hole in self.holes)


def mask_to_polygons(mask: NDArray[np.bool_], epsilon: float = 0.0) -> tuple[Polygon, ...]:
    """Outline every part of a mask, with its holes.

    At epsilon 0 `polygons_to_rle` gives the same mask back. Rings that a larger epsilon would flatten keep their
    exact outline if they are exteriors and are dropped if they are holes.

    Args:
        mask: [H, W] bool.
        epsilon: Simplify (Douglas-Peucker): the outline moves by at most this many pixels.

    Returns:
        One polygon per 8-connected part, by its first pixel in row order.

    Raises:
        MaskError: The array is not two-dimensional bool, or epsilon is negative or no number.
    """
    checked_mask(mask)
    if not 0 <= epsilon < float("inf"):
        raise MaskError(f"epsilon must be a number of pixels from 0 up, got {epsilon}.")
    if not mask.any():
        return ()
    exteriors: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for part, is_hole, ring in corner_rings(mask):
        if is_hole:
            holes.setdefault(part, []).append(ring)
        else:
            exteriors[part] = ring
    polygons = []
    for part, ring in exteriors.items():
        simple = [simplified for hole in holes.get(part, []) if (simplified := _simplify(hole, epsilon)) is not None]
        exterior = _simplify(ring, epsilon)
        polygons.append(Polygon(ring if exterior is None else exterior, tuple(simple)))
    return tuple(polygons)


def polygons_to_rle(polygons: Sequence[Polygon], size: Size) -> RLE:
    """Rasterise: the union of the polygons, each less its holes; what lies outside the image is cut off.

    Each ring is filled by COCO's rule (see `rings_to_rle`).

    Args:
        polygons: Parts, in any order; they may overlap.
        size: Size of the mask.

    Raises:
        MaskError: An outline is longer than any image needs.
    """
    parts = []
    for polygon in polygons:
        positions = _fill_positions(polygon.exterior, size)
        if polygon.holes:
            filled = _as_rle(positions, size)
            gaps = rings_to_rle(polygon.holes, size)
            outside = _as_rle(np.append(gaps.runs.cumsum()[:-1], 0), size)
            parts.append(RLE.merge([filled, outside], intersect=True))
        else:
            parts.append(_as_rle(positions, size))
    return RLE.merge(parts) if parts else RLE.from_counts(size, [size.area])


def rings_to_rle(rings: Sequence[ArrayLike], size: Size) -> RLE:
    """Rasterise COCO's polygons: the union of the rings, which know no holes.

    Equal to `pycocotools`' `frPyObjects` and `merge`, bit for bit: outlines are drawn on a grid five times finer, a
    pixel is inside by the crossings at the centre of its column, and a ring that crosses itself is filled by the
    even-odd rule.

    Args:
        rings: [N, 2] (x, y) each, N >= 3, original pixels.
        size: Size of the mask.

    Raises:
        MaskError: A ring has fewer than three vertices, is not finite, or is longer than any image needs.
    """
    filled = [_as_rle(_fill_positions(_checked_ring(ring), size), size) for ring in rings]
    return RLE.merge(filled) if filled else RLE.from_counts(size, [size.area])


def _checked_ring(ring: ArrayLike) -> Ring:
    try:
        vertices = np.asarray(ring, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MaskError("a ring's vertices must be numbers (x, y).") from error
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3:
        raise MaskError(f"a ring must be at least three vertices [N, 2], got shape {list(vertices.shape)}.")
    if not (np.abs(vertices) <= _MAX_COORDINATE).all():
        raise MaskError(f"a ring's coordinates must be numbers up to {int(_MAX_COORDINATE)} pixels from the origin.")
    return vertices


def _signed_area(ring: Ring) -> float:
    """Positive when the ring runs clockwise on the screen."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _simplify(ring: Ring, epsilon: float) -> Ring | None:
    """The ring with fewer vertices, or None when nothing would be left of it."""
    if epsilon == 0:
        return ring
    import cv2

    simple = cv2.approxPolyDP(ring.astype(np.float32).reshape(-1, 1, 2), epsilon, closed=True).reshape(-1, 2)
    return simple.astype(np.float64) if len(simple) >= 3 else None


def _as_rle(positions: NDArray[np.int64], size: Size) -> RLE:
    toggles = _runs.odd_positions(positions, size.area)
    return RLE.from_counts(size, _runs.runs_from_toggles(toggles, size.area))


def _fill_positions(ring: Ring, size: Size) -> NDArray[np.int64]:
    """Column-order indexes at which a fill by COCO's rule starts or stops, in any order, perhaps repeated."""
    # Truncation toward zero, not rounding, is COCO's arithmetic throughout.
    fine = (_SCALE * ring + 0.5).astype(np.int64)
    u, v = _dense_outline(fine, np.roll(fine, -1, axis=0))
    # Where the outline steps from one fine column to the next, it crosses the border between them.
    crossing = np.flatnonzero(u[1:] != u[:-1])
    border = np.minimum(u[crossing], u[crossing + 1])
    # Only the border through a pixel column's centre decides: (border + 0.5) / 5 - 0.5 is then that column.
    at_centre = (border % _SCALE == _SCALE // 2) & (border >= 0) & (border // _SCALE < size.width)
    column = border[at_centre] // _SCALE
    height = np.minimum(v[crossing], v[crossing + 1])[at_centre]
    row = np.ceil(np.clip((height + 0.5) / _SCALE - 0.5, 0, size.height)).astype(np.int64)
    return np.asarray(column * size.height + row)


def _dense_outline(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every fine-grid point along the edges from start to end, both ends included.

    Args:
        start: [N, 2] int64 (x, y), fine grid.
        end: [N, 2] int64, likewise.

    Returns:
        x and y of the points, [M] int64 each.
    """
    steps = np.abs(end - start).max(axis=1)
    if int(steps.sum()) > _MAX_OUTLINE:
        raise MaskError(
            f"an outline must be at most {_MAX_OUTLINE // _SCALE} pixels long; simplify or crop the polygon."
        )
    along_x = np.abs(end - start)[:, 0] >= np.abs(end - start)[:, 1]
    axis = np.where(along_x, 0, 1)
    edges = np.arange(len(start))
    # Each edge is walked from its lower end on its long axis, as COCO does, so that both directions round alike.
    flipped = start[edges, axis] > end[edges, axis]
    low = np.where(flipped[:, None], end, start)
    high = np.where(flipped[:, None], start, end)
    slope = (high - low)[edges, 1 - axis] / np.maximum(steps, 1)
    edge = np.repeat(edges, steps + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(steps + 1) - (steps + 1), steps + 1)
    step = np.where(flipped[edge], steps[edge] - step, step)
    long = low[edges, axis][edge] + step
    short = (low[edges, 1 - axis][edge] + slope[edge] * step + 0.5).astype(np.int64)
    return np.where(along_x[edge], long, short), np.where(along_x[edge], short, long)
