"""`segany data convert`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.cli.main import main
from segany.engine import open_store
from segany.formats import detect
from segany.store import create_store


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Two images with two objects each and undecided pixels."""
    labels = np.zeros((40, 60), dtype=np.uint8)
    labels[5:15, 5:15], labels[20:30, 20:40], labels[:3] = 1, 2, 255
    for folder in ("images", "labels"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for name, shade in (("a", 60), ("b", 200)):
        PillowImage.new("RGB", (60, 40), (90, 120, shade)).save(tmp_path / "set" / "images" / f"{name}.png")
        PillowImage.fromarray(labels).save(tmp_path / "set" / "labels" / f"{name}.png")
    return tmp_path / "set"


def test_what_is_lost_is_printed_before_it_is_lost(
    maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["data", "convert", str(maps), str(out), "--to", "yolo"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{maps}: 2 images, 4 masks",
        "yolo cannot hold, so this is lost:",
        "  ignore: 2 images",
        '  no category: 4 masks (get the class "object")',
        "wrote 2 records, 2 images",
        str(out),
    ]
    assert detect(out) == "yolo"


def test_nothing_is_written_by_a_dry_run_or_when_strict(
    maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "convert", str(maps), str(tmp_path / "out"), "--to"]
    assert main([*words, "labels", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing was written"
    assert main([*words, "labels", "--strict"]) == 1
    assert "labels cannot hold all of set, and --strict was given: ignore: 2 images." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert main([*words, "coco", "--strict"]) == 0
    assert "coco holds all of it" in capsys.readouterr().out


def test_what_cannot_be_told_is_not_lost(maps: Path, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("only Linux has /dev/full")
    words = ["data", "convert", str(maps), str(tmp_path / "out"), "--to", "yolo"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        command = [sys.executable, "-m", "segany", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "error: cannot print the result: no space left on the disk; free some, then run it again.\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_json_says_the_same(maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (maps / "images" / "c.png").write_bytes((maps / "images" / "a.png").read_bytes())
    out = tmp_path / "out"
    words = [
        "data",
        "convert",
        str(maps),
        str(out),
        "--to",
        "sa1b",
        "--images",
        "none",
        "--shard-images",
        "1",
        "--json",
    ]
    assert main(words) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["to"], said["records"], said["masks"], said["losses"]) == ("sa1b", 2, 4, [])
    assert said["written"] == {"folder": str(out), "records": 2, "images": 0, "images_missing": 0, "renamed": 0}
    assert [problem["kind"] for problem in said["problems"]] == ["missing_mask"]
    assert sorted(path.name for path in out.glob("*.tar")) == ["sa_000000.tar", "sa_000001.tar"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--to", "pdf"],
            "--to must be one of coco, sa1b, yolo, voc, labelme, labels, sav, geojson, parquet, got 'pdf'.",
        ),
        (["--to", "coco", "--images", "move"], "--images must be one of copy, link, reference, none, got 'move'."),
        (["--to", "coco", "--version", "v1"], "--version and --split are for a store, and "),
        (["--to", "yolo", "--shard-images", "5"], "shards are for sa1b, and hold at least one image each."),
        (["--to", "sav"], "there is nothing to write as sav: images of no video: 2 images (left out)."),
    ],
)
def test_wrong_words_are_told(
    words: list[str], message: str, maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "convert", str(maps), str(tmp_path / "out"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_in_the_way_is_told_before_reading(
    maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "convert", str(maps), str(maps), "--to", "coco"]) == 1
    said = capsys.readouterr()
    assert (said.out, "is there already and not empty; give a new folder." in said.err) == ("", True)


def test_a_version_of_a_store_is_converted(maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_store(tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        store.add(maps, actor="test")
        store.versions.freeze("v1", actor="test")
    words = ["data", "convert", str(tmp_path / "store"), str(tmp_path / "out"), "--to", "voc", "--version", "v1"]
    assert main(words) == 0
    assert "wrote 2 records, 2 images" in capsys.readouterr().out
    assert detect(tmp_path / "out") == "voc"
