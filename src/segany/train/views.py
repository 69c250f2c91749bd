"""Views: variants of an annotated image, turned, mirrored, cut and lit otherwise; image and masks alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["View", "draw_view"]

_SMALLEST_CUT = 0.5
_GAMMA = 0.3
_GAIN = 0.2


@dataclass(frozen=True)
class View:
    """One variant; the default is the image itself.

    Attributes:
        window: Left, top, right and bottom of what is kept, as shares of the image.
        flip: Mirrored left to right, after the cut.
        turns: Quarter turns after that.
        gain: Contrast about the image's mean.
        gamma: Exponent on brightness.
    """

    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    flip: bool = False
    turns: int = 0
    gain: float = 1.0
    gamma: float = 1.0

    def of_mask(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Cut, mirror and turn [H, W, ...]."""
        height, width = mask.shape[:2]
        left, top, right, bottom = self.window
        x0, y0 = int(left * width), int(top * height)
        x1, y1 = max(x0 + 1, round(right * width)), max(y0 + 1, round(bottom * height))
        cut = mask[y0:y1, x0:x1]
        cut = cut[:, ::-1] if self.flip else cut
        return np.ascontiguousarray(np.rot90(cut, self.turns))

    def of_image(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same with another light: [H, W, 3] uint8."""
        cut: NDArray[np.uint8] = self.of_mask(pixels)
        if self.gain == 1 and self.gamma == 1:
            return cut
        levels = 255 * (np.arange(256) / 255) ** self.gamma
        mean = levels[cut].mean()
        table = (mean + self.gain * (levels - mean)).clip(0, 255).round().astype(np.uint8)
        lit: NDArray[np.uint8] = table[cut]
        return lit


def draw_view(seed: tuple[int, ...]) -> View:
    """A random variant; the same seed, the same variant."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(_SMALLEST_CUT, 1)
    left, top = rng.uniform(0, 1 - share, 2)
    return View(
        (left, top, left + share, top + share),
        flip=bool(rng.integers(2)),
        turns=int(rng.integers(4)),
        gain=float(np.exp(rng.normal(0, _GAIN))),
        gamma=float(np.exp(rng.normal(0, _GAMMA))),
    )
