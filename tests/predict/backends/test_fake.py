import re

import numpy as np
import pytest
from numpy.typing import NDArray

from segany.errors import EmbeddingError
from segany.predict.backends.fake import FakeBackend
from segany.schema import PromptBatch


def click(x: float, y: float) -> PromptBatch:
    coords = np.array([[x, y], [0, 0]], dtype=np.float32)
    return PromptBatch((coords,), (np.array([1, -1], dtype=np.int32),), (None,))


def radius(logits: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.count_nonzero(logits > 0) / np.pi))


def test_masks_are_discs_round_the_click() -> None:
    backend = FakeBackend()
    (features,) = backend.encode([np.zeros((4, 4, 3), dtype=np.uint8)])
    scored = backend.score(features, click(511.5, 511.5))
    assert scored.iou_predictions.tolist() == [pytest.approx([0.6, 0.7, 0.8, 0.9])]
    logits = backend.low_res(scored, np.array([[0, 3], [0, 0], [0, 1], [0, 2]]))
    assert logits.shape == (4, 256, 256)
    assert logits.dtype == np.float32
    assert [radius(one) for one in logits] == pytest.approx([64, 8, 16, 32], abs=0.2)
    y, x = np.nonzero(logits[1] > 0)
    assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx((128, 128))


def test_features_differ_by_image_and_survive_numpy() -> None:
    backend = FakeBackend()
    dark, light = backend.encode([np.full((2, 3, 3), value, dtype=np.uint8) for value in (1, 200)])
    assert dark.to_numpy()["colour"].tolist() == [1, 1, 1]
    again = backend.features_from_numpy(light.to_numpy())
    np.testing.assert_array_equal(again.to_numpy()["colour"], light.to_numpy()["colour"])
    with pytest.raises(EmbeddingError, match=re.escape("the fake backend needs its colour; embed the image again.")):
        backend.features_from_numpy({})


def test_a_prompt_without_points_is_a_disc_in_the_middle() -> None:
    backend = FakeBackend()
    (features,) = backend.encode([np.zeros((4, 4, 3), dtype=np.uint8)])
    empty = PromptBatch((np.empty((0, 2), np.float32),), (np.empty(0, np.int32),), (np.zeros((256, 256), np.float32),))
    logits = backend.low_res(backend.score(features, empty), np.array([[0, 0]]))
    assert logits[0, 127, 127] > 0
    assert radius(logits[0]) == pytest.approx(8, abs=0.2)
