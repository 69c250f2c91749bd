"""`segany store`, word by word."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segany.cli.main import main
from segany.engine import open_store


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photos in `photos`, seen from the folder above."""
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{seed}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def run(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(["store", *words]) == status
    return capsys.readouterr().out


def run_json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return json.loads(run(capsys, *words, "--json"))


def test_from_init_to_gc(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "init", "s").endswith(" at s\n")
    assert run(capsys, "add", "s", "photos", "--by", "ann").startswith("3 new records, 0 known; 0 new masks, 0 known\n")
    assert run_json(capsys, "add", "s", "photos")["known"] == 3
    assert run(capsys, "ls", "s", "--limit", "2").splitlines() == [
        "1  0.png  40x60 (height x width)  -  no masks",
        "2  1.png  40x60 (height x width)  -  no masks",
        "more: segany store ls s --after 2",
    ]
    assert [row["id"] for row in run_json(capsys, "ls", "s", "--after", "2")] == [3]
    shown = run(capsys, "show", "s", "1")
    assert "record 1: 0.png, 40x60 (height x width)" in shown
    assert "ann  record.added" in shown
    assert run_json(capsys, "show", "s", "1")["image"]["file_name"] == "0.png"
    assert "3 records, 0 masks, digest " in run(capsys, "freeze", "s", "v1", "-m", "first", "--by", "ann")
    assert "v1  " in run(capsys, "log", "s")
    assert run_json(capsys, "log", "s")[0]["message"] == "first"
    assert "3 in" not in run(capsys, "split", "s", "--train", "0.5", "--val", "0", "--test", "0.5")
    assert len(run_json(capsys, "ls", "s", "--split", "train")) in (1, 2)
    assert run_json(capsys, "split", "s")["assigned"] == {}
    assert run(capsys, "diff", "s", "v1").startswith("v1 -> live: records 0 added, 0 removed, 3 changed\n")
    assert len(run_json(capsys, "diff", "s", "v1")["changes"]) == 3
    assert run(capsys, "checkout", "s", "v1", "--out", "out").splitlines()[-1] == str(Path("out/manifest.json"))
    assert run(capsys, "check", "s") == "3 files, 0 masks, 1 versions: 0 wrong\n"
    assert run_json(capsys, "check", "s")["findings"] == []
    assert "records  3, 3 with their image" in run(capsys, "stats", "s", "--plot", "stats.png")
    assert Path("stats.png").stat().st_size > 1000
    assert run_json(capsys, "stats", "s")["records"] == 3
    assert run(capsys, "gc", "s", "--dry-run").startswith("would delete 0 past states")
    assert run_json(capsys, "gc", "s")["files"] == 0


def test_check_says_what_is_wrong(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "init", "s")
    run(capsys, "add", "s", "photos")
    shutil.rmtree("s/images")
    said = run(capsys, "check", "s", status=1)
    assert "file: record 1: " in said
    assert said.endswith("3 files, 0 masks, 0 versions: 3 wrong\n")


def test_what_is_not_added_is_said(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "bad.png").write_bytes(b"no image")
    run(capsys, "init", "s")
    said = run(capsys, "add", "s", "photos", status=1)
    assert said.startswith("3 new records")
    assert "not added: " in said
    assert "bad.png is a text file, not an image that segany reads" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ls", "nowhere"], "there is no store at nowhere; make one with: segany store init nowhere"),
        (["show", "s", "9"], "the store has no record 9; `segany store ls` lists them."),
        (["diff", "s", "v9"], "the store has no version 'v9' (the last ones: none yet)."),
        (["ls", "s", "--state", "good"], "--state must be one of unreviewed, accepted, rejected, flagged, got 'good'."),
        (["split", "s", "--train", "2"], "the shares of the splits must be above 0 and sum to 1"),
        (["init", "mysql://x/y"], "a store is a folder or a postgresql:// URL, got one of mysql"),
        (["add", "s", "nowhere.png"], "no such file: nowhere.png"),
    ],
)
def test_errors(photos: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    run(capsys, "init", "s")
    assert main(["store", *words]) == 1
    assert f"error: {message}" in capsys.readouterr().err


def test_by_whom(photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    run(capsys, "init", "s")
    run(capsys, "add", "s", "photos")
    with open_store("s") as store:
        assert {event.actor for event in store.events.list()} == {"unknown"}
