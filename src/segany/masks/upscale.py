"""Low-resolution logits to original pixels: the reference's two bilinear steps, whole or in strips.

OpenCV does the bulk. It takes the weights of a bilinear step from 64-bit positions, the reference (torch) from 32-bit
ones, which moves a logit by some 1e-4: enough to flip a pixel or two of a large mask. So the few logits that close to
zero are computed once more, with the reference's weights.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.geometry import Frame

__all__ = ["upscale_logits", "upscale_strips"]

# Enough for one piece of work to be worth starting, little enough to stay near the processor's cache.
_STRIP_PIXELS = 4_000_000


def upscale_logits(low_res_logits: NDArray[np.float32], frame: Frame) -> NDArray[np.float32]:
    """Enlarge logits to the original image: to the padded input, cut the padding off, then to the original.

    Both steps are bilinear with aligned pixel areas and no smoothing, as in the reference's `postprocess_masks`.

    Args:
        low_res_logits: [h, w] float32, over the model's padded input.
        frame: Where the image lies in that input.

    Returns:
        [H, W] float32, original pixels.
    """
    strips = list(upscale_strips(low_res_logits, frame, strip_pixels=frame.original.area))
    return strips[0]


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
        [H, w_i] float32, original pixels; the widths add up to the image's.
    """
    import cv2

    padded, model, original = frame.padded, frame.model, frame.original
    logits: Any = np.ascontiguousarray(low_res_logits, dtype=np.float32)
    logits = cv2.resize(logits, (padded.width, padded.height), interpolation=cv2.INTER_LINEAR)
    logits = np.ascontiguousarray(logits[: model.height, : model.width])
    wide = cv2.resize(logits, (original.width, model.height), interpolation=cv2.INTER_LINEAR)
    nearly_zero = _weight_error(low_res_logits, frame)
    columns = max(1, strip_pixels // original.height)
    for left in range(0, original.width, columns):
        part = np.ascontiguousarray(wide[:, left : left + columns])
        strip = np.asarray(
            cv2.resize(part, (part.shape[1], original.height), interpolation=cv2.INTER_LINEAR), dtype=np.float32
        )
        if (close := cv2.findNonZero(cv2.inRange(strip, -nearly_zero, nearly_zero))) is not None:
            x, y = np.asarray(close, dtype=np.int64).reshape(-1, 2).T
            strip[y, x] = _at(low_res_logits, frame, y, x + left)
        yield strip


def _weight_error(low_res_logits: NDArray[np.float32], frame: Frame) -> float:
    """How far OpenCV's logits can be from the reference's: the error of a position times the steepest slope."""
    slope = sum(float(np.abs(np.diff(low_res_logits, axis=axis)).max(initial=0)) for axis in (0, 1))
    return slope * max(frame.padded) * float(np.finfo(np.float32).eps)


def _at(
    low_res_logits: NDArray[np.float32], frame: Frame, y: NDArray[np.int64], x: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The reference's logits at original pixels: [K] y and x -> [K] float32."""
    result = np.zeros(len(y), dtype=np.float32)
    for model_y, weight_y in _taps(y, frame.original.height, frame.model.height):
        for model_x, weight_x in _taps(x, frame.original.width, frame.model.width):
            for low_y, low_weight_y in _taps(model_y, frame.padded.height, low_res_logits.shape[0]):
                for low_x, low_weight_x in _taps(model_x, frame.padded.width, low_res_logits.shape[1]):
                    weight = (weight_y * weight_x) * (low_weight_y * low_weight_x)
                    result += low_res_logits[low_y, low_x] * weight
    return result


def _taps(
    position: NDArray[np.int64], length: int, source_length: int
) -> tuple[tuple[NDArray[np.int64], NDArray[np.float32]], ...]:
    """The two source pixels that a bilinear step mixes, and their weights, rounded as torch rounds them.

    Args:
        position: [K] pixel indices in the enlarged row.
        length: Pixels of the enlarged row.
        source_length: Pixels of the row it is made from.
    """
    scale = np.float32(source_length) / np.float32(length)
    # torch multiplies and subtracts in one fused step, so only the result is rounded to 32 bits.
    place = np.maximum(np.float64(scale) * (position + 0.5) - 0.5, 0).astype(np.float32)
    first = np.minimum(place.astype(np.int64), source_length - 1)
    weight = place - first.astype(np.float32)
    return (first, 1 - weight), (np.minimum(first + 1, source_length - 1), weight)
