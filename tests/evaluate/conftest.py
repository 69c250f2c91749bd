"""A small annotated set, and who answers without weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany import Predictor
from segany.evaluate.segmenter import PredictorSegmenter
from segany.formats import coco
from segany.geometry import Size
from segany.masks import RLE
from segany.predict.backends.fake import FakeBackend
from segany.schema import Annotation, ImageInfo, Record

SIZE = Size(90, 120)
IMAGES = 4


def disc(x: int, y: int, radius: float) -> RLE:
    rows, columns = np.mgrid[: SIZE.height, : SIZE.width]
    return RLE.from_mask((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Four images in COCO's format: discs of three sizes and a crowd in each, and a column `place`."""
    folder = tmp_path / "made"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    records = []
    for number in range(IMAGES):
        masks = [disc(30 + number, 40, 20), disc(85, 45, 8), disc(100, 70, 5), disc(10, 80, 6)]
        pixels = rng.integers(100, 110, (*SIZE, 3), dtype=np.uint8)
        for mask, color in zip(masks, ((200, 40, 40), (40, 40, 200), (240, 240, 60), (20, 90, 20)), strict=True):
            pixels[mask.to_mask()] = color
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        annotations = [
            Annotation(10 * number + k, mask, category="cat" if k % 2 else "dog", iscrowd=k == 3)
            for k, mask in enumerate(masks)
        ]
        records.append(Record(ImageInfo(number, f"{number}.png", SIZE), tuple(annotations)))
    coco.write_records(records, folder / "instances.json")
    lines = ["image,place", *(f"{number}.png,{'north' if number < 2 else 'south'}" for number in range(IMAGES))]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def fake() -> PredictorSegmenter:
    """Discs round the first point, whatever the image."""
    return PredictorSegmenter("fake", Predictor(backend=FakeBackend()))


@pytest.fixture
def detections(tmp_path: Path) -> Path:
    """A detector's boxes for the set: for each image one whose corner the fake's disc matches, and two others."""
    path = tmp_path / "boxes.json"
    boxes = []
    for number in range(1, IMAGES + 1):
        for category, box, score in ((1, [100, 70, 12, 9], 0.9), (2, [70, 30, 30, 30], 0.4), (1, [60, 0, 50, 40], 0.7)):
            boxes.append({"image_id": number, "category_id": category, "bbox": box, "score": score})
    path.write_text(json.dumps(boxes), encoding="utf-8")
    return path
