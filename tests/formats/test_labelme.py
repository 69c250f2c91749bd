"""LabelMe's files: what it writes, and what it never would."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.errors import RecordError
from segany.formats import open_dataset
from segany.formats.labelme import record_from_json
from segany.formats.problems import ProblemLog

SQUARE = [[2, 3], [12, 3], [12, 9], [2, 9]]


def png(pixels: Any, mode: str = "1") -> str:
    content = io.BytesIO()
    PillowImage.fromarray(np.asarray(pixels, dtype=np.uint8) * 255).convert(mode).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def shape(**values: Any) -> dict[str, Any]:
    return {"label": "cup", "points": SQUARE, "group_id": None, "shape_type": "polygon", "flags": {}} | values


def document(*shapes: Any, **values: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.png",
        "imageData": None,
    }
    return whole | {"imageHeight": 40, "imageWidth": 60} | values


def areas(*shapes: Any) -> list[tuple[int | str, str | None, int]]:
    record = record_from_json(document(*shapes), "a.json", "a.png")
    return [(each.id, each.category, each.area) for each in record.annotations]


def test_shapes_are_masks() -> None:
    rectangle = shape(shape_type="rectangle", points=[[20, 20], [10, 10]])
    circle = shape(shape_type="circle", points=[[30, 20], [30, 30]], label="ball")
    picture = shape(shape_type="mask", points=[[5.0, 6.0], [7, 7]], mask=png([[1, 0, 1], [1, 1, 1]]))
    found = areas(shape(), rectangle, circle, picture)
    assert found[:2] == [(1, "cup", 60), (2, "cup", 100)]
    assert found[2][:2] == (3, "ball")
    assert abs(found[2][2] - np.pi * 100) < 5
    assert found[3] == (4, "cup", 5)


def test_shapes_of_a_group_are_parts_of_one_object() -> None:
    other = [[30, 3], [40, 3], [40, 9], [30, 9]]
    found = areas(shape(group_id=1), shape(group_id=1, points=other), shape(group_id=1, label="saucer"), shape())
    assert found == [(1, "cup", 120), (2, "saucer", 60), (3, "cup", 60)]


def test_a_shape_that_was_copied_gets_an_id_of_its_own() -> None:
    own = {"id": "m1", "predicted_iou": 0.5}
    record = record_from_json(document(shape(segany=own), shape(segany=own)), "a.json", "a.png")
    assert [(each.id, each.predicted_iou) for each in record.annotations] == [("m1", 0.5), (2, 0.5)]


def test_what_labelme_says_besides_is_kept() -> None:
    worn = shape(flags={"hard": True}, description="worn")
    record = record_from_json(document(worn, flags={"night": True}, reviewer="B"), "a.json", "a.png")
    assert dict(record.extra) == {"flags": {"night": True}, "reviewer": "B"}
    assert dict(record.annotations[0].extra) == {"flags": {"hard": True}, "description": "worn"}


WRONG: dict[str, list[Any]] = {
    "invalid": [
        shape(shape_type="point", points=[[3, 3]]),
        shape(shape_type="linestrip"),
        shape(points=[[1, 1], [2, 2]]),
        shape(label=None),
        shape(points="x"),
        shape(points=[[1e300, 1], [2, 2], [3, 3]]),
        shape(shape_type="circle", points=[[0, 0], [1e20, 0]]),
        shape(group_id=1.5),
        "text",
    ],
    "not_a_number": [shape(points=[[float("nan"), 1], [2, 2], [3, 3]])],
    "unreadable": [
        shape(shape_type="mask", points=[[0, 0], [1, 1]], mask="no base64!"),
        shape(shape_type="mask", points=[[0, 0], [1, 1]], mask=base64.b64encode(b"no png").decode()),
    ],
    "wrong_size": [
        shape(shape_type="mask", points=[[0, 0], [5, 5]], mask=png([[1]])),
        shape(shape_type="mask", points=[[-1, 0], [-1, 0]], mask=png([[1]])),
        shape(shape_type="mask", points=[[60, 0], [60, 0]], mask=png([[1]])),
    ],
}


@pytest.mark.parametrize(("kind", "bad"), [(kind, bad) for kind, all_ in WRONG.items() for bad in all_])
def test_a_bad_shape_is_left_out_and_told(kind: str, bad: Any) -> None:
    log = ProblemLog()
    record = record_from_json(document(shape(), bad), "a.json", "a.png", log)
    assert [each.area for each in record.annotations] == [60]
    assert [problem.kind for problem in log.kept] == [kind]
    assert log.kept[0].key == "shape 1"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"imageHeight": -40}, "height and width must be from 1 to"),
        ({"imageWidth": 2**40}, "height and width must be from 1 to"),
        ({"imageWidth": None}, "width is missing"),
        ({"shapes": None}, "shapes is missing"),
        ({"shapes": [{}] * 100_001}, "has 100001 shapes; a file may have 100000"),
    ],
)
def test_a_bad_file_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        record_from_json(document(**values), "a.json", "a.png")


def test_what_is_no_json_is_left_out_and_told() -> None:
    log = ProblemLog()
    nan, deep = float("nan"), json.loads("[" * 400 + "]" * 400)
    record = record_from_json(document(shape(wear=nan, tags=["x"]), night=[nan], deep=deep), "a.json", "a.png", log)
    assert dict(record.annotations[0].extra) == {"tags": ["x"]}
    assert dict(record.extra) in ({}, {"deep": deep})
    assert {problem.kind for problem in log.kept} == {"not_a_number"}
    assert {problem.key for problem in log.kept} == {"shape 0", "a.json"}


def test_a_million_points_are_one_polygon() -> None:
    turns = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    points = np.stack([30 + 15 * np.cos(turns), 20 + 15 * np.sin(turns)], axis=1)
    ((_, _, area),) = areas(shape(points=points.tolist()))
    assert abs(area - np.pi * 225) < 20


def save(folder: Path, name: str, **values: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(shape(), **values)), encoding="utf-8")
    return path


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", (60, 40)).save(path)
    return path


@pytest.mark.parametrize(
    ("file", "image", "given"),
    [
        ("a.json", "a.png", "a.png"),
        ("labels/a.json", "photos/a.png", "..\\photos\\a.png"),
        ("deep/er/a.json", "deep/er/a.jpg", "/home/someone/else/a.jpg"),
        ("a.json", "a.jpg", "../../elsewhere/a.jpg"),
    ],
)
def test_images_are_found_where_they_are(file: str, image: str, given: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    save(root, file, imagePath=given)
    photo(root / image)
    dataset = open_dataset(root, strict=True)
    assert dataset.format == "labelme"
    (record,) = dataset.records()
    assert dataset.image_path(record) == root / image
    assert dataset.annotation_path(record) == root / file


def test_a_name_that_leads_out_is_not_opened(tmp_path: Path) -> None:
    photo(tmp_path / "secret.png")
    save(tmp_path / "set", "a.json", imagePath="../secret.png")
    dataset = open_dataset(tmp_path / "set", require_images=False)
    assert list(dataset.records()) == []
    assert [problem.kind for problem in dataset.problems] == ["refused"]


def test_an_image_in_the_file_is_taken(tmp_path: Path) -> None:
    save(tmp_path, "a.json", imageData=png(np.ones((40, 60)), "L"))
    dataset = open_dataset(tmp_path / "a.json", strict=True)
    (record,) = dataset.records()
    assert dataset.open_image(record).size == (40, 60)
    assert len(dataset) == 1
