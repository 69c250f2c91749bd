import numpy as np
import pytest
from numpy.typing import NDArray

from segany.errors import MaskError
from segany.geometry import Frame, Size
from segany.masks import RLE, upscale_logits
from segany.schema import Prediction


def logits(count: int = 3) -> NDArray[np.float32]:
    y, x = np.mgrid[:64, :64]
    discs = [20 - 4 * k - np.hypot(y - 24, x - 30) for k in range(count)]
    return np.stack(discs).astype(np.float32)


@pytest.fixture
def prediction() -> Prediction:
    frame = Frame.longest_side(Size(150, 200), 256)
    return Prediction(np.array([0.5, 0.9, 0.7], dtype=np.float32), logits(), frame)


def test_the_best_comes_first(prediction: Prediction) -> None:
    assert prediction.ranking.tolist() == [1, 2, 0]
    assert prediction.best_index == 1
    assert prediction.best() == prediction.rle(1)
    assert len(prediction) == 3


def test_of_equal_scores_the_first_is_best() -> None:
    scores = np.array([0.5, 0.5], dtype=np.float32)
    assert Prediction(scores, logits(2), Frame.longest_side(Size(9, 9), 256)).best_index == 0


def test_masks_are_the_logits_over_zero(prediction: Prediction) -> None:
    for index in range(3):
        whole = upscale_logits(prediction.low_res_logits[index], prediction.frame) > 0
        assert whole.shape == (150, 200)
        assert whole.any()
        assert np.array_equal(prediction.mask(index), whole)
        assert np.array_equal(prediction.masks()[index], whole)
        assert np.array_equal(prediction.logits(index) > 0, whole)
        assert prediction.rles()[index] == RLE.from_mask(whole)


def test_stability_is_the_iou_of_two_thresholds(prediction: Prediction) -> None:
    whole = prediction.logits(0)
    expected = (whole > 1).sum() / (whole > -1).sum()
    assert prediction.stability_score(0) == pytest.approx(expected)
    assert prediction.stability_score(0, offset=0) == 1
    assert 0 < prediction.stability_score(0, offset=5) < prediction.stability_score(0)


def test_stability_of_nothing() -> None:
    frame = Frame.longest_side(Size(9, 9), 256)
    assert Prediction(np.zeros(1, np.float32), np.full((1, 64, 64), -9, np.float32), frame).stability_score(0) == 0


@pytest.mark.parametrize("shape", [(2, 64, 64), (64, 64), (3, 1, 64, 64)])
def test_scores_and_logits_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(MaskError) as caught:
        Prediction(np.zeros(3, np.float32), np.zeros(shape, np.float32), Frame.longest_side(Size(9, 9), 256))
    assert str(caught.value) == f"a prediction needs logits [M, h, w] and M scores, got {list(shape)} and [3]."
