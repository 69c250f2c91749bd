import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from segany import Predictor, Prompt
from segany.errors import ConfigError
from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocol import Stages
from segany.evaluate.protocols import Clicks
from segany.evaluate.rows import read_case
from segany.evaluate.segmenter import PredictorSegmenter
from segany.masks import RLE, mask_iou
from segany.predict.backends.torch import TorchBackend
from segany.predict.simulate import next_click
from segany.schema import Annotation


def rows_of(protocol: Clicks, made: Path, segmenter: Any) -> list[dict[str, Any]]:
    items = EvaluationSet("made", made).items()
    return [dict(row) for item in items for row in protocol.rows(item, [segmenter], Stages())]


def test_a_row_for_each_object(made: Path, fake: PredictorSegmenter) -> None:
    rows = rows_of(Clicks(counts=(1, 3)), made, fake)
    assert [row["object"] for row in rows[:3]] == ["0", "1", "2"]
    assert len(rows) == 12
    assert rows[0].keys() >= {"iou_1", "oracle_1", "boundary_1", "score_1", "iou_3", "worsened", "failed", "size"}
    assert "iou_2" not in rows[0]


def test_the_first_answer_is_the_one_of_highest_score(made: Path, fake: PredictorSegmenter) -> None:
    row = rows_of(Clicks(counts=(1,)), made, fake)[0]
    item = next(EvaluationSet("made", made).items())
    truth = item.objects[0].segmentation.to_mask()
    depth = distance_transform_edt(np.pad(truth, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    prediction = fake.predictor.predict(fake.prepare(item.open()), Prompt(points=[(int(x), int(y))]))
    ious = mask_iou(prediction.masks(), truth)
    assert row["iou_1"] == pytest.approx(ious[prediction.best_index])
    assert row["oracle_1"] == pytest.approx(ious.max())
    assert row["score_1"] == pytest.approx(prediction.iou_predictions.max())


def test_what_a_picture_shows_is_kept(made: Path, fake: PredictorSegmenter) -> None:
    row = rows_of(Clicks(), made, fake)[0]
    item = next(EvaluationSet("made", made).items())
    case = read_case(row, item.record.image.size)
    assert case is not None
    assert case.truth == item.objects[0].segmentation
    assert case.answer.iou(case.truth) == pytest.approx(row["iou_1"])
    assert case.prompt is not None
    assert case.prompt.points is not None
    assert case.prompt.points.shape == (1, 2)


def test_the_loop_is_that_of_whole_masks_and_single_prompts(made: Path) -> None:
    """A plain second way through the protocol: one object, full-size masks, one prompt at a time, real weights."""
    from segany import weights
    from segany.model.checkpoint import load_sam

    backend = TorchBackend(load_sam(weights.path("mobile_sam")), device="cpu", precision="float32")
    predictor = Predictor(backend=backend)
    protocol = Clicks(counts=(1, 2, 3))
    whole = next(EvaluationSet("made", made).items())
    large, small, _ = (one.segmentation.to_mask() for one in whole.objects)
    half = large.copy()
    half[:, 30:] = False
    # What nobody would mean takes several clicks.
    annotations = [Annotation(k, RLE.from_mask(mask)) for k, mask in enumerate((large | small, half | small))]
    item = replace(whole, record=replace(whole.record, annotations=tuple(annotations)))
    rows = protocol.rows(item, [PredictorSegmenter("mobile_sam", predictor)], Stages())
    embedding = predictor.embed(item.open())
    assert min(int(str(row["clicks"])) for row in rows) == 3
    for annotation, row in zip(item.objects, rows, strict=True):
        truth = annotation.segmentation.to_mask()
        x, y, label = next_click(np.zeros_like(truth), truth) or pytest.fail("an object without a click")
        points, labels, logits = [(x, y)], [label], None
        for count in (1, 2, 3):
            prompt = Prompt(points=points, labels=labels, mask_logits=logits)
            prediction = predictor.predict(embedding, prompt, multimask=count == 1)
            mask = prediction.mask(prediction.best_index)
            assert row[f"iou_{count}"] == pytest.approx(float(mask_iou(mask, truth)), abs=1e-3)
            logits = prediction.low_res_logits[prediction.best_index]
            click = next_click(mask, truth)
            if click is None:
                break
            points, labels = [*points, (click.x, click.y)], [*labels, click.label]


def test_metrics_are_those_that_were_asked_for() -> None:
    assert list(Clicks(counts=(1, 5)).metrics()) == [
        "mIoU@1",
        "mIoU@5",
        "oracle@1",
        "boundary IoU@1",
        "boundary IoU@5",
        "failures@5",
        "made worse by a click",
    ]
    assert "oracle@5" in Clicks(counts=(1, 5), multimask="always").metrics()
    assert "oracle@1" not in Clicks(counts=(1, 5), multimask="never").metrics()
    assert Clicks(counts=(1, 5)).curve() == {1: "mIoU@1", 5: "mIoU@5"}


def test_settings_change_the_digest() -> None:
    digests = {Clicks().digest, Clicks(counts=(1,)).digest, Clicks(rule="deepest").digest}
    assert len(digests) == 3
    assert Clicks().digest == Clicks().digest


def test_a_mask_that_gets_worse_is_noticed(made: Path, fake: PredictorSegmenter) -> None:
    # Every answer of the fake is a disc round the first click; the size of the disc changes from three to one.
    rows = rows_of(Clicks(counts=(1, 2)), made, fake)
    assert [row["worsened"] for row in rows] == [row["iou_1"] - row["iou_2"] > 0.1 for row in rows]
    assert all(row["failed"] == (row["iou_2"] < 0.5) for row in rows)
    assert all(0 <= row["boundary_1"] <= 1 and not math.isnan(row["boundary_2"]) for row in rows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"counts": "0,3"}, "counts must be numbers of clicks from 1 up, got 0, 3."),
        ({"counts": "few"}, r"counts must be like \(1, 2, 3, 5, 9\), got 'few'."),
        ({"rule": "nearest"}, "rule must be one of largest, deepest, got 'nearest'."),
        ({"multimask": "no"}, "multimask must be one of first, always, never, got 'no'."),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Clicks.with_settings(settings)
