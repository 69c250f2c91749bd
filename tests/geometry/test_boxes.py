import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segany.errors import InputError
from segany.geometry import (
    Size,
    box_area,
    box_intersection,
    box_iou,
    clip_boxes,
    half_open_to_inclusive,
    inclusive_to_half_open,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

SIDE = 8


@st.composite
def pixel_boxes(draw: st.DrawFn) -> NDArray[np.int64]:
    """[N, 4] boxes on a grid of 8 x 8 pixels; some of them empty."""
    sides = st.integers(0, SIDE)
    rows = draw(st.lists(st.tuples(sides, sides, sides, sides), max_size=5))
    boxes = np.array([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in rows], dtype=np.int64)
    return boxes.reshape(-1, 4)


def painted(boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
    masks = np.zeros((len(boxes), SIDE, SIDE), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


@given(pixel_boxes(), pixel_boxes())
def test_area_intersection_and_iou_equal_those_of_painted_pixels(a: NDArray[np.int64], b: NDArray[np.int64]) -> None:
    pixels_a, pixels_b = painted(a), painted(b)
    shared = (pixels_a[:, None] & pixels_b[None]).sum(axis=(2, 3))
    union = (pixels_a[:, None] | pixels_b[None]).sum(axis=(2, 3))
    np.testing.assert_array_equal(box_area(a), pixels_a.sum(axis=(1, 2)))
    np.testing.assert_array_equal(box_intersection(a, b), shared)
    np.testing.assert_array_equal(box_iou(a, b), np.where(union > 0, shared / np.maximum(union, 1), 0.0))


@given(pixel_boxes())
def test_xywh_and_inclusive_boxes_round_trip(boxes: NDArray[np.int64]) -> None:
    np.testing.assert_array_equal(xywh_to_xyxy(xyxy_to_xywh(boxes)), boxes)
    filled = boxes[box_area(boxes) > 0]
    np.testing.assert_array_equal(inclusive_to_half_open(half_open_to_inclusive(filled)), filled)


def test_xywh_holds_the_width_and_height() -> None:
    np.testing.assert_array_equal(xyxy_to_xywh([[2, 3, 10, 7]]), [[2, 3, 8, 4]])


def test_an_inclusive_box_names_the_last_pixel_and_an_empty_one_is_all_zeros() -> None:
    boxes = [[2, 3, 10, 7], [5, 5, 5, 9], [0, 0, 1, 1]]
    np.testing.assert_array_equal(half_open_to_inclusive(boxes), [[2, 3, 9, 6], [0, 0, 0, 0], [0, 0, 0, 0]])


@given(pixel_boxes())
def test_clipping_equals_cutting_the_pixels(boxes: NDArray[np.int64]) -> None:
    size = Size(5, 6)
    pixels = painted(boxes)
    pixels[:, size.height :] = False
    pixels[:, :, size.width :] = False
    np.testing.assert_array_equal(painted(np.asarray(clip_boxes(boxes, size))), pixels)


def test_a_box_outside_the_image_becomes_empty() -> None:
    clipped = clip_boxes([[-9.0, -9.0, -2.0, -3.0], [20.0, 1.0, 30.0, 2.0]], Size(5, 6))
    np.testing.assert_array_equal(box_area(clipped), [0, 0])


def test_small_integer_types_do_not_wrap_round() -> None:
    huge = np.array([[0, 0, 100_000, 100_000]], dtype=np.int32)
    assert box_area(huge).tolist() == [10**10]
    assert box_intersection(huge, huge).tolist() == [[10**10]]
    assert box_area(np.array([[5, 5, 3, 3]], dtype=np.uint8)).tolist() == [0]


def test_no_boxes_are_boxes() -> None:
    assert box_iou([], [[0, 0, 1, 1]]).shape == (0, 1)


@pytest.mark.parametrize("wrong", [[1, 2, 3], [["a", "b", "c", "d"]], 5])
def test_what_is_no_box_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match=r"boxes must be numbers of shape \[\.\.\., 4\], got shape"):
        box_area(wrong)  # type: ignore[arg-type]


def test_a_matrix_of_iou_needs_rows() -> None:
    with pytest.raises(InputError, match=r"boxes must have shape \[N, 4\] here, got \[4\]"):
        box_iou([0, 0, 1, 1], [[0, 0, 1, 1]])
