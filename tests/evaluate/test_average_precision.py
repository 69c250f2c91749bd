"""Average precision, checked against pycocotools' COCOeval."""

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
from segany.evaluate.average_precision import AveragePrecision, PrecisionScores
from segany.formats import coco
from segany.geometry import Size
from segany.masks.rle import RLE
from segany.predict.automatic.proposals import proposal_score
from segany.schema import Annotation, ImageInfo, Record
from segany.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:pycocotools")
SIZE = Size(150, 200)
NAMES = ("cat", "dog", "house")


def blob(rng: np.random.Generator) -> RLE:
    y, x = np.mgrid[: SIZE.height, : SIZE.width]
    radius = rng.uniform(1, [70, 90], 2)
    centre = rng.uniform(0, tuple(SIZE))
    return RLE.from_mask(((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2 < 1)


def jittered(rle: RLE, rng: np.random.Generator) -> RLE:
    return RLE.from_mask(np.roll(rle.to_mask(), tuple(rng.integers(-4, 5, 2)), (0, 1)))


def random_pair(number: int, rng: np.random.Generator, names: Sequence[str]) -> tuple[Record, Record]:
    """Objects, some of them crowds; masks near them, masks elsewhere, and masks that are exactly right, with ties."""
    info = ImageInfo(number, f"{number}.jpg", SIZE)
    objects = [blob(rng) for _ in range(int(rng.integers(0, 9)))]
    truth = [
        Annotation(k, rle, iscrowd=bool(rng.random() < 0.2), category=str(rng.choice(names)))
        for k, rle in enumerate(objects)
    ]
    masks = [jittered(rle, rng) for rle in objects for _ in range(2)] + objects[:4] + [blob(rng) for _ in range(3)]
    found = [
        Annotation(k, m, predicted_iou=round(rng.random(), 1), stability_score=0.5, category=str(rng.choice(names)))
        for k, m in enumerate(masks)
    ]
    return Record(info, tuple(found)), Record(info, tuple(truth))


def theirs(pairs: Sequence[tuple[Record, Record]], limit: int, by_category: bool, folder: Path) -> PrecisionScores:
    with contextlib.redirect_stdout(io.StringIO()):
        path = folder / "truth.json"
        coco.write_records((truth for _, truth in pairs), path)
        truths = COCO(str(path))
        by_name = {image["file_name"]: image["id"] for image in truths.imgs.values()}
        numbers = {category["name"]: category["id"] for category in truths.cats.values()}
        results: list[dict[str, Any]] = [
            {
                "image_id": by_name[found.image.file_name],
                "category_id": numbers.get(annotation.category, 99),
                "segmentation": annotation.segmentation.to_coco(),
                "score": proposal_score(annotation),
            }
            for found, _ in pairs
            for annotation in found.annotations
        ]
        evaluation = COCOeval(truths, truths.loadRes(results), "segm")
        evaluation.params.useCats = int(by_category)
        evaluation.params.maxDets = [limit]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0]

    def mean(values: Any) -> float:
        return float(np.mean(values[values > -1])) if (values > -1).any() else math.nan

    sizes = [mean(precision[..., area]) for area in (1, 2, 3)]
    return PrecisionScores(mean(precision[..., 0]), mean(precision[0, ..., 0]), mean(precision[5, ..., 0]), *sizes)


@pytest.mark.parametrize("by_category", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_random_images_give_cocoevals_numbers(seed: int, by_category: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    # COCOeval orders ties by category even where it does not look at them otherwise.
    pairs = [random_pair(number + 1, rng, NAMES if by_category else NAMES[:1]) for number in range(6)]
    for limit in (3, 100):
        metric = AveragePrecision(limit, by_category=by_category)
        for pair in pairs:
            metric.update(*pair)
        expected = theirs(pairs, limit, by_category, tmp_path)
        # The same numbers are summed in another order: nothing else may differ.
        np.testing.assert_allclose(metric.compute(), expected, rtol=0, atol=1e-14)
        assert 0 < expected.all < 1


def test_real_polygons_by_category(tmp_path: Path) -> None:
    data = Settings.from_environment().data
    if data is None:
        pytest.skip("SEGANY_DATA, the folder of annotated data, is not set")
    rng = np.random.default_rng(0)
    pairs = []
    for truth in islice(coco.read_records(data / "coco_val80" / "instances.json"), 25):
        found = [
            replace(each, id=k, segmentation=jittered(each.segmentation, rng), predicted_iou=rng.random(), area=-1)
            for k, each in enumerate(truth.annotations)
        ]
        pairs.append((Record(truth.image, tuple(found)), truth))
    metric = AveragePrecision(by_category=True)
    for pair in pairs:
        metric.update(*pair)
    np.testing.assert_allclose(metric.compute(), theirs(pairs, 100, True, tmp_path), rtol=0, atol=1e-14)


def test_by_hand() -> None:
    half = np.zeros(SIZE, dtype=bool)
    half[:100, :100] = True
    other = ~half
    info = ImageInfo(1, "a.jpg", SIZE)
    truth = Record(info, (Annotation(1, RLE.from_mask(half)), Annotation(2, RLE.from_mask(other))))
    part = half.copy()
    part[:26] = False
    wrong = Annotation(1, RLE.from_mask(np.roll(half, 70, 1)), predicted_iou=0.9)
    right = Annotation(2, RLE.from_mask(part), predicted_iou=0.8)
    metric = AveragePrecision()
    assert all(math.isnan(value) for value in metric.compute())
    metric.update(Record(info, (wrong, right)), truth)
    scores = metric.compute()
    # One of two objects at a precision of 1/2: recalls 0 to 0.5 are 51 of 101. An IoU of 0.74 passes five thresholds.
    assert scores.at_50 == pytest.approx(51 / 101 / 2)
    assert scores.at_75 == 0
    assert scores.all == pytest.approx(51 / 101 / 2 / 2)
    assert math.isnan(scores.small)
    metric.reset()
    metric.update(Record(info, (replace(right, predicted_iou=0.95), wrong)), truth)
    assert metric.compute().at_50 == pytest.approx(51 / 101)


def test_bad_input_says_what_was_wanted() -> None:
    with pytest.raises(ConfigError, match=r"^max_detections must be 1 or more, got 0\.$"):
        AveragePrecision(0)
    info = ImageInfo(1, "a.jpg", SIZE)
    other = replace(info, size=Size(4, 5), file_name="b.jpg")
    with pytest.raises(RecordError) as caught:
        AveragePrecision().update(Record(info), Record(other))
    assert str(caught.value) == (
        "two records of one image must have one size, got 150x200 (height x width) of a.jpg and 4x5 (height x width) "
        "of b.jpg."
    )
