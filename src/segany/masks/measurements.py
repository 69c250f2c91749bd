"""Measurements of one mask: area, perimeter, centre, shape, and its deepest point.

Positions are clicks (pixel indexes, x then y); an empty mask has area 0 and no position.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.errors import MaskError
from segany.masks._checks import checked_mask

__all__ = [
    "DeepestPoint",
    "Measurements",
    "centroid",
    "concavity",
    "deepest_point",
    "equivalent_diameter",
    "mask_area",
    "mask_box",
    "measure",
    "perimeter",
]


class DeepestPoint(NamedTuple):
    """The pixel of a mask that is farthest from everything outside it.

    Attributes:
        x: Column, pixel index.
        y: Row, pixel index.
        distance: Euclidean distance to the nearest pixel outside, pixels.
    """

    x: int
    y: int
    distance: float


@dataclass(frozen=True)
class Measurements:
    """What `measure` finds.

    Attributes:
        area: Pixels.
        box: XYXY half-open; all zero for an empty mask.
        perimeter: Pixels.
        centroid: (x, y), or None for an empty mask.
        equivalent_diameter: Diameter of the disc of the same area, pixels.
        concavity: 0 for a convex mask, towards 1 for a scattered one.
        deepest: The point farthest from the outline, or None for an empty mask.
    """

    area: int
    box: tuple[int, int, int, int]
    perimeter: float
    centroid: tuple[float, float] | None
    equivalent_diameter: float
    concavity: float
    deepest: DeepestPoint | None


def measure(mask: NDArray[np.bool_]) -> Measurements:
    """All measurements of a mask.

    Args:
        mask: [H, W] bool.

    Raises:
        MaskError: The mask is not [H, W] bool.
    """
    return Measurements(
        area=int(np.count_nonzero(checked_mask(mask))),
        box=mask_box(mask),
        perimeter=perimeter(mask),
        centroid=centroid(mask),
        equivalent_diameter=equivalent_diameter(mask),
        concavity=concavity(mask),
        deepest=deepest_point(mask),
    )


def mask_area(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels of each mask.

    Args:
        masks: [..., H, W] bool.

    Returns:
        [...] int64.

    Raises:
        MaskError: The array is not bool, or has fewer than two axes.
    """
    if masks.dtype != np.bool_ or masks.ndim < 2:
        raise MaskError(f"masks must be a bool array [..., H, W], got {masks.dtype} {list(masks.shape)}.")
    # One contiguous count per mask: numpy counts along an axis many times slower.
    flat = np.ascontiguousarray(masks).reshape(math.prod(masks.shape[:-2]), math.prod(masks.shape[-2:]))
    return np.array([np.count_nonzero(row) for row in flat], dtype=np.int64).reshape(masks.shape[:-2])


def mask_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The smallest box round a mask [H, W], XYXY half-open; all zero for an empty mask. MaskError as `measure`."""
    columns, rows = np.flatnonzero(checked_mask(mask).any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if len(columns) == 0:
        return (0, 0, 0, 0)
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def perimeter(mask: NDArray[np.bool_]) -> float:
    """Length of all outlines, holes included, in pixels, by the Cauchy-Crofton formula in four directions.

    Outlines are crossed by parallel lines in each direction and the crossings counted, which for round shapes comes
    within a few per cent of the true length; counting pixel edges would give a disc 4/pi of it.

    Args:
        mask: [H, W] bool.

    Raises:
        MaskError: The mask is not [H, W] bool.
    """
    padded = np.pad(checked_mask(mask), 1)
    straight = np.count_nonzero(padded[1:] ^ padded[:-1]) + np.count_nonzero(padded[:, 1:] ^ padded[:, :-1])
    diagonal = np.count_nonzero(padded[1:, 1:] ^ padded[:-1, :-1]) + np.count_nonzero(padded[1:, :-1] ^ padded[:-1, 1:])
    # Diagonal lines through pixel centres lie 1 / sqrt(2) pixel apart.
    return math.pi / 8 * (straight + diagonal / math.sqrt(2))


def centroid(mask: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Mean (x, y) of the mask's pixel indexes, or None for an empty mask. MaskError as `measure`."""
    columns, rows = np.count_nonzero(checked_mask(mask), axis=0), np.count_nonzero(mask, axis=1)
    area = int(columns.sum())
    if area == 0:
        return None
    return (float(columns @ np.arange(len(columns)) / area), float(rows @ np.arange(len(rows)) / area))


def equivalent_diameter(mask: NDArray[np.bool_]) -> float:
    """Diameter in pixels of the disc with the mask's area. MaskError as `measure`."""
    return math.sqrt(4 * np.count_nonzero(checked_mask(mask)) / math.pi)


def concavity(mask: NDArray[np.bool_]) -> float:
    """1 - area / area of the convex hull (SAM paper, fig. 6); 0.0 for an empty mask.

    The hull is that of the pixels' squares, so that a rectangle has a concavity of exactly 0.

    Args:
        mask: [H, W] bool.

    Raises:
        MaskError: The mask is not [H, W] bool.
    """
    import cv2

    rows = np.flatnonzero(checked_mask(mask).any(axis=1))
    if len(rows) == 0:
        return 0.0
    filled = mask[rows]
    left, right = filled.argmax(axis=1), mask.shape[1] - filled[:, ::-1].argmax(axis=1)
    x = np.concatenate([left, left, right, right])
    y = np.concatenate([rows, rows + 1, rows, rows + 1])
    hull = cv2.convexHull(np.stack([x, y], axis=1).astype(np.int32)).reshape(-1, 2).astype(np.float64)
    x, y = hull.T
    hull_area = abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2
    return 1.0 - float(np.count_nonzero(mask)) / hull_area


def deepest_point(mask: NDArray[np.bool_], without: NDArray[np.int64] | None = None) -> DeepestPoint | None:
    """The pixel farthest from the mask's outline: where a first click goes (SAM paper, app. D.1).

    Beyond the image counts as outside the mask. Of equally deep pixels the first in row order is taken.

    Args:
        mask: [H, W] bool.
        without: [N, 2] (x, y) pixels that are not taken, however deep; they may lie outside the mask.

    Returns:
        The point, or None for an empty mask, or one that has no other pixels.

    Raises:
        MaskError: The mask is not [H, W] bool.
    """
    import cv2

    x0, y0, x1, y1 = mask_box(mask)
    if x1 == 0:
        return None
    # Nothing outside the box but background, so distances inside it are those of the whole image.
    padded = np.pad(mask[y0:y1, x0:x1], 1).view(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if without is not None:
        columns, rows = without.reshape(-1, 2).T
        inside = (columns >= x0) & (columns < x1) & (rows >= y0) & (rows < y1)
        distance[rows[inside] - y0 + 1, columns[inside] - x0 + 1] = 0
        if not distance.any():
            return None
    y, x = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return DeepestPoint(x0 + int(x) - 1, y0 + int(y) - 1, float(distance[y, x]))
