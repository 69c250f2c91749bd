import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segany import Prompt
from segany.errors import RecordError
from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocol import Stages
from segany.evaluate.protocols import Boxes
from segany.evaluate.segmenter import PredictorSegmenter
from segany.masks import mask_iou
from segany.predict.simulate import true_box


def measured(protocol: Boxes, made: Path, segmenter: Any) -> tuple[list[dict[str, Any]], dict[str, float]]:
    metrics, rows = protocol.metrics(), []
    for item in EvaluationSet("made", made).items():
        own = protocol.rows(item, [segmenter], Stages())
        rows += [dict(row) for row in own]
        for metric in metrics.values():
            metric.update(own)
    return rows, {name: metric.value() for name, metric in metrics.items()}


def test_the_mask_of_a_tight_box(made: Path, fake: PredictorSegmenter) -> None:
    rows, figures = measured(Boxes(), made, fake)
    assert len(rows) == 12
    item = next(EvaluationSet("made", made).items())
    truth = item.objects[1].segmentation.to_mask()
    prediction = fake.predictor.predict(fake.prepare(item.open()), Prompt(box=true_box(truth)), multimask=False)
    assert rows[1]["iou_box"] == pytest.approx(float(mask_iou(prediction.mask(0), truth)))
    assert figures["mIoU, true boxes"] == pytest.approx(np.mean([row["iou_box"] for row in rows]))
    assert "AP" not in figures


def test_jitter_is_the_seeds(made: Path, fake: PredictorSegmenter) -> None:
    first, again, other = (
        [row["iou_jittered"] for row in measured(Boxes(jitter_seed=seed), made, fake)[0]] for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
def test_ap_is_that_of_pycocotools(made: Path, fake: PredictorSegmenter, detections: Path) -> None:
    _, figures = measured(Boxes(detections=str(detections)), made, fake)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(made / "instances.json"))
        results = []
        for item in EvaluationSet("made", made).items():
            embedding = fake.prepare(item.open())
            for one in json.loads(detections.read_text(encoding="utf-8")):
                if one["image_id"] == item.record.image.image_id:
                    x, y, width, height = one["bbox"]
                    box = np.clip([x, y, x + width, y + height], 0, [120, 90, 120, 90])
                    prediction = fake.predictor.predict(embedding, Prompt(box=box), multimask=False)
                    results.append({**one, "segmentation": prediction.rle(0).to_coco()})
        for result in results:
            del result["bbox"]
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large")
    for name, theirs in zip(names, evaluation.stats, strict=False):
        # pycocotools says -1 where there is nothing to find.
        assert figures[name] == pytest.approx(theirs if theirs >= 0 else float("nan"), nan_ok=True), name
    assert 0 < figures["AP50"] < 1


def test_the_report_says_where_boxes_are_from(detections: Path) -> None:
    assert Boxes().note().startswith("Box source: tight boxes of the true masks;")
    assert Boxes(detections=str(detections)).note().endswith("AP: the boxes of boxes.json.")


def test_another_file_is_another_protocol(detections: Path) -> None:
    before = Boxes(detections=str(detections)).digest
    moved = detections.rename(detections.with_name("boxes2.json")).rename(detections)
    assert Boxes(detections=str(moved)).digest == before
    detections.write_text("[]", encoding="utf-8")
    assert Boxes(detections=str(detections)).digest != before
    assert str(detections.parent) not in json.dumps(Boxes(detections=str(detections)).settings())


def test_the_metrics_of_a_report_can_be_had_without_the_file(detections: Path) -> None:
    settings = Boxes(detections=str(detections)).settings()
    assert "AP" in Boxes.restored(settings).metrics()
    assert "AP" not in Boxes.restored(Boxes().settings()).metrics()


def test_an_unknown_category_is_told(made: Path, fake: PredictorSegmenter, detections: Path) -> None:
    text = detections.read_text(encoding="utf-8").replace('"category_id": 2', '"category_id": 77')
    detections.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=r"boxes\.json: category 77 is none of the set's; correct the file\."):
        measured(Boxes(detections=str(detections)), made, fake)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it cannot be read as JSON"),
        ("{}", "detections must be a list, got dict"),
        ('[{"image_id": 1}]', "detection 0: wanted image_id, category_id, bbox"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3], "score": 1}]', "detection 0: wanted image_id"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, NaN], "score": 1}]', "detection 0: bbox and score"),
    ],
)
def test_files_that_hold_no_detections(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=message):
        Boxes(detections=str(path)).settings()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="it cannot be read as JSON"):
        Boxes(detections=str(tmp_path / "none.json")).note()
