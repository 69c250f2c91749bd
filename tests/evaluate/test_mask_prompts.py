"""The protocol on the fake backend, and its claim on real objects: a rough mask helps."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany import Predictor
from segany.evaluate import ROUGHENINGS, TrueObject, coco_objects, mask_prompts, stratified
from segany.evaluate.mask_prompts import METHODS, MaskPromptScores, constant_logits
from segany.geometry import Frame, Size
from segany.masks import RLE
from segany.predict.backends.fake import FakeBackend
from segany.settings import Settings


def test_constant_logits_lie_where_the_mask_is() -> None:
    mask = np.zeros((60, 80), dtype=np.bool_)
    mask[15:30, 20:40] = True
    logits = constant_logits(mask, Frame.longest_side(Size(480, 640), 1024), 256, 20.0)
    assert set(np.unique(logits)) == {-20, 20}
    assert RLE.from_mask(logits > 0).box == (64, 48, 128, 96)


@pytest.fixture
def scores(tmp_path: Path) -> MaskPromptScores:
    path = tmp_path / "a.png"
    Image.new("RGB", (200, 160)).save(path)
    y, x = np.ogrid[:160, :200]
    masks = [(x - 90) ** 2 + (y - 70) ** 2 < radius**2 for radius in (12, 40)]
    objects = [TrueObject(str(k), "a.png", path, RLE.from_mask(np.asarray(m))) for k, m in enumerate(masks)]
    done: list[tuple[int, int]] = []
    result = mask_prompts.measure(
        Predictor(backend=FakeBackend()), objects, progress=lambda k, total: done.append((k, total))
    )
    assert done == [(1, 1)]
    return result


def test_every_answer_is_measured(scores: MaskPromptScores) -> None:
    assert scores.iou.shape == (2, len(ROUGHENINGS), len(METHODS), 2)
    assert ((scores.iou >= 0) & (scores.iou <= 1)).all()
    # The rough mask itself is what it is, with or without a click.
    np.testing.assert_array_equal(scores.iou[0, :, 0], scores.iou[1, :, 0])
    assert scores.mean(False, "eroded", "the mask itself").mean == pytest.approx(0.81, abs=0.04)


def test_a_gain_is_paired(scores: MaskPromptScores) -> None:
    gain = scores.gain(True, "shifted", "its box").mean
    ours, other = (scores.mean(True, "shifted", method).mean for method in ("segany", "its box"))
    assert gain == pytest.approx(ours - other)


def test_the_table_and_the_document_have_everything(scores: MaskPromptScores) -> None:
    lines = mask_prompts.table(scores).splitlines()
    assert lines[0] == "| prompt | 1/8 resolution | eroded | dilated | shifted |"
    assert len(lines) == 2 + 2 * len(METHODS) - 1 + 2 * (len(METHODS) - 1)
    document = json.loads(mask_prompts.as_json(scores))
    assert (document["model"], document["n"]) == ("fake", 2)
    assert len(document["answers"]) == 2 * len(ROUGHENINGS) * len(METHODS)


def test_the_command_asks_for_data(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGANY_DATA", raising=False)
    with pytest.raises(SystemExit):
        mask_prompts.main([])
    assert "name the data: --data FOLDER, or set SEGANY_DATA" in capsys.readouterr().err


def test_rough_masks_help() -> None:
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("SEGANY_DATA is not set: no annotated data")
    # Large enough that a few suffice; docs/mask-prompts.md has 200 of all sizes.
    objects = stratified(coco_objects(data / "coco_val80"), 6, min_area=3000)
    scores = mask_prompts.measure(Predictor("mobile_sam", device="cpu", precision="float32"), objects)
    mean = scores.iou.mean(axis=(1, 3))
    for click in (0, 1):
        by_method = dict(zip(METHODS, mean[click], strict=True))
        ours = by_method.pop("segany")
        assert all(ours > other for other in by_method.values()), by_method
