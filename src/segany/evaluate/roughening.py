"""Rough masks made from true ones: what a person's quick outline, an old model or a thumbnail might give."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segany.masks import equivalent_diameter

__all__ = ["ROUGHENINGS", "Roughening", "rough_mask"]

Roughening = Literal["eighth", "eroded", "dilated", "shifted"]
ROUGHENINGS: tuple[Roughening, ...] = get_args(Roughening)

_REDUCTION = 8


def rough_mask(mask: NDArray[np.bool_], kind: Roughening, *, by: float = 0.05, direction: int = 0) -> NDArray[np.bool_]:
    """Make a true mask rough.

    Args:
        mask: [H, W] bool, not empty.
        kind: "eighth": an eighth of the height and width, a cell set when half of it is. "eroded" and "dilated": the
            outline moved inwards or outwards. "shifted": the mask moved as it is.
        by: How far the outline moves, in diameters of the disc with the mask's area; at least one pixel.
        direction: Of a shift: 0 to 7, eighths of a turn.

    Returns:
        [ceil(H / 8), ceil(W / 8)] bool for "eighth", else [H, W] bool; never empty: where nothing would be left, what
        is deepest inside the mask stays.
    """
    import cv2

    if kind == "eighth":
        height, width = (-(-side // _REDUCTION) for side in mask.shape)
        share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        share = share.reshape(height, width)
        return np.asarray(share >= min(0.5, float(share.max())))
    distance = max(1.0, by * equivalent_diameter(mask))
    if kind == "shifted":
        return _shifted(mask, distance, direction)
    if kind == "dilated":
        outside = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(outside <= distance)
    inside = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray((inside > distance) | (inside == inside.max()))


def _shifted(mask: NDArray[np.bool_], distance: float, direction: int) -> NDArray[np.bool_]:
    angle = direction * np.pi / 4
    dx, dy = round(distance * np.cos(angle)), round(distance * np.sin(angle))
    height, width = mask.shape
    shifted = np.zeros_like(mask)
    shifted[max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)] = mask[
        max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)
    ]
    return shifted if shifted.any() else mask.copy()
