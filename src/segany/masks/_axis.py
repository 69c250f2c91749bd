"""One axis of the enlargement: which low-resolution cells each original pixel mixes, and in which shares.

The reference enlarges in two bilinear steps, to the model's padded input and from there to the original image. Along
one axis both are one linear map from cells to pixels, with at most four cells a pixel.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Axis", "axis_of"]

# Pixels in one block of the banded map: enough for a matrix product to be worth its call, few enough for the band to
# stay narrow. With a handful of columns, calls cost more than what is multiplied.
_BLOCK, _THIN_BLOCK = 32, 512
_THIN = 8
# Multiplications in one product: beyond 2**18 OpenBLAS wakes its threads, which costs more than it saves here.
_PRODUCT = 2**18

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Axis:
    """The map from cells to pixels along one axis.

    Attributes:
        length: Original pixels.
        cells: [2, 2, length] int64: for each of the two model pixels that a pixel mixes, the two cells that it mixes.
        shares: [2, length] float32, of the model pixels; rounded as the reference rounds them.
        cell_shares: [2, 2, length] float32, of the cells.
        first: [length] int64, the first cell that a pixel reads; never falls from one pixel to the next.
        last: [length] int64, the last one.
    """

    length: int
    cells: Integers
    shares: Floats
    cell_shares: Floats
    first: Integers
    last: Integers
    _blocks: dict[int, tuple[tuple[int, Floats], ...]] = field(default_factory=dict)

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
        block = _THIN_BLOCK if cells.shape[1] <= _THIN else _BLOCK
        blocks = self._banded(block)
        for number in range(start // block, -(-stop // block)):
            cell, shares = blocks[number]
            top, bottom = max(start, number * block), min(stop, (number + 1) * block)
            low, high = max(cell, first_cell), min(cell + shares.shape[1], end_cell)
            rows = shares[top - number * block : bottom - number * block, low - cell : high - cell]
            source, target = cells[low - first_cell : high - first_cell], pixels[top - start : bottom - start]
            columns = max(1, _PRODUCT // max(1, rows.size))
            for left in range(0, cells.shape[1], columns):
                part = slice(left, left + columns)
                np.matmul(rows, source[:, part], out=target[:, part])
        return pixels

    def _banded(self, block: int) -> tuple[tuple[int, Floats], ...]:
        """For each block of so many pixels its first cell, and its [pixels, cells] shares; made when first needed."""
        if block not in self._blocks:
            products = self.shares[:, None].astype(np.float64) * self.cell_shares
            parts = []
            for start in range(0, self.length, block):
                pixels = slice(start, min(start + block, self.length))
                left = int(self.first[start])
                matrix = np.zeros((pixels.stop - start, int(self.last[pixels.stop - 1]) + 1 - left))
                rows = np.arange(pixels.stop - start)
                np.add.at(matrix, (rows, self.cells[..., pixels] - left), products[..., pixels])
                parts.append((left, matrix.astype(np.float32)))
            # Under two threads it may be made twice, to the same end.
            self._blocks[block] = tuple(parts)
        return self._blocks[block]


@lru_cache(maxsize=64)
def axis_of(length: int, model_length: int, padded_length: int, cells: int) -> Axis:
    """The map along one axis.

    Args:
        length: Original pixels.
        model_length: Model pixels of the resized image.
        padded_length: Model pixels of the padded input.
        cells: Low-resolution cells over the padded input.
    """
    model_pixels, shares = _bilinear(np.arange(length), length, model_length)
    flat, flat_shares = _bilinear(model_pixels.ravel(), padded_length, cells)
    # [cell, model pixel, pixel] -> [model pixel, cell, pixel]
    read, cell_shares = flat.reshape(2, 2, length).swapaxes(0, 1), flat_shares.reshape(2, 2, length).swapaxes(0, 1)
    return Axis(length, read, shares, cell_shares, read.min(axis=(0, 1)), read.max(axis=(0, 1)))


def _bilinear(position: Integers, length: int, source_length: int) -> tuple[Integers, Floats]:
    """The two source pixels that a bilinear step mixes, and their shares, rounded as torch rounds them.

    Args:
        position: [K] pixel indices in the enlarged row.
        length: Pixels of the enlarged row.
        source_length: Pixels of the row it is made from.

    Returns:
        [2, K] int64 and [2, K] float32.
    """
    scale = np.float32(source_length) / np.float32(length)
    # torch multiplies and subtracts in one fused step, so only the result is rounded to 32 bits.
    place = np.maximum(np.float64(scale) * (position + 0.5) - 0.5, 0).astype(np.float32)
    first = np.minimum(place.astype(np.int64), source_length - 1)
    share = place - first.astype(np.float32)
    return np.stack([first, np.minimum(first + 1, source_length - 1)]), np.stack([1 - share, share])
