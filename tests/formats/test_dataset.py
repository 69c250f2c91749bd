"""What Dataset does for every format: columns, groups, names that lead away, images of another size."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany.errors import RecordError
from segany.formats import open_dataset

Save = Callable[..., Path]


@pytest.fixture
def maps(save: Save, tmp_path: Path) -> Path:
    labels = np.zeros((40, 60), dtype=np.uint8)
    labels[5:15, 5:15] = 1
    for name in ("x/a", "x/b", "c"):
        save(f"images/{name}.jpg")
        save(f"labels/{name}.png", labels)
    return tmp_path


def test_columns_of_metadata_by_name_with_or_without_suffix_and_folder(maps: Path) -> None:
    (maps / "metadata.csv").write_text(
        '\ufeffimage,country,group\nx/a.jpg,NO,p1\nx/b,SE,\nc,"a, b",p1\n', encoding="utf-8"
    )
    dataset = open_dataset(maps, strict=True)
    records = {record.image.file_name: record for record in dataset.records()}
    assert dataset.metadata_columns == ("country", "group")
    assert {name: dataset.metadata(record).get("country") for name, record in records.items()} == {
        "c.jpg": "a, b", "x/a.jpg": "NO", "x/b.jpg": "SE",
    }  # fmt: skip
    assert {name: record.image.group for name, record in records.items()} == {
        "c.jpg": "p1", "x/a.jpg": "p1", "x/b.jpg": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "key", "what"),
    [
        (b"name,country\na,NO\n", "", "wanted a column `image`, got name, country."),
        (b"", "", "wanted a column `image`, got none."),
        (b"\xff\xfe\x00", "", "it cannot be read as UTF-8 text"),
        (b"image,country\na,NO\na,SE\n", "line 3", "'a' is there twice."),
        (b"image,country\na\n", "line 2", "another number of values than of columns."),
        (b"image,country\na,NO,SE\n", "line 2", "another number of values than of columns."),
    ],
)
def test_bad_metadata_is_told(maps: Path, content: bytes, key: str, what: str) -> None:
    (maps / "metadata.csv").write_bytes(content)
    dataset = open_dataset(maps)
    assert len(list(dataset.records())) == 3
    (problem,) = dataset.problems
    assert (Path(problem.file).name, problem.key) == ("metadata.csv", key)
    assert what in problem.what
    with pytest.raises(RecordError):
        open_dataset(maps, strict=True)


def instances(folder: Path, *images: dict[str, Any]) -> Path:
    path = folder / "instances.json"
    ring = [[5, 5, 25, 5, 25, 15, 5, 15]]
    annotations = [{"id": n, "image_id": image["id"], "segmentation": ring} for n, image in enumerate(images)]
    path.write_text(json.dumps({"images": images, "annotations": annotations}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name",
    ["../secret.jpg", "/etc/passwd", "a/../../b.jpg", "C:\\x.jpg", "\\\\host\\x.jpg", "a\\..\\..\\b.jpg", "a\0.jpg"],
)
def test_a_name_that_leads_out_of_the_set_is_refused(save: Save, tmp_path: Path, name: str) -> None:
    save("secret.jpg")
    save("set/images/1.jpg")
    path = instances(
        tmp_path / "set",
        {"id": 1, "width": 60, "height": 40, "file_name": name},
        {"id": 2, "width": 60, "height": 40, "file_name": "1.jpg"},
    )
    dataset = open_dataset(path, require_images=False)
    assert [record.image.image_id for record in dataset.records()] == [2]
    assert [(problem.kind, problem.key) for problem in dataset.problems] == [("refused", name)]
    assert str(dataset.problems[0]) == f"{path}: {name}: the image's name leads out of the data set; it is not opened."


@pytest.mark.parametrize("place", ["", "images/", "val2017/", "../val2017/", "../images/", "../"])
def test_images_of_an_instances_file_are_found_where_people_keep_them(save: Save, tmp_path: Path, place: str) -> None:
    save(f"set/annotations/{place}1.jpg")
    path = instances(tmp_path / "set" / "annotations", {"id": 1, "width": 60, "height": 40, "file_name": "1.jpg"})
    (record,) = (dataset := open_dataset(path, strict=True)).records()
    found = dataset.image_path(record)
    assert found is not None
    assert found.is_file()
    assert dataset.annotation_path(record) == path


def test_an_image_of_another_size_and_one_that_is_none(save: Save, tmp_path: Path) -> None:
    save("images/1.png")
    (tmp_path / "images" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    sides = {"width": 61, "height": 40}
    path = instances(tmp_path, {"id": 1, "file_name": "1.png"} | sides, {"id": 2, "file_name": "2.png"} | sides)
    dataset = open_dataset(tmp_path)
    assert list(dataset.records()) == []
    assert [(problem.kind, problem.file) for problem in dataset.problems] == [
        ("wrong_size", str(path)), ("unreadable", str(tmp_path / "images" / "2.png")),
    ]  # fmt: skip
    assert dataset.problems[0].what == (
        "the annotations are for an image of 40x61 (height x width), but the image is 40x60 (height x width)."
    )
    with pytest.raises(RecordError, match="but the image is 40x60"):
        list(open_dataset(tmp_path, strict=True).records())


def test_records_know_the_channels_of_their_images(save: Save, tmp_path: Path) -> None:
    save("images/1.png", np.zeros((40, 60), dtype=np.uint16))
    instances(tmp_path, {"id": 1, "width": 60, "height": 40, "file_name": "1.png"})
    (record,) = (dataset := open_dataset(tmp_path, strict=True)).records()
    assert (record.image.channels, record.image.dtype) == (1, "uint16")
    assert repr(dataset) == f"Dataset({str(tmp_path)!r}, format='coco', images=1)"
    assert len(record.objects) == 1
    assert dataset.problem_counts == {}
