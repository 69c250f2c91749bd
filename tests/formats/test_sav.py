import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segany.errors import RecordError
from segany.formats import open_dataset, sav
from segany.masks import RLE
from segany.schema import Parent

Save = Callable[..., Path]
Rectangle = Callable[..., RLE]


def video(path: Path, frames: list[list[Any]], **more: Any) -> Path:
    values = {"video_id": path.stem[:10], "video_height": 40.0, "video_width": 60.0, "masklet": frames}
    ids = {"masklet_id": list(range(max(len(frame) for frame in frames)))}
    path.write_text(json.dumps(values | ids | more), encoding="utf-8")
    return path


def test_frames_of_both_files_of_a_video(tmp_path: Path, save: Save, rectangle: Rectangle) -> None:
    first, gone, auto = rectangle(0, 0, 5, 5), rectangle(3, 3, 3, 3), rectangle(9, 9, 12, 12)
    video(tmp_path / "sav_000001_manual.json", [[first.to_coco()], [gone.to_coco()], [first.to_coco()]])
    video(tmp_path / "sav_000001_auto.json", [[auto.to_coco()]], masklet_type=["auto"])
    for number in (0, 4):
        save(f"sav_000001/{number:05d}.jpg")
    dataset = open_dataset(tmp_path)
    records = list(dataset.records())
    assert (dataset.format, len(dataset), dataset.notes) == ("sav", 3, ("videos: 1",))
    assert [[(each.id, each.source) for each in record.annotations] for record in records] == [
        [("auto:0", "automatic"), ("manual:0", "manual")],
        [],
    ]
    assert records[1].image.parent == Parent("video", "sav_000001", 4)
    assert records[1].image.group == "sav_000001"
    assert [(problem.kind, problem.key) for problem in dataset.problems] == [("missing_image", "sav_000001/00008.jpg")]
    assert len(list(open_dataset(tmp_path / "sav_000001_auto.json").records())) == 1


def test_masklets_skip_the_frames_in_which_the_object_is_not_seen(tmp_path: Path, rectangle: Rectangle) -> None:
    first, gone = rectangle(0, 0, 5, 5), rectangle(3, 3, 3, 3)
    path = video(tmp_path / "sav_000001_manual.json", [[first.to_coco()], [gone.to_coco()], [first.to_coco()]])
    (masklet,) = sav.read_masklets(path)
    assert (masklet.object_id, dict(masklet.rles)) == (0, {0: first, 8: first})


def test_problems_frame_by_frame(tmp_path: Path, rectangle: Rectangle) -> None:
    good, odd = rectangle(0, 0, 5, 5).to_coco(), rectangle(0, 0, 1, 1, (4, 4)).to_coco()
    frames = [[good, odd], [good], [good, {"size": [40, 60], "counts": "???"}]]
    path = video(tmp_path / "sav_000001_manual.json", frames)
    dataset = open_dataset(path, require_images=False)
    assert [len(record.annotations) for record in dataset.records()] == [1, 0, 1]
    found = [(problem.kind, problem.key) for problem in dataset.problems if problem.kind != "missing_image"]
    assert found == [
        ("wrong_size", "frame 0, masklet 1"), ("invalid", "frame 1"), ("invalid", "frame 2, masklet 1"),
    ]  # fmt: skip
    with pytest.raises(RecordError, match="frame 0, masklet 1: the mask is 4x4"):
        sav.read_masklets(path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"video_height": 0}, "video_height and video_width must be from 1 pixel up"),
        ({"video_width": None}, "video_width is missing"),
        ({"masklet": 3}, "masklet must be a list"),
        ({"masklet_type": ["auto", "auto"]}, "masklet_type must have 1 values, got 2"),
    ],
)
def test_a_file_that_is_not_valid(tmp_path: Path, rectangle: Rectangle, more: dict[str, Any], message: str) -> None:
    path = video(tmp_path / "sav_000001_manual.json", [[rectangle(0, 0, 5, 5).to_coco()]], **more)
    dataset = open_dataset(tmp_path, require_images=False)
    assert list(dataset.records()) == []
    assert message in dataset.problems[0].what
    with pytest.raises(RecordError, match=message):
        sav.read_masklets(path)
