"""NumPy arrays as images: which shapes and types are meant, and which are mistakes."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from segany.errors import ImageError
from segany.geometry import Size
from segany.schema import ImageInfo
from segany.sources._stored import StoredArray
from segany.sources._window import window_slices

__all__ = ["ArraySource", "check_array"]

NAME = "array"


class ArraySource:
    """A NumPy array as a source.

    Attributes:
        info: Size, channels and dtype of the array.
    """

    def __init__(self, array: NDArray[Any], *, bands_chosen: bool = False) -> None:
        """Check the array; it is not copied.

        Args:
            array: [H, W] or [H, W, C] bool, integer or float.
            bands_chosen: The caller said which channels to show, so a shape that looks channels-first is meant.

        Raises:
            ImageError: As `check_array`.
        """
        self._values = check_array(array, bands_chosen=bands_chosen)
        height, width, channels = self._values.shape
        self.info = ImageInfo(NAME, NAME, Size(height, width), channels=channels, dtype=self._values.dtype.name)

    def read(self, window: Sequence[int] | None = None, level: int = 0) -> NDArray[Any]:
        """A view of the array's values; see `Source`.

        Raises:
            ImageError: The window does not lie in the image, or the level is not 0.
        """
        return self._values[window_slices(self.info.size, window, level, NAME)]

    def decode(self) -> StoredArray:
        """The values to show. Four channels are red, green, blue and transparency."""
        return StoredArray(self._values, alpha=self._values.shape[2] == 4)


def check_array(array: NDArray[Any], *, bands_chosen: bool = False) -> NDArray[Any]:
    """Refuse what cannot be an image.

    Args:
        array: [H, W] or [H, W, C] bool, integer or float.
        bands_chosen: Do not take a few rows of many channels for a channels-first picture.

    Returns:
        [H, W, C], a view.

    Raises:
        ImageError: Another number of axes, no pixels, a type that is no number, or channels first.
    """
    if array.dtype.kind not in "buif":
        raise ImageError(f"an image array must hold bool, integers or floats, got dtype {array.dtype}.")
    if array.ndim not in (2, 3):
        hint = "; pass one image at a time" if array.ndim == 4 else ""
        raise ImageError(f"an image array must be [H, W] or [H, W, C], got shape {list(array.shape)}{hint}.")
    if array.size == 0:
        raise ImageError(f"an image array must hold at least one pixel, got shape {list(array.shape)}.")
    if array.ndim == 2:
        return array[..., None]
    channels_first = array.shape[0] in (1, 3, 4) and array.shape[2] > 4 and not bands_chosen
    if channels_first:
        raise ImageError(
            f"an image array must be [H, W, C], got shape {list(array.shape)}, which looks like channels first; "
            f"pass array.transpose(1, 2, 0), or bands= if it is {array.shape[0]} pixels high."
        )
    return array
