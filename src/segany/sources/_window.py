"""Cutting the asked part out of an array."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from segany.errors import ImageError

__all__ = ["cut"]


def cut(values: NDArray[Any], window: Sequence[int] | None, level: int, name: str) -> NDArray[Any]:
    """View of a window.

    Args:
        values: [H, W, C].
        window: XYXY half-open, pixels; None for all.
        level: Pyramid level; only 0 is there.
        name: What to call the image in an error.

    Raises:
        ImageError: The window does not lie in the image, or the level is not 0.
    """
    if level != 0:
        raise ImageError(f"{name} has one level, 0; got level {level}.")
    if window is None:
        return values
    height, width = values.shape[:2]
    if len(window) != 4:
        raise ImageError(f"a window must be four whole numbers x0, y0, x1, y1, got {list(window)}.")
    x0, y0, x1, y1 = (int(edge) for edge in window)
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ImageError(
            f"a window must lie within {name}, {height}x{width} (height x width), with x0 < x1 and y0 < y1, "
            f"got {x0}, {y0}, {x1}, {y1}."
        )
    return values[y0:y1, x0:x1]
