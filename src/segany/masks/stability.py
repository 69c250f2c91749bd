"""Stability score: how little a mask changes when its threshold does (SAM paper, sec. 5 and app. B)."""

import numpy as np
from numpy.typing import NDArray

from segany.errors import MaskError
from segany.masks.measurements import mask_area

__all__ = ["stability_score"]


def stability_score(logits: NDArray[np.floating], threshold: float = 0.0, offset: float = 1.0) -> NDArray[np.float64]:
    """IoU of the masks at a higher and at a lower threshold.

    The higher mask lies inside the lower, so the IoU is the ratio of their areas; 0 where the lower one is empty.

    Args:
        logits: [..., h, w] float.
        threshold: The mask's own threshold.
        offset: The two thresholds lie this much above and below, 0 or more.

    Returns:
        [...] float64.

    Raises:
        MaskError: The array has fewer than two axes, or the offset is negative.
    """
    if logits.ndim < 2:
        raise MaskError(f"stability needs logits [..., h, w], got {list(logits.shape)}.")
    if not offset >= 0:
        raise MaskError(f"the stability offset must be 0 or more, got {offset}.")
    inner, outer = mask_area(logits > threshold + offset), mask_area(logits > threshold - offset)
    return np.asarray(np.divide(inner, outer, out=np.zeros(outer.shape), where=outer > 0))
