"""Stored: decoded values of any depth, given out in strips; and the ways to turn them upright."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Stored", "StoredArray", "read_upright", "taken", "to_stored_view", "to_upright_view"]

STRIP_ROWS = 256


class Stored(Protocol):
    """Decoded values as they lie in the file, before rotation and before any change of depth.

    Attributes:
        shape: (height, width, channels) as stored, pixels.
        dtype: Of the values.
        orientation: EXIF orientation, 1 to 8, that is still to be undone.
        alpha: The last channel is transparency.
        notes: What was done so far, in plain words.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    orientation: int
    alpha: bool
    notes: tuple[str, ...]

    def strips(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (top row, [h, W, C] values), from top to bottom; can be called again."""
        ...


class StoredArray:
    """Values that lie in memory already; see `Stored`."""

    def __init__(
        self,
        values: NDArray[Any],
        *,
        orientation: int = 1,
        alpha: bool = False,
        notes: tuple[str, ...] = (),
        is_own: bool = False,
    ) -> None:
        """Take [H, W, C] values without copying them; `is_own` if nobody else holds them, now or later."""
        height, width, channels = values.shape
        self.shape = (height, width, channels)
        self.dtype = values.dtype
        self.orientation = orientation
        self.alpha = alpha
        self.notes = notes
        self.is_own = is_own
        self.values = values

    def strips(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """See `Stored`."""
        for top in range(0, self.shape[0], STRIP_ROWS):
            yield top, self.values[top : top + STRIP_ROWS]


def to_upright_view(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """View of stored rows and columns, turned and mirrored as the EXIF orientation asks (Exif 2.3, tag 274)."""
    if orientation >= 5:
        stored = stored.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    return stored


def to_stored_view(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The inverse of `to_upright_view`, so that stored rows can be written into an upright array."""
    # Turning left undoes turning right; every other orientation undoes itself.
    return to_upright_view(upright, {6: 8, 8: 6}.get(orientation, orientation))


def taken(stored: Stored) -> NDArray[Any] | None:
    """The values themselves, if they are upright already and nobody else's: a large photo is not copied."""
    if isinstance(stored, StoredArray) and stored.is_own and stored.orientation == 1:
        return stored.values
    return None


def read_upright(stored: Stored) -> NDArray[Any]:
    """[H, W, C] values of the stored dtype, upright, in an array of the caller's own."""
    if (whole := taken(stored)) is not None:
        return whole
    height, width, channels = stored.shape
    shape = (width, height, channels) if stored.orientation >= 5 else (height, width, channels)
    upright = np.empty(shape, dtype=stored.dtype)
    view = to_stored_view(upright, stored.orientation)
    for top, values in stored.strips():
        view[top : top + len(values)] = values
    return upright
