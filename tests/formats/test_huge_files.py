"""Files of 10 GB, most of it a hole that takes no disk: refused, or read piece by piece, in little memory."""

import os
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from segany.formats import Dataset, open_dataset

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows fills the hole")
TEN_GB = 10 * 10**9
# Six times the longest value that is read from a stream.
MEMORY = 400 * 2**20

IMAGE = b'{"id": 1, "file_name": "a.png", "width": 60, "height": 40}'
BEGINNINGS = {
    "labels/a.geojson": (b'{"type": "FeatureCollection", "features": [', "refused"),
    "a.json": (
        b'{"image": {"image_id": 1, "width": 60, "height": 40, "file_name": "a.png"}, "annotations": [',
        "refused",
    ),
    "labelme.json": (b'{"shapes": [], "imagePath": "a.png", "imageData": "', "refused"),
    "sav.json": (b'{"video_id": "v", "masklet": [', "refused"),
    "instances.json": (b'{"images": [' + IMAGE + b'], "annotations": [', "bad_json"),
    "instances_names.json": (b'{"images": [{"id": 1, "file_name": "' + b"x" * 1000, "bad_json"),
}


def huge(path: Path, beginning: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(beginning)
        file.truncate(TEN_GB)
    if path.stat().st_blocks * 512 > 2**20:
        pytest.skip("this disk fills the hole")


def read(folder: Path) -> tuple[Dataset, int]:
    """All that can be read, and the most memory that it took, bytes."""
    tracemalloc.start()
    try:
        dataset = open_dataset(folder)
        list(dataset.records())
        return dataset, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_document_of_10_gb(name: str, tmp_path: Path) -> None:
    beginning, kind = BEGINNINGS[name]
    huge(tmp_path / name, beginning)
    (tmp_path / "images").mkdir()
    PillowImage.new("L", (60, 40)).save(tmp_path / "images" / "a.png")
    dataset, memory = read(tmp_path if name.startswith("labels/") else tmp_path / name)
    assert kind in {problem.kind for problem in dataset.problems}
    assert memory < (MEMORY if kind == "bad_json" else 2**23)


def test_a_string_that_never_ends(tmp_path: Path) -> None:
    """No hole: the text is valid until the file's end, as far as it is read."""
    path = tmp_path / "instances.json"
    with path.open("wb") as file:
        file.write(b'{"images": [{"id": 1, "file_name": "')
        for _ in range(160):
            file.write(b"x" * 2**20)
    dataset, memory = read(path)
    assert [problem.kind for problem in dataset.problems] == ["bad_json"]
    assert memory < MEMORY


def test_a_long_list_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    count = 20_000
    with path.open("wb") as file:
        file.write(b'{"images": [' + IMAGE + b'], "annotations": [')
        for number in range(count):
            file.write(b"," if number else b"")
            file.write(b'{"id": %d, "image_id": 1, "iscrowd": 1, "note": "%s"}' % (number, b"x" * 2000))
        file.write(b'], "categories": []}')
    images = PillowImage.new("L", (60, 40))
    images.save(tmp_path / "a.png")
    tracemalloc.start()
    try:
        dataset = open_dataset(path)
        found = len(dataset)
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == 1
    assert memory < path.stat().st_size / 4
