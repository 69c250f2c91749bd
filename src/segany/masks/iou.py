"""Overlap of masks: IoU of arrays and of run lengths, and boundary IoU.

Two empty masks have an IoU of 0 throughout, as in COCO.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segany.errors import MaskError
from segany.geometry.boxes import box_intersection
from segany.geometry.size import Size
from segany.masks import _runs
from segany.masks._checks import checked_mask
from segany.masks.measurements import mask_area
from segany.masks.rle import RLE

__all__ = ["boundary", "boundary_iou", "mask_iou", "mask_iou_matrix", "rle_iou_matrix"]

# float32 counts exactly up to 2**24.
_CHUNK_PIXELS = 2**20


def mask_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU of masks that stand at the same place of two arrays.

    Args:
        a: [..., H, W] bool.
        b: The same shape, or one that broadcasts to it.

    Returns:
        [...] float64.

    Raises:
        MaskError: The arrays are not bool, or their shapes do not fit.
    """
    _check_masks(a, b)
    return _ratio(mask_area(a & b), mask_area(a | b))


def mask_iou_matrix(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU of each mask of `a` with each of `b`.

    Args:
        a: [N, H, W] bool.
        b: [M, H, W] bool.

    Returns:
        [N, M] float64.

    Raises:
        MaskError: The arrays are not [N, H, W] bool of one height and width.
    """
    _check_masks(a, b)
    if a.ndim != 3 or b.ndim != 3:
        raise MaskError(f"pairwise IoU needs masks [N, H, W], got {list(a.shape)} and {list(b.shape)}.")
    pixels = a.shape[1] * a.shape[2]
    rows_a, rows_b = a.reshape(len(a), pixels), b.reshape(len(b), pixels)
    shared = np.zeros((len(a), len(b)), dtype=np.int64)
    for start in range(0, pixels, _CHUNK_PIXELS):
        chunk = slice(start, start + _CHUNK_PIXELS)
        shared += (rows_a[:, chunk].astype(np.float32) @ rows_b[:, chunk].astype(np.float32).T).astype(np.int64)
    return _ratio(shared, mask_area(a)[:, None] + mask_area(b)[None, :] - shared)


def rle_iou_matrix(
    detected: Sequence[RLE], truth: Sequence[RLE], iscrowd: Sequence[bool] | None = None
) -> NDArray[np.float64]:
    """IoU of each detected mask with each true one, without decoding; the semantic of COCO's evaluation.

    With a crowd, the union is the detected mask's own area: a detection inside a crowd matches it wholly.

    Args:
        detected: N masks.
        truth: M masks of the same size.
        iscrowd: M flags; None for no crowd.

    Returns:
        [N, M] float64.

    Raises:
        MaskError: The sizes differ, or there is not one flag for each true mask.
    """
    crowd = np.zeros(len(truth), dtype=bool) if iscrowd is None else np.asarray(iscrowd, dtype=bool)
    if crowd.shape != (len(truth),):
        raise MaskError(f"there must be one crowd flag for each of {len(truth)} true masks, got {list(crowd.shape)}.")
    sizes = {rle.size for rle in (*detected, *truth)}
    if len(sizes) > 1:
        raise MaskError(f"masks must have one size to be compared, got {' and '.join(map(str, sorted(sizes)[:2]))}.")
    boxes_a, boxes_b = (np.array([rle.box for rle in rles]).reshape(-1, 4) for rles in (detected, truth))
    shared = np.zeros((len(detected), len(truth)), dtype=np.int64)
    # Most pairs of a photo do not even meet as boxes.
    meet = box_intersection(boxes_a, boxes_b) > 0
    pieces = [_runs.intervals(rle.runs) for rle in truth]
    for row in np.flatnonzero(meet.any(axis=1)):
        columns = np.flatnonzero(meet[row])
        starts, ends = (np.concatenate([pieces[column][side] for column in columns]) for side in (0, 1))
        runs = detected[int(row)].runs
        covered = _runs.covered_before(runs, ends) - _runs.covered_before(runs, starts)
        lengths = [len(pieces[column][0]) for column in columns]
        shared[row, columns] = np.add.reduceat(covered, np.cumsum([0, *lengths[:-1]]))
    areas_a = np.array([rle.area for rle in detected], dtype=np.int64)[:, None]
    areas_b = np.array([rle.area for rle in truth], dtype=np.int64)[None, :]
    return _ratio(shared, np.where(crowd[None, :], areas_a, areas_a + areas_b - shared))


def boundary(
    mask: NDArray[np.bool_], dilation_ratio: float = 0.02, *, image_size: Size | None = None
) -> NDArray[np.bool_]:
    """The mask's pixels near its outline (Cheng et al. 2021, "Boundary IoU", sec. 4).

    The mask is eroded by a 3 x 3 kernel round(ratio x image diagonal) times, at least once, beyond the image being
    background; what erosion takes away is the boundary.

    Args:
        mask: [H, W] bool.
        dilation_ratio: Width of the boundary as a share of the image's diagonal.
        image_size: Size of the image where `mask` is a part of it, cut so that nothing of the mask lies outside.

    Returns:
        [H, W] bool.

    Raises:
        MaskError: The mask is not [H, W] bool, or the ratio is not above 0.
    """
    import cv2

    checked_mask(mask)
    if not 0 < dilation_ratio < float("inf"):
        raise MaskError(f"the dilation ratio must be above 0, got {dilation_ratio}.")
    if mask.size == 0:
        return mask.copy()
    height, width = image_size or mask.shape
    times = max(1, round(dilation_ratio * float(np.sqrt(height**2 + width**2))))
    padded = np.pad(mask, 1).view(np.uint8)
    inner = cv2.erode(padded, np.ones((3, 3), dtype=np.uint8), iterations=times)[1:-1, 1:-1]
    return np.asarray(mask & (inner == 0))


def boundary_iou(a: NDArray[np.bool_], b: NDArray[np.bool_], dilation_ratio: float = 0.02) -> float:
    """IoU of two masks' boundaries (Cheng et al. 2021): as sensitive to edges for large objects as for small.

    Args:
        a: [H, W] bool.
        b: [H, W] bool.
        dilation_ratio: As `boundary`; 0.02 is the published value.

    Raises:
        MaskError: As `boundary`, or the shapes differ.
    """
    _check_masks(a, b)
    return float(mask_iou(boundary(a, dilation_ratio), boundary(b, dilation_ratio)))


def _check_masks(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> None:
    if a.dtype != np.bool_ or b.dtype != np.bool_:
        raise MaskError(f"masks must be bool arrays, got {a.dtype} and {b.dtype}; threshold them first: mask > 0.")
    if a.ndim < 2 or b.ndim < 2 or a.shape[-2:] != b.shape[-2:]:
        raise MaskError(f"two masks must have one height and width, got {list(a.shape)} and {list(b.shape)}.")


def _ratio(shared: NDArray[np.int64], union: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(shared, union, out=np.zeros(np.shape(union)), where=np.asarray(union) > 0)
