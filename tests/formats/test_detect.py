"""Which format a folder has, on small ones and on real data."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segany.errors import RecordError
from segany.formats import FORMAT_NAMES, detect, open_dataset

Save = Callable[..., Path]
COCO: dict[str, Any] = {"images": [], "annotations": []}
SA1B: dict[str, Any] = {"image": {"image_id": 1, "width": 2, "height": 2, "file_name": "1.jpg"}, "annotations": []}
SAV: dict[str, Any] = {"video_id": "v", "video_height": 2, "video_width": 2, "masklet": [], "masklet_id": []}


def dump(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "document", "expected"),
    [
        ("instances.json", COCO, "coco"),
        ("_annotations.coco.json", COCO, "coco"),
        ("annotations/instances_val2017.json", COCO, "coco"),
        ("anything.json", {"info": {}} | COCO, "coco"),
        ("anything.json", dict(reversed(COCO.items())), "coco"),
        ("lvis.json", COCO | {"categories": [{"id": 1, "name": "a", "frequency": "f"}]}, "lvis"),
        ("sa_1.json", SA1B, "sa1b"),
        ("sa_000000/sa_1.json", SA1B, "sa1b"),
        ("sa_1.json", dict(reversed(SA1B.items())), "sa1b"),
        ("sav_1_auto.json", SAV, "sav"),
    ],
)
def test_json_files_by_what_they_say(tmp_path: Path, name: str, document: Any, expected: str) -> None:
    path = dump(tmp_path / name, document)
    assert detect(path) == expected
    assert detect(tmp_path) == expected
    assert expected in FORMAT_NAMES


def test_several_instances_files_are_for_the_user_to_choose_from(tmp_path: Path) -> None:
    for split in ("train", "val"):
        dump(tmp_path / "annotations" / f"instances_{split}.json", COCO)
    with pytest.raises(RecordError, match=r"holds 2 instances files; name one of them: annotations.instances_train\.j"):
        detect(tmp_path)


def test_what_is_nothing_is_refused_with_what_was_wanted(tmp_path: Path, save: Save) -> None:
    with pytest.raises(RecordError, match=r"^no such file or folder: .*nowhere; check its name\.$"):
        detect(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="holds no annotated images that segany reads; wanted images/ beside labels/"):
        detect(tmp_path)
    save("images/a.jpg")
    (tmp_path / "labels").mkdir()
    dump(tmp_path / "other.json", {"key": 1})
    dump(tmp_path / "list.json", [1])
    with pytest.raises(RecordError, match="holds no annotated images"):
        detect(tmp_path)
    with pytest.raises(RecordError, match=r"a\.jpg is no file of annotations that segany reads; name its folder"):
        detect(tmp_path / "images" / "a.jpg")


def test_zip_files_are_not_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("../../evil.json", "{}")
    with pytest.raises(RecordError, match=r"set\.zip is packed; .* unpack it, name its folder\.$"):
        detect(tmp_path / "set.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


# Folder: format, images, objects, images with a region to ignore or a crowd.
REAL = {
    "ade20k": ("label_maps", 3, 139, 0),
    "bbbc038": ("label_maps", 60, 3568, 0),
    "bsdata": ("label_maps", 16, 16, 0),
    "bsds500": ("bsds", 50, 5518, 0),
    "coco_val80": ("coco", 80, 804, 11),
    "cvppp_a1": ("label_maps", 31, 489, 0),
    "davis2016": ("davis", 209, 209, 0),
    "drive": ("binary_masks", 8, 8, 0),
    "grabcut": ("binary_masks", 50, 50, 42),
    "hc18": ("binary_masks", 20, 20, 0),
    "trashcan": ("label_maps", 108, 249, 0),
    "voc2007": ("voc", 44, 115, 44),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_is_recognised_without_options_and_has_no_problem(name: str, annotated_data: Path) -> None:
    dataset = open_dataset(annotated_data / name, strict=True)
    images = objects = ignored = 0
    for record in dataset.records():
        path = dataset.image_path(record)
        assert path is not None
        assert path.is_file()
        images += 1
        objects += len(record.objects)
        ignored += record.undecided is not None
    assert (dataset.format, images, objects, ignored) == REAL[name]
    assert len(dataset) == images
    assert dataset.problems == ()


def test_real_masklets_come_without_their_video(annotated_data: Path) -> None:
    dataset = open_dataset(annotated_data / "sav_example", require_images=False)
    counts = [len(record.objects) for record in dataset.records()]
    assert (dataset.format, len(counts), max(counts)) == ("sav", 121, 13)
    assert dict(dataset.problem_counts) == {"missing_image": 121}
