"""Point grids for automatic masks. A grid point is a click: a pixel index, to which the model adds half a pixel."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segany.errors import ConfigError

__all__ = ["grid_in_box", "point_grid", "point_grids"]


def point_grid(points_per_side: int) -> NDArray[np.float64]:
    """A regular n x n grid of the unit square, half a step away from its borders (SAM paper, sec. 5).

    Args:
        points_per_side: n, at least 1.

    Returns:
        [n * n, 2] (x, y) in 0..1, row by row.

    Raises:
        ConfigError: `points_per_side` is less than 1.
    """
    if points_per_side < 1:
        raise ConfigError(f"a point grid needs at least 1 point per side, got {points_per_side}; give 1 or more.")
    half_step = 1 / (2 * points_per_side)
    steps = np.linspace(half_step, 1 - half_step, points_per_side)
    x, y = np.meshgrid(steps, steps)
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def point_grids(points_per_side: int, crop_layers: int, downscale: int) -> tuple[NDArray[np.float64], ...]:
    """One grid per crop layer; layer i has points_per_side / downscale**i points per side, rounded down.

    Args:
        points_per_side: Points per side on the whole image (layer 0).
        crop_layers: Number of crop layers beyond the whole image, 0 or more.
        downscale: Factor between one layer's points per side and the next's, at least 1.

    Returns:
        crop_layers + 1 arrays as from `point_grid`.

    Raises:
        ConfigError: A number is out of range, or a layer would have no point.
    """
    if crop_layers < 0 or downscale < 1:
        raise ConfigError(
            f"point grids need crop layers of at least 0 and a downscale factor of at least 1, "
            f"got {crop_layers} and {downscale}."
        )
    sides = [points_per_side // downscale**layer for layer in range(crop_layers + 1)]
    if points_per_side >= 1 and sides[-1] < 1:
        raise ConfigError(
            f"{points_per_side} points per side, divided by {downscale} for each of {crop_layers} crop layers, "
            "leaves a layer without points; use more points, fewer layers or a smaller factor."
        )
    return tuple(point_grid(side) for side in sides)


def grid_in_box(grid: NDArray[np.float64], box: ArrayLike) -> NDArray[np.float64]:
    """A unit-square grid laid over a box, as clicks in original pixels.

    The grid is multiplied by the box's width and height and nothing is rounded or shifted by half a pixel: the
    same numbers as the reference generator's.

    Args:
        grid: [N, 2] (x, y) in 0..1.
        box: [4], XYXY half-open, original pixels.

    Returns:
        [N, 2] (x, y), original pixels.
    """
    x0, y0, x1, y1 = (float(value) for value in np.asarray(box).ravel())
    return grid * (x1 - x0, y1 - y0) + (x0, y0)
