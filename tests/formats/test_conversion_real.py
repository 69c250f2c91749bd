"""Round trips of annotated data: pixel by pixel, or as far as the format says that it loses."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from segany.formats import TARGETS, Dataset, Options, Target, convert, open_dataset, plan_conversion
from segany.formats.label_map import label_map
from segany.masks import RLE
from segany.schema import Record

SETS = [
    *("ade20k", "bbbc038", "bsdata", "bsds500", "coco_val80", "cvppp_a1", "davis2016", "drive", "grabcut", "hc18"),
    *("sav_example", "spacenet", "trashcan", "voc2007"),
]
PICTURES = ("labels", "voc")


class First(Dataset):
    """The first records of a data set."""

    def __init__(self, dataset: Dataset, count: int | None) -> None:
        self.__dict__.update(dataset.__dict__)
        self._count = count

    def records(self) -> Iterator[Record]:
        return islice(super().records(), self._count)


def stem(record: Record) -> str:
    return Path(record.image.file_name).with_suffix("").as_posix()


def expected(record: Record, to: Target) -> list[RLE]:
    """The masks that a format shows of a record, by what it says of its losses."""
    if to in ("coco", "sa1b", "labelme", "geojson", "parquet"):
        return [each.segmentation for each in record.annotations]
    objects = record.objects
    if to not in PICTURES:
        return [each.segmentation for each in objects]
    if to == "voc" and len(objects) > 254:
        largest = sorted(objects, key=lambda each: -each.area)[:254]
        objects = tuple(each for each in objects if each in largest)
    numbers = label_map(Record(record.image, objects))
    shown = [RLE.from_mask(np.ascontiguousarray(numbers == k)) for k in range(1, len(objects) + 1)]
    return [mask for mask in shown if mask.area]


def check_round_trip(dataset: Dataset, to: Target, folder: Path) -> None:
    plan = plan_conversion(dataset, Options(to, "reference", categories=dataset.categories))
    convert(dataset, folder, plan)
    back = open_dataset(folder, require_images=False)
    found = {stem(record): record for record in back.records()}
    assert not [problem for problem in back.problems if problem.kind != "missing_image"]
    count = lost = 0
    for record in dataset.records():
        count += 1
        wanted, there = expected(record, to), [each.segmentation for each in found[stem(record)].annotations]
        if to in ("sav", *PICTURES):
            # Sorted by number there.
            wanted, there = (sorted(masks, key=lambda mask: mask.counts) for masks in (wanted, there))
        assert there == wanted, record.image.file_name
        lost += sum(each.area for each in record.objects) - sum(mask.area for mask in wanted)
    assert count == plan.records == len(found)
    said = [loss for loss in plan.losses if loss.field in ("overlap", "objects beyond 254")]
    assert (to in PICTURES and lost > 0) == bool(said)
    if to == "labels" and lost:
        assert f"lose {lost:,} pixels to smaller masks" in said[0].fate


def convertible(dataset: Dataset, to: Target) -> bool:
    if to == "sav":
        return dataset.format in ("davis", "sav")
    # Without images, nothing tells YOLO's readers their size.
    return not (to == "yolo" and dataset.format == "sav")


@pytest.mark.parametrize("name", SETS)
def test_a_few_records_of_each_set(name: str, annotated_data: Path, tmp_path: Path) -> None:
    dataset = First(open_dataset(annotated_data / name, require_images=False), 1)
    for to in TARGETS:
        if convertible(dataset, to):
            check_round_trip(dataset, to, tmp_path / to)


@pytest.mark.soak
@pytest.mark.parametrize("name", SETS)
def test_every_record_of_each_set(name: str, annotated_data: Path, tmp_path: Path) -> None:
    dataset = open_dataset(annotated_data / name, require_images=False)
    for to in TARGETS:
        if convertible(dataset, to):
            check_round_trip(dataset, to, tmp_path / to)
