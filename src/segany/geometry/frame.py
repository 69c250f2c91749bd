"""Frame: how an image, or a tile of it, lies inside the model's square input."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.geometry.size import Size

__all__ = ["Frame"]


@dataclass(frozen=True)
class Frame:
    """The map between original pixels and model pixels.

    The region is resized to `model` and padded on the right and below to `padded` (SAM paper, app. A).
    A tile is a Frame with an offset.

    Attributes:
        original: Size of the region that was embedded, in original pixels.
        model: Size of the resized region, in model pixels, before padding.
        padded: Size of the model's input, in model pixels.
        offset: (y, x) of the region's top left corner in the whole image, original pixels.
    """

    original: Size
    model: Size
    padded: Size
    offset: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Check that every side is positive and that the padding is not negative."""
        if min(*self.original, *self.model) < 1:
            raise ConfigError(f"a frame's sides must be at least 1 pixel, got {self.original} and {self.model}.")
        if self.model.height > self.padded.height or self.model.width > self.padded.width:
            raise ConfigError(f"the resized image ({self.model}) must fit into the model's input ({self.padded}).")

    @classmethod
    def longest_side(cls, original: Size, side: int, offset: tuple[int, int] = (0, 0)) -> "Frame":
        """The frame of SAM: long side scaled to `side`, aspect ratio kept, both sides rounded half up.

        A side never falls under 1 model pixel, so that a 1x10000 image has a frame too.

        Args:
            original: Size of the region, original pixels.
            side: Side of the model's square input, model pixels.
            offset: (y, x) of the region in the whole image.
        """
        scale = side / max(original)
        model = Size(*(max(1, int(length * scale + 0.5)) for length in original))
        return cls(original, model, Size(side, side), offset)

    @property
    def scale(self) -> tuple[float, float]:
        """(y, x): model pixels per original pixel; the two differ by the rounding of `model`."""
        return (self.model.height / self.original.height, self.model.width / self.original.width)

    def to_model(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Original pixels to model pixels.

        Args:
            points: [..., 2] (x, y), or boxes as [..., 2, 2] corners, original pixels of the whole image.

        Returns:
            The same shape, model pixels.
        """
        scale_y, scale_x = self.scale
        y, x = self.offset
        return (np.asarray(points, dtype=np.float64) - (x, y)) * (scale_x, scale_y)

    def to_original(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Model pixels to original pixels; the inverse of `to_model`.

        Args:
            points: [..., 2] (x, y), model pixels.

        Returns:
            The same shape, original pixels of the whole image.
        """
        scale_y, scale_x = self.scale
        y, x = self.offset
        return np.asarray(points, dtype=np.float64) / (scale_x, scale_y) + (x, y)
