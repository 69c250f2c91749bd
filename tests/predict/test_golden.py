"""The reference's own answers, recorded by tools/compare_reference.py, against ours.

Scores, sampled logits, areas and the best mask of each prompt. The tolerances are wider than what one machine shows
(docs/parity.md), because another processor adds the same numbers in another order; a real change is far larger.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany import Predictor, Prompt, weights
from segany.masks.rle import RLE
from segany.settings import Settings

FOLDER = Path(__file__).parents[1] / "golden" / "predict"
RECORDS = sorted(FOLDER.glob("*.json"))
SAMPLES = {"coffee", "astronaut", "chelsea", "rocket"}

SCORE_TOLERANCE = 2e-4
LOGIT_TOLERANCE = 5e-3
BORDER_PIXELS = 20
# As tools/compare_reference.py samples them.
SAMPLED = slice(32, None, 64)


def photo_of(record: Path, name: str) -> Path:
    if record.stem in SAMPLES:
        return weights.sample(record.stem)
    data = Settings.from_environment().data
    if data is None:
        pytest.skip(f"{name} is read from SEGANY_DATA, which is not set")
    photo = data / "photos" / name
    if not photo.is_file():
        pytest.skip(f"SEGANY_DATA has no photos/{name}")
    return photo


def prompt_of(case: dict[str, Any], fed: dict[str, Any]) -> Prompt:
    logits = None if case["feed"] is None else fed[case["feed"]]
    return Prompt(points=case["points"], labels=case["labels"], box=case["box"], mask_logits=logits)


def test_there_are_records() -> None:
    assert {record.stem for record in RECORDS} > SAMPLES
    assert len(RECORDS) >= 8


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_the_answers_are_the_references(mobile_sam: Predictor, record: Path) -> None:
    golden = json.loads(record.read_text(encoding="utf-8"))
    embedding = mobile_sam.embed(photo_of(record, golden["photo"]))
    fed: dict[str, Any] = {}
    for case in golden["cases"]:
        prediction = mobile_sam.predict(embedding, prompt_of(case, fed), multimask=case["multimask"])
        fed[case["name"]] = prediction.low_res_logits[prediction.best_index]
        np.testing.assert_allclose(
            prediction.iou_predictions, case["scores"], rtol=0, atol=SCORE_TOLERANCE, err_msg=case["name"]
        )
        logits = prediction.low_res_logits[:, SAMPLED, SAMPLED].reshape(len(prediction), -1)
        np.testing.assert_allclose(logits, case["logits"], rtol=0, atol=LOGIT_TOLERANCE, err_msg=case["name"])
        areas = [rle.area for rle in prediction.rles()]
        np.testing.assert_allclose(areas, case["areas"], rtol=0, atol=BORDER_PIXELS, err_msg=case["name"])
        best, wanted = prediction.rle(case["best"]), RLE.from_coco(case["best_mask"])
        differing = np.count_nonzero(best.to_mask() != wanted.to_mask())
        assert differing <= BORDER_PIXELS, f"{case['name']}: {differing} pixels"


def test_the_published_click_on_the_truck() -> None:
    golden = json.loads((FOLDER / "truck.json").read_text(encoding="utf-8"))
    case = golden["cases"][0]
    assert (case["name"], case["points"]) == ("click", [[500.0, 375.0]])
    assert case["scores"] == pytest.approx([0.99454, 0.98836, 0.92472], abs=1e-5)
