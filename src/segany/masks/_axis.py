"""One axis of the enlargement: which low-resolution cells each original pixel mixes, and in which shares.

The reference enlarges in two bilinear steps, to the model's padded input and from there to the original image. Along
one axis both are one linear map from cells to pixels, with at most four cells a pixel.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Axis", "axis_of"]

# Pixels in one block of the banded map: enough for a matrix product to be worth its call, few enough for the band to
# stay narrow.
_BLOCK = 64

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Axis:
    """The map from cells to pixels along one axis.

    Attributes:
        length: Original pixels.
        taps: Four pairs of [length] int64 cells and [length] float32 shares: the reference's, rounded as it rounds.
        first: [length] int64, the first cell that a pixel reads; never falls from one pixel to the next.
        last: [length] int64, the last one.
        blocks: For each `_BLOCK` pixels, the first cell that they read and [pixels, cells] float32 shares.
    """

    length: int
    taps: tuple[tuple[Integers, tuple[Floats, Floats]], ...]
    first: Integers
    last: Integers
    blocks: tuple[tuple[int, Floats], ...]

    def reached(self, start: int, stop: int) -> tuple[int, int]:
        """Pixels, as a half-open range, that read any of the cells from `start` up to `stop`."""
        return int(np.searchsorted(self.last, start)), int(np.searchsorted(self.first, stop))

    def read(self, start: int, stop: int) -> tuple[int, int]:
        """Cells, as a half-open range, that the pixels from `start` up to `stop` read."""
        return int(self.first[start]), int(self.last[stop - 1]) + 1

    def pixel_at(self, cell: int, start: int, stop: int) -> int:
        """The pixel nearest to the middle of a cell, among those from `start` up to `stop`."""
        low, high = self.reached(cell, cell + 1)
        return min(max((low + high - 1) // 2, start), stop - 1)

    def enlarge(self, cells: Floats, first_cell: int, start: int, stop: int) -> Floats:
        """Pixels from cells.

        Args:
            cells: [n, C] float32, the cells from `first_cell` on, among them all that the pixels read.
            first_cell: Where `cells` begin.
            start: First pixel wanted.
            stop: The one after the last.

        Returns:
            [stop - start, C] float32.
        """
        pixels = np.empty((stop - start, cells.shape[1]), dtype=np.float32)
        end_cell = first_cell + len(cells)
        for number in range(start // _BLOCK, -(-stop // _BLOCK)):
            cell, shares = self.blocks[number]
            top, bottom = max(start, number * _BLOCK), min(stop, (number + 1) * _BLOCK)
            low, high = max(cell, first_cell), min(cell + shares.shape[1], end_cell)
            rows = shares[top - number * _BLOCK : bottom - number * _BLOCK, low - cell : high - cell]
            np.matmul(rows, cells[low - first_cell : high - first_cell], out=pixels[top - start : bottom - start])
        return pixels


@lru_cache(maxsize=64)
def axis_of(length: int, model_length: int, padded_length: int, cells: int) -> Axis:
    """The map along one axis.

    Args:
        length: Original pixels.
        model_length: Model pixels of the resized image.
        padded_length: Model pixels of the padded input.
        cells: Low-resolution cells over the padded input.
    """
    position = np.arange(length)
    taps = []
    for model_pixel, share in _bilinear(position, length, model_length):
        for cell, cell_share in _bilinear(model_pixel, padded_length, cells):
            taps.append((cell, (share, cell_share)))
    read = np.stack([cell for cell, _ in taps])
    first, last = read.min(axis=0), read.max(axis=0)
    blocks = []
    for start in range(0, length, _BLOCK):
        rows = slice(start, min(start + _BLOCK, length))
        left = int(first[start])
        shares = np.zeros((rows.stop - start, int(last[rows.stop - 1]) + 1 - left))
        for cell, (share, cell_share) in taps:
            products = share[rows].astype(np.float64) * cell_share[rows]
            np.add.at(shares, (np.arange(rows.stop - start), cell[rows] - left), products)
        blocks.append((left, shares.astype(np.float32)))
    return Axis(length, tuple(taps), first, last, tuple(blocks))


def _bilinear(position: Integers, length: int, source_length: int) -> tuple[tuple[Integers, Floats], ...]:
    """The two source pixels that a bilinear step mixes, and their shares, rounded as torch rounds them.

    Args:
        position: [K] pixel indices in the enlarged row.
        length: Pixels of the enlarged row.
        source_length: Pixels of the row it is made from.
    """
    scale = np.float32(source_length) / np.float32(length)
    # torch multiplies and subtracts in one fused step, so only the result is rounded to 32 bits.
    place = np.maximum(np.float64(scale) * (position + 0.5) - 0.5, 0).astype(np.float32)
    first = np.minimum(place.astype(np.int64), source_length - 1)
    share = place - first.astype(np.float32)
    return (first, 1 - share), (np.minimum(first + 1, source_length - 1), share)
