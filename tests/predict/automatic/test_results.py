import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.errors import ConfigError
from segany.formats import coco, label_map, sa1b
from segany.masks.rle import RLE
from segany.predict.automatic import Item, ResultFolder
from segany.schema import Annotation, Image, Record
from segany.sources import open_image

SETTINGS: dict[str, Any] = {
    "mode": "full",
    "points_per_side": 32,
    "point_grids": ((0.5, 0.5),),
    "model_digest": "a" * 64,
}


@pytest.fixture
def item(tmp_path: Path) -> Item:
    path = tmp_path / "a.png"
    PillowImage.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    return Item("deeper/a", path)


@pytest.fixture
def image(item: Item) -> Image:
    return open_image(item.path)


def record_of(image: Image) -> Record:
    mask = np.zeros(image.size, dtype=bool)
    mask[5:20, 10:30] = True
    small = np.zeros(image.size, dtype=bool)
    small[8:12, 12:16] = True
    return Record(image.info, (Annotation(0, RLE.from_mask(mask)), Annotation(1, RLE.from_mask(small))))


def test_the_record_is_written_last_and_is_what_counts(item: Item, image: Image, tmp_path: Path) -> None:
    sink = ResultFolder(tmp_path / "out", SETTINGS)
    assert not sink.resume(item)
    sink.write(item, image, record_of(image))
    first = sink.record_path(item).read_bytes()
    assert [path.name for path in (tmp_path / "out" / "deeper").iterdir() if path.suffix != ".png"] == ["a.json"]
    with PillowImage.open(sink.overlay_path(item)) as picture:
        assert picture.size == (40, 30)
    assert sink.resume(item)
    sink.check([item])
    sink.write(item, image, record_of(image))
    assert sink.record_path(item).read_bytes() == first
    assert json.loads(first)["segany"]["everything"]["points_per_side"] == 32
    assert len(sa1b.read_record(sink.record_path(item)).annotations) == 2


def test_a_large_overlay_is_shrunk(tmp_path: Path) -> None:
    image = open_image(np.zeros((30, 4100, 3), dtype=np.uint8))
    sink, item = ResultFolder(tmp_path, SETTINGS), Item("wide", tmp_path / "wide.png")
    sink.write(item, image, Record(image.info))
    with PillowImage.open(sink.overlay_path(item)) as picture:
        assert picture.size == (2048, 15)


def test_label_maps_are_made_from_records_that_are_there(item: Item, image: Image, tmp_path: Path) -> None:
    ResultFolder(tmp_path / "out", SETTINGS).write(item, image, record_of(image))
    sink = ResultFolder(tmp_path / "out", SETTINGS, "png")
    labels = tmp_path / "out" / "deeper" / "a.labels.png"
    assert not labels.exists()
    assert sink.resume(item)
    assert [annotation.area for annotation in label_map.read_record(labels).annotations] == [300 - 16, 16]
    labels.unlink()
    sink.write(item, image, record_of(image))
    assert labels.exists()


def test_instances_hold_every_photo_that_has_a_record(item: Item, image: Image, tmp_path: Path) -> None:
    sink = ResultFolder(tmp_path / "out", SETTINGS, "coco")
    sink.write(item, image, record_of(image))
    path = sink.write_instances([item, Item("failed", tmp_path / "failed.png")])
    assert path == tmp_path / "out" / "instances.json"
    (record,) = coco.read_records(path)
    assert record.image == image.info
    assert [annotation.area for annotation in record.annotations] == [300, 16]


def refusal(sink: ResultFolder, item: Item) -> str:
    with pytest.raises(ConfigError) as caught:
        sink.check([item])
    with pytest.raises(ConfigError) as again:
        sink.resume(item)
    assert str(caught.value) == str(again.value)
    return str(caught.value).replace(str(sink.record_path(item)), "RECORD")


def test_results_of_other_settings_or_photos_are_refused_unless_they_may_be_replaced(
    item: Item, image: Image, tmp_path: Path
) -> None:
    advice = "; choose another --out, or give --overwrite."
    sink = ResultFolder(tmp_path / "out", SETTINGS)
    sink.write(item, image, record_of(image))
    other = ResultFolder(tmp_path / "out", SETTINGS | {"points_per_side": 16, "model_digest": "b" * 64})
    assert refusal(other, item) == (
        "RECORD was made with other settings (points_per_side 32, now 16, model_digest aaaaaaaaaaaa, now bbbbbbbbbbbb)"
        + advice
    )
    moved = Item(item.name, tmp_path / "b.png")
    PillowImage.new("RGB", (40, 30)).save(moved.path)
    assert refusal(sink, moved) == f"RECORD was made from another photo than {moved.path}{advice}"
    sa1b.write_record(record_of(image), sink.record_path(item))
    assert refusal(sink, item) == f"RECORD was not made by `segany everything`{advice}"
    sink.record_path(item).write_text("[1")
    assert refusal(sink, item) == f"RECORD cannot be read{advice}"
    replacing = ResultFolder(tmp_path / "out", SETTINGS, overwrite=True)
    replacing.check([item])
    assert not replacing.resume(item)
    replacing.write(item, image, record_of(image))
    assert replacing.resume(item)
    assert sink.resume(item)


def test_bad_values_say_what_was_wanted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^format must be one of sa1b, coco, png, got 'yolo'\.$"):
        ResultFolder(tmp_path, {}, "yolo")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^the results of x\.jpg would be .*instances\.json; rename the photo\.$"):
        ResultFolder(tmp_path, {}, "coco").check([Item("instances", Path("x.jpg"))])
