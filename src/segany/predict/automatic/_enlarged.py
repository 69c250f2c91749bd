"""Masks at full size: made in one pass over strips, and remembered as long as there is room."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segany.geometry import Frame, Size
from segany.masks import RLE, LogitWindow

__all__ = ["Enlarged", "EnlargedMask", "enlarge"]

# What Python needs for a remembered mask beside the bytes of its runs.
_OVERHEAD = 500


@dataclass(frozen=True)
class EnlargedMask:
    """One proposal at full size.

    Attributes:
        rle: The mask, pixels of the whole image.
        stability: Its stability score at original pixels; 0 for a mask that is empty at the lower threshold.
    """

    rle: RLE
    stability: float


class Enlarged:
    """Masks that were enlarged before: the next thresholds mostly want them again."""

    def __init__(self) -> None:
        """Start with none."""
        self._masks: dict[tuple[int, int], EnlargedMask] = {}
        self.nbytes = 0

    def get(self, key: tuple[int, int]) -> EnlargedMask | None:
        """The mask of that crop and index, if it is remembered."""
        return self._masks.get(key)

    def put(self, key: tuple[int, int], mask: EnlargedMask, max_bytes: int) -> None:
        """Remember a mask unless that would take more bytes in all."""
        size = len(mask.rle.counts) + _OVERHEAD
        if key not in self._masks and self.nbytes + size <= max_bytes:
            self._masks[key] = mask
            self.nbytes += size


def enlarge(
    window: LogitWindow, frame: Frame, crop: tuple[int, int, int, int], whole: Size, offset: float
) -> EnlargedMask:
    """Enlarge a mask straight to run lengths, and measure its stability on the way.

    Args:
        window: Cut at the negative offset.
        frame: Where the crop lies in the model's input.
        crop: XYXY half-open, the crop in the whole image.
        whole: Size of the whole image.
        offset: Of the stability score, in logits.
    """
    high = low = 0

    def bits() -> Iterator[NDArray[np.bool_]]:
        nonlocal high, low
        for strip in window.strips(frame):
            high += int(np.count_nonzero(strip > offset))
            low += int(np.count_nonzero(strip > -offset))
            yield strip > 0

    left, top = crop[:2]
    x0, y0, x1, y1 = window.box
    rle = RLE.from_column_strips(whole, bits(), (left + x0, top + y0, left + x1, top + y1))
    return EnlargedMask(rle, high / low if low else 0.0)
