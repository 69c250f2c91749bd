import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from segany.errors import MaskError
from segany.masks import mask_iou, stability_score


@given(
    hnp.arrays(np.float32, (2, 3, 4, 5), elements=st.floats(-4, 4, width=32)),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([0.0, 1.0, 1.5]),
)
def test_stability_is_the_iou_of_the_two_thresholded_masks(
    logits: NDArray[np.float32], threshold: float, offset: float
) -> None:
    expected = mask_iou(logits > threshold + offset, logits > threshold - offset)
    np.testing.assert_array_equal(stability_score(logits, threshold, offset), expected)


def test_a_steep_edge_is_stable_and_a_slope_is_not() -> None:
    step = np.where(np.arange(100) < 50, 9.0, -9.0).reshape(1, 100)
    slope = np.linspace(2, -2, 100).reshape(1, 100)
    assert stability_score(step) == 1.0
    assert stability_score(slope) == 25 / 75


def test_a_mask_that_is_nowhere_is_not_stable() -> None:
    assert stability_score(np.full((2, 4, 4), -5.0)).tolist() == [0.0, 0.0]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(MaskError, match=r"logits \[\.\.\., h, w\], got \[4\]"):
        stability_score(np.zeros(4))
    with pytest.raises(MaskError, match="offset must be 0 or more, got -1"):
        stability_score(np.zeros((4, 4)), offset=-1)
