from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segany.errors import RecordError
from segany.formats import open_dataset
from segany.geometry import Size
from segany.masks import RLE, mask_to_polygons

Save = Callable[..., Path]
SQUARE = "0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def made(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return made


Write = Callable[[str, str], Path]


@pytest.mark.parametrize(
    ("names", "expected"),
    [("[cat, dog]", ["cat", "dog"]), ("{0: cat, 1: dog}", ["cat", "dog"]), ("\n  0: cat\n  1: 7", ["cat", "7"])],
)
@pytest.mark.parametrize(
    "folders", ["images/train {} labels/train", "train/images {} train/labels", "images {} labels"]
)
def test_polygons_with_the_names_of_data_yaml(
    save: Save, write: Write, tmp_path: Path, names: str, expected: list[str], folders: str
) -> None:
    images, labels = folders.split(" {} ")
    save(f"{images}/a.jpg")
    save(f"{images}/background.jpg")
    write(f"{labels}/a.txt", f"1 {SQUARE}\n\n0 0 0 1 0 1 1 0 1\n")
    write("data.yaml", f"train: {images}\nnames: {names}\n")
    dataset = open_dataset(tmp_path, strict=True)
    first, second = dataset.records()
    assert dataset.format == "yolo"
    assert [category.name for category in dataset.categories] == expected
    assert [(each.id, each.category, each.box) for each in first.annotations] == [
        (1, expected[1], (15, 10, 45, 30)),
        (3, expected[0], (0, 0, 60, 40)),
    ]
    assert first.annotations[0].outline is not None
    assert first.annotations[0].outline[0].tolist() == [[15, 10], [45, 10], [45, 30], [15, 30]]
    assert second.annotations == ()
    assert next(record.image.file_name for record in open_dataset(tmp_path / "data.yaml").records()).endswith("a.jpg")


def test_without_data_yaml_classes_go_by_their_numbers(save: Save, write: Write, tmp_path: Path) -> None:
    save("images/a.jpg")
    write("labels/a.txt", f"7 {SQUARE}")
    (record,) = (dataset := open_dataset(tmp_path)).records()
    assert (record.annotations[0].category, dataset.categories) == ("7", ())
    assert dataset.notes == ("no data.yaml: classes go by their numbers",)


@pytest.mark.parametrize(
    ("line", "kind", "what"),
    [
        ("0 0.5 0.5 0.2 0.2", "invalid", "it is a box and no polygon, so it has no mask."),
        ("0 0.1 0.1 0.2 0.2", "invalid", "it is a box and no polygon"),
        ("0 0.1 0.1 0.2 0.2 0.3", "invalid", "wanted a class and at least three points, x and y each, got 6 numbers."),
        ("0.5 " + SQUARE, "invalid", "wanted a class and at least three points"),
        ("cat " + SQUARE, "invalid", "wanted numbers, got 'cat 0.25"),
        ("0 nan 0.25 0.75 0.25 0.75 0.75", "not_a_number", "wanted finite numbers, got '0 nan"),
        ("0 1e300 0.25 0.75 0.25 0.75 0.75", "invalid", "a ring's coordinates must be numbers up to"),
        ("0 0.25 0.25 0.25 0.25 0.25 0.25", "empty_mask", "the mask has no pixel."),
    ],
)
def test_a_bad_line_is_left_out_and_told(
    save: Save, write: Write, tmp_path: Path, line: str, kind: str, what: str
) -> None:
    save("images/a.jpg")
    path = write("labels/a.txt", f"0 {SQUARE}\n{line}\n0 {SQUARE}\n")
    dataset = open_dataset(tmp_path)
    (record,) = dataset.records()
    assert [each.id for each in record.annotations] == [1, 3]
    (problem,) = dataset.problems
    assert (problem.kind, problem.file) == (kind, str(path))
    assert problem.key in ("line 2", "a.jpg, annotation 2")
    assert what in problem.what
    with pytest.raises(RecordError):
        list(open_dataset(tmp_path, strict=True).records())


def test_a_polygon_that_reaches_out_is_cut_off_and_told(save: Save, write: Write, tmp_path: Path) -> None:
    save("images/a.jpg")
    write("labels/a.txt", "0 0.5 0.5 1.5 0.5 1.5 1.5 0.5 1.5\n0 0.5 0.5 1.01 0.5 1.01 1 0.5 1\n0 2 2 3 2 3 3\n")
    (record,) = (dataset := open_dataset(tmp_path)).records()
    assert [(each.id, each.box) for each in record.annotations] == [(1, (30, 20, 60, 40)), (2, (30, 20, 60, 40))]
    assert [(problem.kind, problem.key, problem.what) for problem in dataset.problems] == [
        ("outside_image", "a.jpg, annotation 1", "a polygon reaches out of the image of 40x60 (height x width): "
         "x 30 to 90, y 20 to 60."),
        ("outside_image", "a.jpg, annotation 3", "a polygon reaches out of the image of 40x60 (height x width): "
         "x 120 to 180, y 80 to 120."),
        ("empty_mask", "a.jpg, annotation 3", "the mask has no pixel."),
    ]  # fmt: skip


def test_files_with_problems(save: Save, write: Write, tmp_path: Path) -> None:
    save("images/a.jpg")
    save("images/b.jpg")
    write("labels/a.txt", f"5 {SQUARE}")
    (tmp_path / "labels" / "b.txt").write_bytes(b"\xff\xfe\x00")
    write("labels/orphan.txt", f"0 {SQUARE}")
    write("data.yaml", "names: [cat]")
    dataset = open_dataset(tmp_path)
    (record,) = dataset.records()
    assert [each.category for each in record.annotations] == [None]
    assert [(problem.kind, Path(problem.file).name, problem.key) for problem in dataset.problems] == [
        ("unknown_category", "a.txt", "line 1"),
        ("unreadable", "b.txt", ""),
        ("missing_image", "orphan.txt", ""),
    ]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("names: 7", "names must be a list of the classes' names"),
        ("names: [a, b", "it cannot be read as YAML"),
        ("- a", "it must be a map with the key names."),
        ("names: !!python/object/apply:os.getcwd []", "it cannot be read as YAML"),
    ],
)
def test_a_bad_data_yaml_is_told(save: Save, write: Write, tmp_path: Path, content: str, what: str) -> None:
    save("images/a.jpg")
    write("labels/a.txt", f"0 {SQUARE}")
    write("data.yaml", content)
    dataset = open_dataset(tmp_path)
    assert what in dataset.problems[0].what
    (record,) = dataset.records()
    assert record.annotations[0].category == "0"


def test_a_data_yaml_alone(write: Write) -> None:
    path = write("data.yaml", "names: [a]")
    with pytest.raises(RecordError, match="there is no images/ beside a labels/ with text files"):
        open_dataset(path)


@given(left=st.integers(0, 55), top=st.integers(0, 35), width=st.integers(1, 30), height=st.integers(1, 30))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_outlines_come_back_as_the_mask_they_were(
    left: int, top: int, width: int, height: int, tmp_path: Path, save: Save, write: Write
) -> None:
    mask = np.zeros((40, 60), dtype=bool)
    mask[top : top + height, left : left + width] = True
    save("images/a.png", np.zeros((40, 60, 3), dtype=np.uint8))
    (polygon,) = mask_to_polygons(mask)
    shares = polygon.exterior / (60, 40)
    write("labels/a.txt", "0 " + " ".join(map(repr, shares.ravel().tolist())))
    (record,) = open_dataset(tmp_path, strict=True).records()
    assert record.annotations[0].segmentation == RLE.from_mask(mask)
    assert record.image.size == Size(40, 60)
