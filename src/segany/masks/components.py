"""Connected parts of a mask: label them, keep the largest, remove the small."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segany.errors import MaskError
from segany.masks._checks import checked_mask

__all__ = ["label_components", "largest_component", "remove_small_regions"]


def label_components(mask: NDArray[np.bool_], connectivity: Literal[4, 8] = 8) -> tuple[NDArray[np.int32], int]:
    """Number the connected parts of a mask.

    Args:
        mask: [H, W] bool.
        connectivity: 8: pixels that touch at a corner are connected; 4: only at an edge.

    Returns:
        [H, W] int32, 0 outside the mask and 1..N on its parts, and N.

    Raises:
        MaskError: The mask is not [H, W] bool, or the connectivity is another.
    """
    import cv2

    checked_mask(mask)
    if connectivity not in (4, 8):
        raise MaskError(f"connectivity must be 4 or 8, got {connectivity}.")
    if mask.size == 0:
        return np.zeros(mask.shape, dtype=np.int32), 0
    count, labels = cv2.connectedComponents(_bytes(mask), connectivity=connectivity, ltype=cv2.CV_32S)
    return np.asarray(labels, dtype=np.int32), count - 1


def largest_component(mask: NDArray[np.bool_], connectivity: Literal[4, 8] = 8) -> NDArray[np.bool_]:
    """The connected part with the most pixels; of equal ones the first in row order. An empty mask stays empty.

    Args:
        mask: [H, W] bool.
        connectivity: As `label_components`.

    Returns:
        [H, W] bool, a new array.

    Raises:
        MaskError: As `label_components`.
    """
    labels, count = label_components(mask, connectivity)
    if count == 0:
        return mask.copy()
    areas = _areas(labels, count)
    largest = 1 + np.flatnonzero(areas == areas.max())
    # OpenCV numbers parts by blocks of pixels: shift the mask by one, and of equal parts another comes first.
    first = largest[0] if len(largest) == 1 else labels.ravel()[np.argmax(np.isin(labels, largest))]
    return np.asarray(labels == first)


def remove_small_regions(
    mask: NDArray[np.bool_], min_area: float, mode: Literal["holes", "islands"]
) -> tuple[NDArray[np.bool_], bool]:
    """Fill small holes, or drop small islands (SAM paper, app. B); the semantic of the reference's clean-up.

    Regions of background (holes) and of foreground (islands) are 8-connected. Background that reaches the image's
    border counts as a hole too. When every island is small, the largest stays.

    Args:
        mask: [H, W] bool.
        min_area: Regions of fewer pixels are removed.
        mode: What to remove.

    Returns:
        [H, W] bool, and whether anything changed; the given array itself when nothing did.

    Raises:
        MaskError: The mask is not [H, W] bool, or the mode is another.
    """
    if mode not in ("holes", "islands"):
        raise MaskError(f"mode must be 'holes' or 'islands', got {mode!r}.")
    labels, count = label_components(~mask if mode == "holes" else mask, connectivity=8)
    areas = _areas(labels, count)
    small = areas < min_area
    if not small.any():
        return mask, False
    if mode == "holes":
        fill = np.concatenate([[True], small])
    elif small.all():
        fill = np.arange(count + 1) == 1 + int(np.argmax(areas))
    else:
        fill = np.concatenate([[False], ~small])
    return fill[labels], True


def _areas(labels: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Pixels of each part, without the background."""
    return np.bincount(labels.ravel(), minlength=count + 1)[1:]


def _bytes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    # A bool array holds the bytes 0 and 1 already.
    return np.ascontiguousarray(mask).view(np.uint8)
