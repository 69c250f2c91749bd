import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segany.errors import InputError
from segany.geometry import batched_nms, box_iou, nms


@st.composite
def scored_boxes(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Boxes on a coarse grid, scores with many ties, and classes."""
    corner, side = st.integers(0, 6), st.integers(0, 6)
    rows = draw(st.lists(st.tuples(corner, corner, side, side, st.integers(0, 3), st.integers(0, 2)), max_size=14))
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1).astype(np.float64)
    return boxes, table[:, 4] / 4, table[:, 5]


def greedy(boxes: NDArray[np.float64], scores: NDArray[np.float64], threshold: float) -> list[int]:
    """The definition, box by box."""
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(box_iou(boxes[[index]], boxes[[other]])[0, 0] <= threshold for other in kept):
            kept.append(index)
    return kept


@given(scored_boxes(), st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0]))
def test_nms_equals_its_definition(
    case: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]], threshold: float
) -> None:
    boxes, scores, classes = case
    assert nms(boxes, scores, threshold).tolist() == greedy(boxes, scores, threshold)
    each = [np.flatnonzero(classes == label) for label in range(3)]
    expected = [int(rows[kept]) for rows in each for kept in greedy(boxes[rows], scores[rows], threshold)]
    expected.sort(key=lambda i: (-scores[i], i))
    assert batched_nms(boxes, scores, classes, threshold).tolist() == expected


def test_an_iou_equal_to_the_threshold_is_kept() -> None:
    boxes = [[0, 0, 2, 2], [0, 0, 2, 1]]
    assert nms(boxes, [0.9, 0.8], 0.5).tolist() == [0, 1]
    assert nms(boxes, [0.9, 0.8], 0.49).tolist() == [0]


def test_a_suppressed_box_suppresses_nothing() -> None:
    boxes = [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]
    assert nms(boxes, [0.9, 0.8, 0.7], 0.4).tolist() == [0, 2]


def test_float32_boxes_are_compared_as_float32_values_with_a_float64_threshold() -> None:
    # 7/10 as float32 is below 0.7 as float64, so it is not above the threshold.
    boxes = np.array([[0, 0, 10, 1], [0, 0, 7, 1]], dtype=np.float32)
    assert nms(boxes, [0.9, 0.8], 0.7).tolist() == [0, 1]
    # 6/10 as float32 is above 0.6 as float64.
    boxes[1, 2] = 6
    assert nms(boxes, [0.9, 0.8], 0.6).tolist() == [0]


def test_no_boxes_leave_none() -> None:
    assert nms([], [], 0.7).tolist() == []
    assert batched_nms([], [], [], 0.7).tolist() == []


def test_wrong_lengths_and_nan_scores_are_refused() -> None:
    with pytest.raises(InputError, match=r"one score per box, got \[1, 4\] and \[2\]"):
        nms([[0, 0, 1, 1]], [0.1, 0.2], 0.7)
    with pytest.raises(InputError, match=r"one class per box, got \[2\] classes for 1 boxes"):
        batched_nms([[0, 0, 1, 1]], [0.1], [1, 2], 0.7)
    with pytest.raises(InputError, match="scores that are numbers, got NaN"):
        nms([[0, 0, 1, 1]], [float("nan")], 0.7)
