"""The decoder of SAM ViT-H on its own published features."""

import pytest

from segany.evaluate import half_precision
from segany.evaluate.half_precision import PUBLISHED_FEATURES, published_features_agreement


def test_bfloat16_keeps_masks_and_float32_is_the_published_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half_precision, "_CLICKS", 2)
    found = published_features_agreement("cpu")
    assert list(found) == list(PUBLISHED_FEATURES)
    for one in found.values():
        assert one["clicks"] == 4
        assert one["mask_iou"] > 0.97
        assert one["published_iou"] > 0.999
