"""Size: height and width in pixels, in that order."""

from typing import NamedTuple

__all__ = ["Size"]


class Size(NamedTuple):
    """Height and width in pixels. Pillow's sizes are (width, height); ours never are."""

    height: int
    width: int

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    def __str__(self) -> str:
        """The size as people read it: "1200x1800 (height x width)"."""
        return f"{self.height}x{self.width} (height x width)"
