"""Boxes as prompts, on the fake backend and on a few medical images."""

from pathlib import Path

import numpy as np
import pytest

from segany import Predictor
from segany.evaluate import TrueObject, box_prompts
from segany.masks import RLE
from segany.predict.backends.fake import FakeBackend
from segany.settings import Settings


def test_iou_of_the_single_mask() -> None:
    y, x = np.ogrid[:256, :256]
    # The fake's single mask is a disc of 8 low-resolution pixels' radius round the box's first corner.
    disc = np.asarray((x - 100) ** 2 + (y - 60) ** 2 < 8**2)
    objects = [TrueObject("1", "g", np.zeros((256, 256), dtype=np.uint8), RLE.from_mask(disc))]
    scores = box_prompts.measure(Predictor(backend=FakeBackend()), objects)
    # Its centre is the box's corner, not the disc's: about a tenth of the two is common.
    assert scores.shape == (1,)
    assert 0.02 < scores[0] < 0.2


def test_filled_boxes() -> None:
    mask = np.zeros((10, 10), dtype=np.bool_)
    mask[2:6, 2:6] = True
    mask[2, 2:4] = False
    objects = [TrueObject("1", "g", Path("a"), RLE.from_mask(mask))]
    assert box_prompts.filled_boxes(objects).tolist() == [14 / 16]


def test_a_gain_is_paired() -> None:
    objects = [TrueObject(str(k), str(k), Path("a"), RLE.from_mask(np.ones((2, 2), dtype=np.bool_))) for k in range(3)]
    gain = box_prompts.gain(np.array([0.5, 0.7, 0.9]), np.array([0.4, 0.6, 0.8]), objects)
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.1, 0.1, 0.1))


# The hippocampus comes in crops of 35 by 50 pixels, far from what the model was trained on: see docs/medical.md.
@pytest.mark.parametrize(("name", "least"), [("hc18", 0.8), ("msd_hippocampus", 0.4)])
def test_lite_medsam_segments_what_the_box_holds(name: str, least: float) -> None:
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("SEGANY_DATA is not set: no annotated data")
    if name == "msd_hippocampus":
        pytest.importorskip("nibabel", reason="nibabel is not installed")
    objects = box_prompts.MEDICAL_SETS[name](data / name)[::7][:3]
    scores = box_prompts.measure(Predictor("lite_medsam", device="cpu", precision="float32"), objects)
    assert scores.mean() > least
