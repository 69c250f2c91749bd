"""The everything protocol: equal to the metrics that are checked against COCOeval, and by hand."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segany.errors import ConfigError
from segany.evaluate.average_precision import AveragePrecision
from segany.evaluate.average_recall import AverageRecall
from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocol import Stages
from segany.evaluate.protocols import Everything
from segany.evaluate.protocols.everything import GridFinder
from segany.evaluate.run import evaluate
from segany.evaluate.segmenter import PredictorSegmenter
from segany.evaluate.subjects import SubjectSpec
from segany.masks import RLE
from segany.predict.automatic import GridSettings, Thresholds, rank
from segany.schema import Annotation, Image, ImageInfo, Record


class Known:
    """Finds given masks."""

    name = digest = "known"
    about: Mapping[str, str] = {}

    def __init__(self, masks: Mapping[str, tuple[Annotation, ...]]) -> None:
        self._masks = masks

    def find(self, image: Image) -> Record:
        return Record(image.info, self._masks[image.info.file_name])


def guesses(record: Record, rng: np.random.Generator) -> tuple[Annotation, ...]:
    """Moved objects, objects as they are, and noise; scores with ties."""
    masks = [
        RLE.from_mask(np.roll(one.segmentation.to_mask(), tuple(rng.integers(-3, 4, 2)), (0, 1)))
        for one in record.annotations
        for _ in range(3)
    ]
    masks += [one.segmentation for one in record.annotations[::2]]
    masks += [RLE.from_mask(rng.random(record.image.size) > 0.5)]
    return tuple(
        Annotation(k, mask, predicted_iou=round(float(rng.random()), 1), stability_score=0.9)
        for k, mask in enumerate(masks)
    )


def test_recall_and_precision_are_cocos(made: Path) -> None:
    rng = np.random.default_rng(1)
    items = list(EvaluationSet("made", made, unit="image").items())
    finder = Known({item.key: guesses(item.record, rng) for item in items})
    protocol = Everything()
    metrics = protocol.metrics()
    recall, precision = AverageRecall(), AveragePrecision()
    for item in items:
        rows = protocol.rows(item, [finder], Stages())
        for metric in metrics.values():
            metric.update(rows)
        found = rank(finder.find(item.open()))
        recall.update(replace(found, image=item.record.image), item.record)
        precision.update(replace(found, image=item.record.image), item.record)
    for limit, scores in recall.compute().items():
        assert metrics[f"AR@{limit}"].value() == pytest.approx(scores.all, abs=1e-14)
    assert 0 < recall.compute()[1].all < recall.compute()[10].all
    for area in ("small", "medium"):
        assert metrics[f"AR@1000 {area}"].value() == pytest.approx(getattr(recall.compute()[1000], area), abs=1e-14)
    assert np.isnan(metrics["AR@1000 large"].value())
    assert metrics["AP"].value() == precision.compute().all
    assert metrics["AP50"].value() == precision.compute().at_50


def test_coverage_and_duplicates_by_hand(made: Path) -> None:
    item = next(EvaluationSet("made", made, unit="image").items())
    height, width = item.record.image.size
    half = np.zeros((height, width), dtype=bool)
    half[:, : width // 2] = True
    nearly = half.copy()
    nearly[0] = False
    quarter = half & (np.arange(height) < height // 2)[:, None]
    masks = tuple(
        Annotation(k, RLE.from_mask(mask), predicted_iou=0.9 - k / 10) for k, mask in enumerate((half, nearly, quarter))
    )
    (row,) = Everything().rows(item, [Known({item.key: masks})], Stages())
    drawn = np.any([one.segmentation.to_mask() for one in item.record.annotations], axis=0)
    assert row["masks"] == 3
    assert row["duplicates"] == 1
    assert row["coverage"] == 0.5
    assert row["object_coverage"] == np.count_nonzero(drawn & half) / np.count_nonzero(drawn)
    assert isinstance(row["seconds"], float)
    (nothing,) = Everything().rows(item, [Known({item.key: ()})], Stages())
    assert (nothing["masks"], nothing["duplicates"], nothing["coverage"], nothing["object_coverage"]) == (0, 0, 0, 0)
    assert nothing["found_1000_all"] == 0


def test_a_model_is_clicked_on_a_grid(made: Path, fake: PredictorSegmenter) -> None:
    grid = GridSettings(points_per_side=3, floor=0.0)
    finder = GridFinder(fake, grid, Thresholds(pred_iou_thresh=0.0, stability_score_thresh=0.0))
    item = next(EvaluationSet("made", made, unit="image").items())
    (row,) = Everything().rows(item, [finder], Stages())
    assert isinstance(row["masks"], int)
    assert 0 < row["masks"] <= 27
    # Discs of 64 cells' radius reach nearly everywhere.
    assert isinstance(row["coverage"], float)
    assert row["coverage"] > 0.6


def test_baselines_that_find_masks_are_measured_too(made: Path) -> None:
    evaluation = evaluate(Everything(), [EvaluationSet("made", made, unit="image")], [SubjectSpec.parse("otsu")])
    scores = evaluation.results[0].scores()
    assert scores.images == 4
    assert scores.metrics["AR@1000"].mean > 0.2
    assert scores.metrics["masks an image"].mean >= 1
    with pytest.raises(ConfigError) as caught:
        Everything().open_subject(SubjectSpec.parse("grabcut"))
    assert str(caught.value) == "grabcut answers prompts only; of the baselines, otsu finds masks."


def test_image_info_does_not_have_to_be_the_same_object(made: Path) -> None:
    item = next(EvaluationSet("made", made, unit="image").items())
    other = ImageInfo("x", "x.png", item.record.image.size)
    masks = tuple(replace(one, iscrowd=False, predicted_iou=0.5) for one in item.record.annotations)

    class Elsewhere(Known):
        def find(self, image: Image) -> Record:
            return Record(other, masks)

    (row,) = Everything().rows(item, [Elsewhere({})], Stages())
    assert row["found_1000_all"] == row["objects_all"] == 3
