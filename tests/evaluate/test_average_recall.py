"""Average recall, checked against pycocotools' COCOeval."""

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segany.errors import ConfigError, RecordError
from segany.evaluate.average_recall import AREA_RANGES, AverageRecall, RecallScores
from segany.formats import coco
from segany.geometry import Size
from segany.masks.rle import RLE
from segany.predict.automatic.proposals import proposal_score
from segany.schema import Annotation, ImageInfo, Record
from segany.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
SIZE = Size(150, 200)


def blob(rng: np.random.Generator, size: Size = SIZE) -> RLE:
    y, x = np.mgrid[: size.height, : size.width]
    radius = rng.uniform(1, [70, 90], 2)
    centre = rng.uniform(0, tuple(size))
    return RLE.from_mask(((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2 < 1)


def jittered(rle: RLE, rng: np.random.Generator) -> RLE:
    dy, dx = rng.integers(-6, 7, 2)
    return RLE.from_mask(np.roll(rle.to_mask(), (dy, dx), (0, 1)))


def random_pair(number: int, rng: np.random.Generator) -> tuple[Record, Record]:
    """Objects, some of them crowds; masks near them, masks elsewhere, and masks that are exactly right, with ties."""
    info = ImageInfo(number, f"{number}.jpg", SIZE)
    objects = [blob(rng) for _ in range(int(rng.integers(0, 9)))]
    truth = [Annotation(k, rle, iscrowd=bool(rng.random() < 0.2)) for k, rle in enumerate(objects)]
    masks = [jittered(rle, rng) for rle in objects for _ in range(3)] + objects[:2] + [blob(rng) for _ in range(4)]
    found = [Annotation(k, m, predicted_iou=round(rng.random(), 1), stability_score=0.5) for k, m in enumerate(masks)]
    return Record(info, tuple(found)), Record(info, tuple(truth))


def theirs(pairs: Sequence[tuple[Record, Record]], limits: Sequence[int], folder: Path) -> dict[int, RecallScores]:
    with contextlib.redirect_stdout(io.StringIO()):
        path = folder / "truth.json"
        coco.write_records((truth for _, truth in pairs), path)
        truths = COCO(str(path))
        by_name = {image["file_name"]: image["id"] for image in truths.imgs.values()}
        results: list[dict[str, Any]] = [
            {
                "image_id": by_name[found.image.file_name],
                "category_id": 1,
                "segmentation": annotation.segmentation.to_coco(),
                "score": proposal_score(annotation),
            }
            for found, _ in pairs
            for annotation in found.annotations
        ]
        evaluation = COCOeval(truths, truths.loadRes(results), "segm")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
    recall = evaluation.eval["recall"]
    scores = {}
    for place, limit in enumerate(limits):
        columns = [recall[:, 0, area, place] for area in range(len(AREA_RANGES))]
        scores[limit] = RecallScores(*(float(np.mean(c[c > -1])) if (c > -1).any() else math.nan for c in columns))
    return scores


def ours(pairs: Sequence[tuple[Record, Record]], limits: Sequence[int]) -> dict[int, RecallScores]:
    metric = AverageRecall(limits)
    for found, truth in pairs:
        metric.update(found, truth)
    return metric.compute()


@pytest.mark.parametrize("seed", range(6))
def test_random_images_give_exactly_cocoevals_numbers(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    pairs = [random_pair(number + 1, rng) for number in range(5)]
    limits = (1, 3, 10, 100)
    expected = theirs(pairs, limits, tmp_path)
    np.testing.assert_array_equal(list(ours(pairs, limits).values()), list(expected.values()))
    assert 0 < expected[1].all < expected[100].all < 1


def test_real_polygons_sort_objects_by_the_files_own_area(tmp_path: Path) -> None:
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("SEGANY_DATA, the folder of annotated data, is not set")
    rng = np.random.default_rng(0)
    pairs = []
    for truth in islice(coco.read_records(data / "coco_val80" / "instances.json"), 25):
        found = [
            Annotation(k, jittered(each.segmentation, rng), predicted_iou=rng.random())
            for k, each in enumerate(truth.annotations)
        ]
        pairs.append((Record(truth.image, tuple(found)), truth))
    limits = (1, 10, 100)
    expected = theirs(pairs, limits, tmp_path)
    np.testing.assert_array_equal(list(ours(pairs, limits).values()), list(expected.values()))


def test_what_can_be_told_by_hand() -> None:
    half = np.zeros(SIZE, dtype=bool)
    half[:100, :100] = True
    part = half.copy()
    part[:26, :] = False
    info = ImageInfo(1, "a.jpg", SIZE)
    truth = Record(info, (Annotation(1, RLE.from_mask(half)),))
    found = Record(info, (Annotation(1, RLE.from_mask(part), predicted_iou=0.9),))
    metric = AverageRecall([5])
    metric.update(found, truth)
    # An IoU of 0.74 passes 0.5 to 0.7: five of ten thresholds.
    (scores,) = metric.compute().values()
    assert (scores.all, scores.large) == (0.5, 0.5)
    assert math.isnan(scores.small)
    assert math.isnan(scores.medium)
    metric.update(Record(info), truth)
    assert metric.compute()[5].all == 0.25
    metric.reset()
    assert math.isnan(metric.compute()[5].all)


def test_the_rank_can_be_chosen() -> None:
    rng = np.random.default_rng(3)
    right, wrong = blob(rng), blob(rng)
    info = ImageInfo(1, "a.jpg", SIZE)
    truth = Record(info, (Annotation(1, right),))
    found = Record(info, (Annotation(1, wrong, predicted_iou=0.9), Annotation(2, right, predicted_iou=0.1)))
    assert ours([(found, truth)], [1])[1].all == 0
    metric = AverageRecall([1], score=lambda annotation: annotation.segmentation.iou(right))
    metric.update(found, truth)
    assert metric.compute()[1].all == 1


def test_bad_input_says_what_was_wanted() -> None:
    for limits in ([], [0, 10]):
        with pytest.raises(ConfigError) as caught:
            AverageRecall(limits)
        assert str(caught.value) == f"max_detections must be numbers from 1 up, got {limits}."
    info = ImageInfo(1, "a.jpg", SIZE)
    other = replace(info, size=Size(4, 5), file_name="b.jpg")
    with pytest.raises(RecordError) as wrong:
        AverageRecall().update(Record(info), Record(other))
    assert str(wrong.value) == (
        "two records of one image must have one size, got 150x200 (height x width) of a.jpg and 4x5 (height x width) "
        "of b.jpg."
    )
