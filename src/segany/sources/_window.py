"""Which part of an image a reader is asked for."""

from collections.abc import Sequence

from segany.errors import ImageError
from segany.geometry import Size

__all__ = ["window_slices"]


def window_slices(size: Size, window: Sequence[int] | None, level: int, name: str) -> tuple[slice, slice]:
    """Rows and columns of a window.

    Args:
        size: Of the image.
        window: XYXY half-open, pixels; None for all.
        level: Pyramid level; only 0 is there.
        name: What to call the image in an error.

    Raises:
        ImageError: The window does not lie in the image, or the level is not 0.
    """
    if level != 0:
        raise ImageError(f"{name} has one level, 0; got level {level}.")
    if window is None:
        return slice(None), slice(None)
    if len(window) != 4:
        raise ImageError(f"a window must be four whole numbers x0, y0, x1, y1, got {list(window)}.")
    x0, y0, x1, y1 = (int(edge) for edge in window)
    if not (0 <= x0 < x1 <= size.width and 0 <= y0 < y1 <= size.height):
        raise ImageError(
            f"a window must lie within {name}, {size}, with x0 < x1 and y0 < y1, got {x0}, {y0}, {x1}, {y1}."
        )
    return slice(y0, y1), slice(x0, x1)
