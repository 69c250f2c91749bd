"""Instances files with problems, LVIS, and files larger than one would hold."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany.errors import RecordError
from segany.formats import _json_stream, coco, open_dataset
from segany.formats._coco_reading import Instances
from segany.formats.problems import Problem, ProblemLog
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Record

BOX = [5, 5, 25, 5, 25, 15, 5, 15]


def annotation(identity: int | str, image: int | str = 1, **values: Any) -> dict[str, Any]:
    return {"id": identity, "image_id": image, "category_id": 1, "segmentation": [BOX], "iscrowd": 0} | values


def image(identity: int | str, **values: Any) -> dict[str, Any]:
    return {"id": identity, "width": 60, "height": 40, "file_name": f"{identity}.jpg"} | values


def written(folder: Path, annotations: list[Any], images: list[Any] | None = None, **more: Any) -> Path:
    path = folder / "instances.json"
    document = {"annotations": annotations, "images": images or [image(1)], "categories": [{"id": 1, "name": "cat"}]}
    # allow_nan: files that Python wrote have it.
    path.write_text(json.dumps(document | more, ensure_ascii=False), encoding="utf-8")
    return path


def read(path: Path) -> tuple[list[Record], list[Problem]]:
    log = ProblemLog()
    return list(Instances(path, log).records()), list(log.kept)


EMPTY = RLE.from_counts(Size(40, 60), [2400]).to_coco()
SMALL = RLE.from_counts(Size(2, 2), [1, 3]).to_coco()
BAD = [
    (annotation(2, segmentation=SMALL), "wrong_size", "annotation 1 (id 2)", "its mask is 2x2"),
    (annotation(1), "duplicate_id", "annotation 1 (id 1)", "the id 1 is there twice."),
    (annotation(2, segmentation=[[1, 2, float("nan"), 4, 5, 6]]), "not_a_number", "annotation 1 (id 2)",
     "segmentation must be a list of finite numbers, got list that holds NaN or infinity."),
    (annotation(2, area=float("inf")), "not_a_number", "annotation 1 (id 2)", "area must be a finite number, got inf."),
    (annotation(2, segmentation=[]), "empty_mask", "annotation 1 (id 2)", "segmentation is an empty list"),
    (annotation(2, segmentation=[[1, 2, 3]]), "invalid", "annotation 1 (id 2)", "segmentation must be rings"),
    (annotation(2, segmentation={"size": [40, 60], "counts": "zzz"}), "invalid", "annotation 1 (id 2)", "segmentation"),
    (annotation(2, image=9), "missing_image", "annotation 1 (id 2)", "there is no image with its image_id 9."),
    (annotation(2, image_id=None), "invalid", "annotation 1", "image_id is missing."),
    (7, "invalid", "annotation 1", "must be an object, got 7."),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "kind", "key", "what"), BAD, ids=[f"{bad[1]}-{n}" for n, bad in enumerate(BAD)])
def test_a_bad_annotation_is_left_out_and_told(bad: Any, kind: str, key: str, what: str, tmp_path: Path) -> None:
    path = written(tmp_path, [annotation(1), bad, annotation(3)])
    (record,), problems = read(path)
    assert [each.id for each in record.annotations] == [1, 3]
    (problem,) = problems
    assert (problem.kind, problem.file) == (kind, str(path))
    assert problem.key.startswith(key.split(" (")[0])
    assert what in problem.what
    with pytest.raises(RecordError):
        list(coco.read_records(path))


def test_an_unknown_category_is_told_and_the_mask_kept_without_one(tmp_path: Path) -> None:
    (record,), (problem,) = read(written(tmp_path, [annotation(1, category_id=5), annotation(2)]))
    assert [each.category for each in record.annotations] == [None, "cat"]
    assert problem.kind == "unknown_category"
    assert problem.what == "there is no category with its category_id 5."


def test_a_bad_image_is_left_out_and_told(tmp_path: Path) -> None:
    images = [image(1, width=0), image(2), image(2), image(3, file_name=None), {"id": None}, image("ü")]
    records, problems = read(written(tmp_path, [annotation(1, image=2), annotation(2, image="ü")], images))
    assert [(record.image.image_id, len(record.annotations)) for record in records] == [(2, 1), ("ü", 1)]
    assert [problem.kind for problem in problems] == ["duplicate_id", "invalid", "invalid", "invalid"]
    assert [problem.key for problem in problems] == ["image 2 (id 2)", "image 4", "image 0 (id 1)", "image 3 (id 3)"]


def test_a_file_that_ends_too_early_gives_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    whole = json.dumps({"images": [image(1)], "annotations": [annotation(1), annotation(2)]})
    path.write_text(whole[: whole.index('"id": 2') + 20], encoding="utf-8")
    (record,), problems = read(path)
    assert [each.id for each in record.annotations] == [1]
    assert [problem.kind for problem in problems] == ["truncated", "unknown_category"]
    path.write_text("{nothing", encoding="utf-8")
    assert read(path)[0] == []
    assert [problem.kind for problem in read(path)[1]] == ["bad_json"]


def test_extra_fields_that_json_cannot_hold_are_dropped_so_that_the_rest_can_be_written(tmp_path: Path) -> None:
    path = written(tmp_path, [annotation(1, score={"a": [float("nan")]}, colour="red")])
    (record,), (problem,) = read(path)
    assert dict(record.annotations[0].extra) == {"colour": "red"}
    assert (problem.kind, problem.what) == ("not_a_number", "score holds NaN or infinity; it is left out.")
    coco.write_records([record], tmp_path / "out.json")


def test_lvis_fields_are_kept_both_ways(tmp_path: Path) -> None:
    fields = {"neg_category_ids": [4, 5], "not_exhaustive_category_ids": [1]}
    images = [image(397133, file_name=None, coco_url="http://host/val2017/000000397133.jpg", **fields)]
    categories = [{"id": 1, "name": "cat", "frequency": "r", "synset": "cat.n.01"}, {"id": 4, "name": "dog"}]
    path = written(tmp_path, [annotation(1, image=397133)], images, categories=categories)
    dataset = open_dataset(path, require_images=False)
    (record,) = dataset.records()
    assert dataset.format == "lvis"
    assert [(each.id, each.name, each.frequency) for each in dataset.categories] == [(1, "cat", "r"), (4, "dog", None)]
    assert record.image.file_name == "val2017/000000397133.jpg"
    assert {key: record.extra[key] for key in fields} == fields
    coco.write_records([record], tmp_path / "out.json")
    (back,) = coco.read_records(tmp_path / "out.json")
    assert dict(back.extra) == dict(record.extra)
    assert back.image == record.image


def test_the_region_to_ignore_survives(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), dtype=bool)
    mask[3:9, 4:8] = True
    region = RLE.from_mask(mask)
    record = Record(ImageInfo(1, "1.jpg", Size(40, 60)), (), region)
    coco.write_records([record], tmp_path / "out.json")
    (back,) = coco.read_records(tmp_path / "out.json")
    assert back.ignore == region


def test_the_file_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_json_stream, "_CHUNK_BYTES", 2**14)
    path = tmp_path / "instances.json"
    numbers = ",".join("12.25" for _ in range(2000))
    with path.open("w", encoding="utf-8") as file:
        file.write('{"annotations":[')
        for number in range(200):
            entry = json.dumps(annotation(number, number % 40))
            file.write(f'{"," if number else ""}{entry[:-1]},"extra":[{numbers}]}}')
        file.write(f'],"images":{json.dumps([image(number) for number in range(40)])}}}')
    assert path.stat().st_size > 2_400_000
    tracemalloc.start()
    try:
        seen = sum(len(record.annotations) for record in Instances(path, ProblemLog()).records())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen == 200
    # The document as Python's objects takes over 12 MB.
    assert peak < 2_000_000


def test_pixels_of_a_polygon_may_be_none(tmp_path: Path) -> None:
    path = written(tmp_path, [annotation(1, segmentation=EMPTY)])
    (record,), problems = read(path)
    assert isinstance(record.annotations[0], Annotation)
    assert (record.annotations[0].area, problems) == (0, [])
