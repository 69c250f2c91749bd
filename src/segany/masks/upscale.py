"""Low-resolution logits to original pixels: the reference's two bilinear steps, whole, in strips, or near a mask only.

Both steps are one linear map along each axis, so they are done as products with narrow matrices. Those round other than
the reference (torch) does, by some 1e-6 of the largest logit: enough to flip a pixel of a large mask. So the few logits
that close to zero are summed once more, in the reference's order. Signs then do not depend on how the work is cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segany.geometry import Frame, Size
from segany.masks._axis import Axis, axis_of

__all__ = ["LogitWindow", "frame_axes", "upscale_logits", "upscale_strips"]

# Enough for one piece of work to be worth starting, little enough to stay in the processor's cache.
_STRIP_PIXELS = 250_000
# Roundings that a product of up to 12 terms and the reference's sum of 16 can differ by, with room to spare.
_ROUNDINGS = 64


@dataclass(frozen=True, eq=False)
class LogitWindow:
    """The part of one mask's low-resolution logits that its pixels are made from.

    Attributes:
        cells: [r, c] float32.
        corner: (row, column) of its first cell in the whole.
        side: Rows and columns of the whole, over the model's padded input.
        box: XYXY half-open, original pixels of the frame: what can be enlarged from these cells.
    """

    cells: NDArray[np.float32]
    corner: tuple[int, int]
    side: Size
    box: tuple[int, int, int, int]

    @property
    def doubt(self) -> float:
        """How far two ways of enlarging these cells can be apart, in logits."""
        return float(np.abs(self.cells).max(initial=0)) * float(np.finfo(np.float32).eps) * _ROUNDINGS

    @classmethod
    def cut(cls, low_res_logits: NDArray[np.float32], frame: Frame, above: float) -> "LogitWindow":
        """The smallest window outside which no pixel is above a value; empty if none is.

        Args:
            low_res_logits: [h, w] float32, over the model's padded input.
            frame: Where the image lies in that input.
            above: The value, in logits.
        """
        side = Size(*low_res_logits.shape)
        high = low_res_logits > above
        y_axis, x_axis = frame_axes(frame, side)
        y0, y1 = _reached(y_axis, np.asarray(high.any(axis=1)))
        x0, x1 = _reached(x_axis, np.asarray(high.any(axis=0)))
        if y0 >= y1 or x0 >= x1:
            return cls(np.zeros((0, 0), dtype=np.float32), (0, 0), side, (0, 0, 0, 0))
        top, bottom = y_axis.read(y0, y1)
        left, right = x_axis.read(x0, x1)
        # A copy, so that the window does not keep the whole.
        return cls(low_res_logits[top:bottom, left:right].copy(), (top, left), side, (x0, y0, x1, y1))

    def strips(self, frame: Frame, strip_pixels: int = _STRIP_PIXELS) -> Iterator[NDArray[np.float32]]:
        """Enlarge from left to right, in strips of whole columns of the window.

        Args:
            frame: Where the image lies in the model's input.
            strip_pixels: About how many original pixels a strip has.

        Yields:
            [height of the box, w_i] float32, column-contiguous; the widths add up to the box's.
        """
        x0, y0, x1, y1 = self.box
        if x0 == x1:
            return
        y_axis, x_axis = frame_axes(frame, self.side)
        tall = np.ascontiguousarray(y_axis.enlarge(self.cells, self.corner[0], y0, y1).T)
        columns = max(1, strip_pixels // (y1 - y0))
        for left in range(x0, x1, columns):
            strip = x_axis.enlarge(tall, self.corner[1], left, min(left + columns, x1)).T
            self._settle(strip, (y_axis, x_axis), y0, left)
            yield strip

    def _settle(self, pixels: NDArray[np.float32], axes: tuple[Axis, Axis], top: int, left: int) -> None:
        """Sum pixels whose sign is not certain as the reference sums them."""
        doubt = self.doubt
        within = pixels > -doubt
        above = pixels > doubt
        if np.count_nonzero(within) != np.count_nonzero(above):
            # Strips are column-contiguous, and along one axis this is several times as fast as along two.
            x, y = np.divmod(np.flatnonzero((within & ~above).T), len(pixels))
            pixels[y, x] = self._summed(axes, y + top, x + left)

    def _summed(self, axes: tuple[Axis, Axis], y: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.float32]:
        y_axis, x_axis = axes
        row, column = self.corner
        # Axes: model row, model column, cell row, cell column, pixel.
        down, across = y_axis.shares[:, None, None, None, y], x_axis.shares[None, :, None, None, x]
        cell_down, cell_across = y_axis.cell_shares[:, None, :, None, y], x_axis.cell_shares[None, :, None, :, x]
        rows, columns = y_axis.cells[:, None, :, None, y] - row, x_axis.cells[None, :, None, :, x] - column
        terms = self.cells[rows, columns] * ((down * across) * (cell_down * cell_across))
        return np.asarray(terms.reshape(16, -1).sum(axis=0))


def upscale_logits(low_res_logits: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """Enlarge logits to the original image: to the padded input, cut the padding off, then to the original.

    Both steps are bilinear with aligned pixel areas and no smoothing, as in the reference's `postprocess_masks`.

    Args:
        low_res_logits: [h, w] float32, over the model's padded input.
        frame: Where the image lies in that input.

    Returns:
        [H, W] float32, original pixels.
    """
    logits = np.empty(frame.original, dtype=np.float32)
    left = 0
    for strip in upscale_strips(low_res_logits, frame):
        logits[:, left : left + strip.shape[1]] = strip
        left += strip.shape[1]
    return logits


def upscale_strips(
    low_res_logits: NDArray[np.float32], frame: Frame, strip_pixels: int = _STRIP_PIXELS
) -> Iterator[NDArray[np.float32]]:
    """Enlarge logits as `upscale_logits` does, from left to right in strips of whole columns.

    The signs are the same whatever the width of the strips, and the logits to rounding.

    Args:
        low_res_logits: [h, w] float32, over the model's padded input.
        frame: Where the image lies in that input.
        strip_pixels: About how many original pixels a strip has.

    Yields:
        [H, w_i] float32, column-contiguous, original pixels; the widths add up to the image's.
    """
    logits = np.ascontiguousarray(low_res_logits, dtype=np.float32)
    size = frame.original
    whole = LogitWindow(logits, (0, 0), Size(*logits.shape), (0, 0, size.width, size.height))
    yield from whole.strips(frame, strip_pixels)


def frame_axes(frame: Frame, side: Size) -> tuple[Axis, Axis]:
    """The maps from cells to original pixels, down and across.

    Args:
        frame: Where the image lies in the model's input.
        side: Rows and columns of low-resolution cells over that input.
    """
    original, model, padded = frame.original, frame.model, frame.padded
    return (
        axis_of(original.height, model.height, padded.height, side.height),
        axis_of(original.width, model.width, padded.width, side.width),
    )


def _reached(axis: Axis, marked: NDArray[np.bool_]) -> tuple[int, int]:
    """Pixels that read any of the marked cells: half-open, empty when none does."""
    cells = np.flatnonzero(marked)
    return axis.reached(int(cells[0]), int(cells[-1]) + 1) if len(cells) else (0, 0)
