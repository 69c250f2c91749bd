"""Low-resolution logits to original pixels: the reference's two bilinear steps, whole or in strips."""

from collections.abc import Iterator

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

    The columns are the same numbers whatever the width of the strips.

    Args:
        low_res_logits: [h, w] float32, over the model's padded input.
        frame: Where the image lies in that input.
        strip_pixels: About how many original pixels a strip has.

    Yields:
        [H, w_i] float32, original pixels; the widths add up to the image's.
    """
    import cv2

    padded, model, original = frame.padded, frame.model, frame.original
    logits = np.ascontiguousarray(low_res_logits, dtype=np.float32)
    logits = cv2.resize(logits, (padded.width, padded.height), interpolation=cv2.INTER_LINEAR)
    logits = np.ascontiguousarray(logits[: model.height, : model.width])
    wide = cv2.resize(logits, (original.width, model.height), interpolation=cv2.INTER_LINEAR)
    columns = max(1, strip_pixels // original.height)
    for left in range(0, original.width, columns):
        part = np.ascontiguousarray(wide[:, left : left + columns])
        strip = cv2.resize(part, (part.shape[1], original.height), interpolation=cv2.INTER_LINEAR)
        # OpenCV drops a leading axis of 1 in no case, but reshaping costs nothing and states the shape.
        yield strip.reshape(original.height, part.shape[1]).astype(np.float32, copy=False)
