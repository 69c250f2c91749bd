"""Non-maximum suppression when some boxes are known only from inside and from outside."""

import numpy as np
from numpy.typing import NDArray

from segany.geometry import box_area, box_intersection

__all__ = ["EDGE_TOLERANCE", "inclusive", "overlap", "touches_inner_edge"]

Boxes = NDArray[np.int64]

# Pixels within which a box counts as touching its crop's border (reference code, is_box_near_crop_edge).
EDGE_TOLERANCE = 20.0


def overlap(kept: Boxes, inner: Boxes, outer: Boxes, threshold: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which boxes overlap kept ones by more than the threshold, as far as their bounds tell.

    A box between `inner` and `outer` shares with the kept one at least what `inner` shares and at most what `outer`
    does; outside the kept one it has at least the area that `inner` has there and at most what `outer` has.

    Args:
        kept: [M, 4], XYXY with inclusive maxima.
        inner: [N, 4], the same form; no larger than the boxes.
        outer: [N, 4], no smaller than the boxes; equal to `inner` where a box is known.
        threshold: IoU.

    Returns:
        [M, N] bool that do, and [M, N] bool that may. Both False: does not.
    """
    area = box_area(kept)[:, None].astype(np.float64)
    shared_least, shared_most = (box_intersection(kept, bound).astype(np.float64) for bound in (inner, outer))
    iou_least = _ratio(shared_least, area + box_area(outer) - shared_most)
    iou_most = _ratio(shared_most, area + box_area(inner) - shared_least)
    does: NDArray[np.bool_] = iou_least > threshold
    return does, (iou_most > threshold) & ~does


def touches_inner_edge(box: tuple[int, int, int, int], crop: tuple[int, int, int, int], image: Boxes) -> bool:
    """Whether a box ends at a border of its crop that is no border of the image; all XYXY, pixels of the image."""
    near_crop = np.abs(np.subtract(box, crop)) <= EDGE_TOLERANCE
    near_image = np.abs(np.subtract(box, image)) <= EDGE_TOLERANCE
    return bool((near_crop & ~near_image).any())


def inclusive(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """The box as the reference has it: its maxima are the last pixels, not one beyond."""
    x0, y0, x1, y1 = box
    return (int(x0), int(y0), int(x1) - 1, int(y1) - 1)


def _ratio(shared: NDArray[np.float64], union: NDArray[np.float64]) -> NDArray[np.float64]:
    # Rounded to 32 bits, as the reference's is, before it is compared with a threshold of 64.
    ratio = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio.astype(np.float32).astype(np.float64)
