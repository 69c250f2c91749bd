"""`segany train` on small data and a small model."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany.cli.main import main
from segany.engine import open_store
from segany.model.checkpoint import save_sam
from segany.model.sam import Sam
from segany.store import create_store


@pytest.fixture
def words(tmp_path: Path, make_tiny: Callable[[], Sam]) -> list[str]:
    """The command's words but for the data: two steps of a tiny model."""
    save_sam(make_tiny(), tmp_path / "tiny.safetensors")
    settings = ("clicks=1", "repeats=0", "views=1", "objects_per_image=1", "val_share=0.5", "val_objects=1")
    given = ["--model", str(tmp_path / "tiny.safetensors"), "--steps", "2", "--out", str(tmp_path / "run")]
    return ["train", *given, *(word for one in settings for word in ("--set", one))]


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    folder = tmp_path / "squares"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number in range(2):
        mask = np.zeros((40, 40), dtype=np.uint8)
        mask[8 + number : 30, 8:30] = 1
        Image.fromarray(mask * np.uint8(200)).convert("RGB").save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "labels" / f"{number}.png")
    return folder


def test_it_says_what_it_will_do_and_gives_a_model(
    words: list[str], squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--data", f"squares={squares}", "--tune", "scores"]) == 0
    shown = capsys.readouterr()
    assert "trains the IoU head alone" in shown.err
    assert "learns from 1 masks of 1 images; validates on 1" in shown.err
    assert "GB of memory" in shown.err
    assert "2 steps in" in shown.out
    assert shown.out.splitlines()[-1] == str(tmp_path / "run" / "model.safetensors")
    assert main([*words, "--data", f"squares={squares}", "--tune", "scores", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["stopped"] == "finished"
    assert again["model"] == str(tmp_path / "run" / "model.safetensors")


def test_a_version_of_a_store_teaches(
    words: list[str], squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_store(tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        store.add(squares, actor="me")
        store.versions.freeze("v1", actor="me")
    assert main([*words, "--data", f"{tmp_path / 'store'}@v1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 2
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["data"]["names"] == ["store@v1"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--set", "stepz=1"], "unknown training setting 'stepz'"),
        (["--set", "steps"], "--set must be NAME=VALUE, got 'steps'"),
        (["--tune", "all"], "tune must be one of scores, decoder, lora, full, distil, got 'all'"),
        (["--data", "nowhere"], "--data must be NAME=PATH or STORE@VERSION, and 'nowhere' is neither"),
        (["--config", "missing.toml"], "cannot read the training settings missing.toml"),
    ],
)
def test_what_is_wrong_is_said(
    words: list[str], squares: Path, given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--data", f"squares={squares}", *given]) == 1
    assert message in capsys.readouterr().err


def test_settings_from_a_file(
    words: list[str], squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.toml").write_text("blend = 0.5\nsurprise = 1\n", encoding="utf-8")
    assert main([*words, "--data", f"squares={squares}", "--config", str(tmp_path / "a.toml")]) == 1
    assert "unknown key in the training config: surprise" in capsys.readouterr().err
