"""Boxes: XYXY half-open, original pixels; x1 and y1 are the first column and row outside the box."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segany.errors import InputError
from segany.geometry.size import Size

__all__ = [
    "box_area",
    "box_intersection",
    "box_iou",
    "clip_boxes",
    "half_open_to_inclusive",
    "inclusive_to_half_open",
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]


def as_boxes(boxes: ArrayLike) -> NDArray[Any]:
    """Check that `boxes` is a numeric array whose last axis holds four numbers.

    An empty list becomes [0, 4]. The dtype stays as it came.

    Raises:
        InputError: The last axis is not 4 long, or the values are no numbers.
    """
    array = np.asarray(boxes)
    if array.size == 0 and array.ndim <= 1:
        return np.zeros((0, 4), dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != 4 or array.dtype.kind not in "iuf":
        raise InputError(
            f"boxes must be numbers of shape [..., 4], got shape {list(array.shape)} of {array.dtype}; "
            "give four numbers a box."
        )
    # Unsigned differences would wrap round.
    return array.astype(np.int64) if array.dtype.kind == "u" else array


def box_area(boxes: ArrayLike) -> NDArray[Any]:
    """Area in pixels; a box whose x1 <= x0 or y1 <= y0 is empty and has area 0.

    Args:
        boxes: [..., 4], XYXY half-open.

    Returns:
        [...], the boxes' dtype; int64 for whole numbers.

    Raises:
        InputError: `boxes` is not [..., 4].
    """
    array = as_boxes(boxes)
    sides = np.maximum(_wide(array[..., 2:]) - _wide(array[..., :2]), 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def box_intersection(a: ArrayLike, b: ArrayLike) -> NDArray[Any]:
    """Area that each box of `a` shares with each box of `b`, in pixels.

    Args:
        a: [N, 4], XYXY half-open.
        b: [M, 4], XYXY half-open.

    Returns:
        [N, M].

    Raises:
        InputError: An argument is not [N, 4].
    """
    first, second = _wide(_rows(a)), _wide(_rows(b))
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = np.maximum(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def box_iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of each box of `a` with each box of `b`; 0 where both are empty.

    Args:
        a: [N, 4], XYXY half-open.
        b: [M, 4], XYXY half-open.

    Returns:
        [N, M], 0 to 1.

    Raises:
        InputError: An argument is not [N, 4].
    """
    shared = box_intersection(a, b).astype(np.float64)
    areas_a, areas_b = box_area(a).astype(np.float64), box_area(b).astype(np.float64)
    union = areas_a[:, None] + areas_b[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def clip_boxes(boxes: ArrayLike, size: Size) -> NDArray[Any]:
    """Boxes cut at the borders of an image; a box wholly outside becomes empty.

    Args:
        boxes: [..., 4], XYXY half-open.
        size: Size of the image.

    Returns:
        Same shape and dtype.

    Raises:
        InputError: `boxes` is not [..., 4].
    """
    array = as_boxes(boxes)
    limit = np.array([size.width, size.height, size.width, size.height], dtype=array.dtype)
    return np.asarray(np.clip(array, 0, limit))


def xyxy_to_xywh(boxes: ArrayLike) -> NDArray[Any]:
    """XYXY half-open to (x, y, width, height), the order of COCO files. For codecs only.

    Raises:
        InputError: `boxes` is not [..., 4].
    """
    array = as_boxes(boxes)
    return np.concatenate([array[..., :2], array[..., 2:] - array[..., :2]], axis=-1)


def xywh_to_xyxy(boxes: ArrayLike) -> NDArray[Any]:
    """(x, y, width, height) to XYXY half-open; the inverse of `xyxy_to_xywh`.

    Raises:
        InputError: `boxes` is not [..., 4].
    """
    array = as_boxes(boxes)
    return np.concatenate([array[..., :2], array[..., :2] + array[..., 2:]], axis=-1)


def half_open_to_inclusive(boxes: ArrayLike) -> NDArray[Any]:
    """XYXY half-open to the inclusive-max boxes of SAM's reference generator.

    There x1 and y1 are the last column and row inside the mask, and the box of an empty mask is all zeros.

    Args:
        boxes: [..., 4], XYXY half-open, whole pixels.

    Returns:
        Same shape and dtype, XYXY inclusive.

    Raises:
        InputError: `boxes` is not [..., 4].
    """
    array = as_boxes(boxes)
    inclusive = array - np.array([0, 0, 1, 1], dtype=array.dtype)
    empty = (array[..., 2:] <= array[..., :2]).any(axis=-1, keepdims=True)
    return np.where(empty, np.zeros_like(array), inclusive)


def inclusive_to_half_open(boxes: ArrayLike) -> NDArray[Any]:
    """Inclusive-max boxes to XYXY half-open.

    The reference's empty box and its box of the single pixel (0, 0) are the same four zeros; both become that
    pixel's box, [0, 0, 1, 1].

    Raises:
        InputError: `boxes` is not [..., 4].
    """
    array = as_boxes(boxes)
    return np.asarray(array + np.array([0, 0, 1, 1], dtype=array.dtype))


def _rows(boxes: ArrayLike) -> NDArray[Any]:
    array = as_boxes(boxes)
    if array.ndim != 2:
        raise InputError(f"boxes must have shape [N, 4] here, got {list(array.shape)}; reshape them to rows.")
    return array


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    """Integers as int64, so that the area of a large image's box does not wrap round in int32."""
    return array.astype(np.int64) if array.dtype.kind == "i" else array
