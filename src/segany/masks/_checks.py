"""The one check of what calls itself a mask."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import MaskError

__all__ = ["checked_mask"]


def checked_mask(mask: Any) -> NDArray[np.bool_]:
    """The array itself if it is [H, W] bool, else MaskError.

    Other dtypes are refused, not converted: a mask of 0 and 255, of labels or of logits each mean another threshold.
    """
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2:
        came = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise MaskError(f"a mask must be a bool array [H, W], got {came}; threshold it first: mask > 0.")
    return mask
