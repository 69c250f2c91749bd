import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from segany.evaluate.segmenter import MaskCrop
from segany.evaluate.truth import BOUNDARY_RATIO, Truth
from segany.masks import RLE
from segany.predict.simulate import next_click

MASKS = arrays(np.bool_, (23, 31))
NO_CLICKS = np.zeros((0, 2), dtype=np.int64)


def crop_of(mask: NDArray[np.bool_]) -> MaskCrop:
    return MaskCrop.of(RLE.from_mask(mask))


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0


def band(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels within d of what is outside, chessboard distance: the definition, without a library's erosion of crops."""
    width = max(1, round(BOUNDARY_RATIO * float(np.hypot(*mask.shape))))
    padded = np.pad(mask, width)
    kernel = np.ones((2 * width + 1, 2 * width + 1), dtype=bool)
    inner = binary_erosion(padded, kernel)[width:-width, width:-width]
    return np.asarray(mask & ~inner)


@given(MASKS.filter(lambda mask: bool(mask.any())), MASKS)
def test_iou_in_windows_is_iou(truth: NDArray[np.bool_], answer: NDArray[np.bool_]) -> None:
    assert Truth(RLE.from_mask(truth)).iou(crop_of(answer)) == pytest.approx(iou(truth, answer))


@given(MASKS.filter(lambda mask: bool(mask.any())), MASKS)
def test_boundary_iou_in_windows_is_the_definition(truth: NDArray[np.bool_], answer: NDArray[np.bool_]) -> None:
    assert Truth(RLE.from_mask(truth)).boundary_iou(crop_of(answer)) == pytest.approx(iou(band(truth), band(answer)))


def test_boundary_iou_of_large_masks() -> None:
    rows, columns = np.mgrid[:300, :400]
    truth = (rows - 150) ** 2 + (columns - 200) ** 2 < 90**2
    answer = (rows - 150) ** 2 + (columns - 206) ** 2 < 95**2
    measured = Truth(RLE.from_mask(truth)).boundary_iou(crop_of(answer))
    assert measured == pytest.approx(iou(band(truth), band(answer)))
    assert measured < iou(truth, answer)


@given(MASKS.filter(lambda mask: bool(mask.any())), MASKS, MASKS)
def test_ignored_pixels_count_for_nothing(
    truth: NDArray[np.bool_], answer: NDArray[np.bool_], ignore: NDArray[np.bool_]
) -> None:
    measured = Truth(RLE.from_mask(truth), RLE.from_mask(ignore))
    assert measured.area == np.count_nonzero(truth & ~ignore)
    assert measured.iou(crop_of(answer)) == pytest.approx(iou(truth & ~ignore, answer & ~ignore))


@given(MASKS.filter(lambda mask: bool(mask.any())), MASKS, st.sampled_from(["largest", "deepest"]))
def test_the_next_click_is_that_of_the_whole_image(
    truth: NDArray[np.bool_], answer: NDArray[np.bool_], rule: str
) -> None:
    clicked = np.array([[3, 4], [10, 10]])
    for before in (NO_CLICKS, clicked):
        mine = Truth(RLE.from_mask(truth)).next_click(crop_of(answer), rule, before)  # type: ignore[arg-type]
        assert mine == next_click(answer, truth, rule, clicked=before)  # type: ignore[arg-type]


def test_no_click_goes_into_ignored_pixels() -> None:
    truth = np.zeros((20, 30), dtype=bool)
    truth[5:15, 5:15] = True
    answer = truth.copy()
    answer[5:15, 15:25] = True
    measured = Truth(RLE.from_mask(truth), RLE.from_mask(answer & ~truth))
    assert measured.next_click(crop_of(answer), "largest", NO_CLICKS) is None
    assert measured.iou(crop_of(answer)) == 1


def test_the_first_click_is_in_the_middle() -> None:
    truth = np.zeros((40, 60), dtype=bool)
    truth[11:22, 30:41] = True
    assert Truth(RLE.from_mask(truth)).first_click() == (35, 16)
