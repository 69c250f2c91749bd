import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pycocotools import mask as coco
from scipy import ndimage

from segany.errors import MaskError
from segany.geometry import Size
from segany.masks import RLE, boundary, boundary_iou, mask_iou, mask_iou_matrix, rle_iou_matrix

Mask = NDArray[np.bool_]


@st.composite
def two_stacks(draw: st.DrawFn) -> tuple[Mask, Mask]:
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    return (
        draw(hnp.arrays(np.bool_, (draw(st.integers(0, 4)), height, width))),
        draw(hnp.arrays(np.bool_, (draw(st.integers(0, 4)), height, width))),
    )


def by_definition(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


@given(two_stacks())
def test_three_ways_to_the_same_iou(stacks: tuple[Mask, Mask]) -> None:
    a, b = stacks
    expected = np.array([[by_definition(x, y) for y in b] for x in a]).reshape(len(a), len(b))
    np.testing.assert_array_equal(mask_iou_matrix(a, b), expected)
    np.testing.assert_array_equal(mask_iou(a[:, None], b[None]), expected)
    rles_a, rles_b = [RLE.from_mask(x) for x in a], [RLE.from_mask(y) for y in b]
    np.testing.assert_array_equal(rle_iou_matrix(rles_a, rles_b), expected)


@given(two_stacks(), st.data())
def test_crowds_are_those_of_pycocotools(stacks: tuple[Mask, Mask], data: st.DataObject) -> None:
    a, b = ([RLE.from_mask(mask) for mask in stack] for stack in stacks)
    crowd = data.draw(st.lists(st.booleans(), min_size=len(b), max_size=len(b)))
    if a and b:
        expected = coco.iou([rle.to_coco() for rle in a], [rle.to_coco() for rle in b], [int(flag) for flag in crowd])
        np.testing.assert_array_equal(rle_iou_matrix(a, b, crowd), expected)


def test_counts_beyond_the_exact_numbers_of_float32_stay_exact() -> None:
    masks = np.ones((2, 4097, 4097), dtype=bool)
    masks[1, 0, 0] = False
    assert mask_iou_matrix(masks[:1], masks[1:])[0, 0] == (4097**2 - 1) / 4097**2


def test_two_empty_masks_have_no_overlap() -> None:
    empty = np.zeros((3, 3), dtype=bool)
    assert mask_iou(empty, empty) == 0
    assert boundary_iou(empty, empty) == 0


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.sampled_from([0.02, 0.05, 0.1]))
def test_a_boundary_is_what_repeated_erosion_takes_away(mask: Mask, ratio: float) -> None:
    times = max(1, round(ratio * float(np.hypot(*mask.shape))))
    eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=times, border_value=0)
    np.testing.assert_array_equal(boundary(mask, ratio), mask & ~eroded)


def test_boundary_iou_punishes_a_shifted_edge_more_than_mask_iou() -> None:
    a, b = np.zeros((400, 300), dtype=bool), np.zeros((400, 300), dtype=bool)
    a[50:350, 50:250] = True
    b[50:350, 55:255] = True
    # A diagonal of 500 pixels gives a boundary of 10.
    ring, moved = np.zeros_like(a), np.zeros_like(b)
    ring[50:350, 50:250], ring[60:340, 60:240] = True, False
    moved[50:350, 55:255], moved[60:340, 65:245] = True, False
    np.testing.assert_array_equal(boundary(a), ring)
    assert boundary_iou(a, b) == by_definition(ring, moved)
    assert boundary_iou(a, b) < 0.7 < 0.95 < mask_iou(a, b)


def test_wrong_arguments_are_refused() -> None:
    mask = np.ones((2, 3), dtype=bool)
    with pytest.raises(MaskError, match=r"one height and width, got \[2, 3\] and \[3, 2\]"):
        mask_iou(mask, mask.T)
    with pytest.raises(MaskError, match="must be bool arrays, got bool and uint8"):
        mask_iou(mask, mask.astype(np.uint8))
    with pytest.raises(MaskError, match=r"pairwise IoU needs masks \[N, H, W\], got \[2, 3\]"):
        mask_iou_matrix(mask, mask)
    with pytest.raises(MaskError, match="dilation ratio must be above 0, got 0"):
        boundary(mask, 0)
    rle, other = RLE.from_mask(mask), RLE.from_counts(Size(5, 5), [25])
    with pytest.raises(MaskError, match=r"one size to be compared, got 2x3 .* and 5x5"):
        rle_iou_matrix([rle], [other])
    with pytest.raises(MaskError, match=r"one crowd flag for each of 1 true masks, got \[2\]"):
        rle_iou_matrix([rle], [rle], [True, False])
