"""`segany everything`, with the real default weights and a few clicks."""

import inspect
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from segany import weights
from segany.cli import everything
from segany.cli.main import main
from segany.formats import coco, label_map, sa1b
from segany.predict.automatic import FORMATS, MODES, GridSettings, Thresholds

FEW = ("--points-per-side", "2")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "coffee.png"
    with Image.open(weights.sample("coffee")) as original:
        original.resize((300, 200)).save(path)
    return path


@pytest.fixture(scope="module")
def done(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one run, for tests that only read them."""
    out = tmp_path_factory.mktemp("done")
    assert run(photo, *FEW, "--out", out) == 0
    return out


def run(*arguments: str | Path) -> int:
    return main(["everything", *map(str, arguments)])


def test_a_photo_gets_a_record_and_an_overlay(photo: Path, done: Path) -> None:
    assert sorted(file.name for file in done.iterdir()) == ["coffee.json", "coffee.overlay.png"]
    record = sa1b.read_record(done / "coffee.json")
    assert record.annotations
    assert {annotation.source for annotation in record.annotations} == {"automatic"}
    with Image.open(done / "coffee.overlay.png") as overlay:
        assert overlay.size == (300, 200)


def test_lines_tell_the_time_of_each_stage_and_what_was_done_before(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photo, *FEW, "--out", tmp_path) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("coffee.png: ")
    assert " masks by 4 clicks; read " in first
    assert [part.split()[0] for part in first.split("; ")[1].split(", ")] == [
        "read",
        "embed",
        "click",
        "select",
        "write",
    ]
    assert second.startswith("1 photo, ")
    assert third == f"look at {tmp_path / 'coffee.overlay.png'}"
    written = (tmp_path / "coffee.json").stat().st_mtime_ns
    assert run(photo, *FEW, "--out", tmp_path) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("0 photos, 0 masks in ")
    assert first.endswith("; 1 done before")
    assert second == third
    assert (tmp_path / "coffee.json").stat().st_mtime_ns == written


def test_formats_are_made_from_what_is_there(
    photo: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    record = sa1b.read_record(done / "coffee.json")
    assert run(photo, *FEW, "--out", tmp_path, "--format", "png", "--json") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    (entry,) = json.loads(printed.out)["images"]
    assert (entry["skipped"], entry["record"]) == (True, str(tmp_path / "coffee.json"))
    labels = label_map.read_record(tmp_path / "coffee.labels.png")
    assert labels.image.size == record.image.size
    assert run(photo, *FEW, "--out", tmp_path, "--format", "coco") == 0
    assert f"wrote {tmp_path / 'instances.json'}" in capsys.readouterr().out
    (gathered,) = coco.read_records(tmp_path / "instances.json")
    assert [a.segmentation for a in gathered.annotations] == [a.segmentation for a in record.annotations]


def test_a_folder_goes_on_after_a_bad_file_and_json_tells_of_it(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "bad.png").write_bytes(photo.read_bytes()[:2000])
    shutil.copy(photo, folder / "good.png")
    assert run(folder, *FEW, "--out", tmp_path / "out", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert list(document["errors"]) == [str(folder / "bad.png")]
    (entry,) = document["images"]
    assert entry["file"] == str(folder / "good.png")
    assert entry["masks"] == len(sa1b.read_record(tmp_path / "out" / "good.json").annotations)
    assert set(entry["seconds"]) == {"read", "embed", "click", "select", "write"}
    assert document["settings"]["points_per_side"] == 2


def test_time_that_was_up_is_told(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photo, "--points-per-side", "16", "--max-seconds", "0.000001", "--out", tmp_path) == 0
    assert " clicks when time was up; read " in capsys.readouterr().out


def test_a_folder_of_other_settings_is_refused_unless_it_may_be_replaced(
    photo: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    arguments = (photo, "--points-per-side", "1", "--stability-score-thresh", "0.5", "--out", tmp_path)
    assert run(*arguments) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'coffee.json'} was made with other settings (points_per_side 2, now 1, "
        "stability_score_thresh 0.95, now 0.5); choose another --out, or give --overwrite.\n"
    )
    assert run(*arguments, "--overwrite") == 0
    settings = json.loads((tmp_path / "coffee.json").read_text())["segany"]["everything"]
    assert settings["points_per_side"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "half"], f"mode must be one of {', '.join(MODES)}, got 'half'."),
        (["--format", "yolo"], f"format must be one of {', '.join(FORMATS)}, got 'yolo'."),
        (["--points-per-side", "0"], "a point grid needs at least 1 point per side, got 0; give 1 or more."),
        (["--pred-iou-thresh", "1.5"], "pred_iou_thresh must be from 0 to 1, got 1.5."),
        (["--stability-score-thresh", "-0.1"], "stability_score_thresh must be from 0 to 1, got -0.1."),
        (["--box-nms-thresh", "nan"], "box_nms_thresh must be from 0 to 1, got nan."),
        (["--crop-n-layers", "9"], "crop_n_layers must be from 0 to 8, got 9."),
        (["--min-mask-region-area", "-1"], "min_mask_region_area must be 0 or more pixels, got -1."),
        (["--max-seconds", "0"], "max_seconds must be above 0, got 0."),
    ],
)
def test_bad_values_end_with_their_reason(
    arguments: list[str], message: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photo, *arguments, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not (tmp_path / "out").exists()


def test_workers_below_1_and_an_unknown_model(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photo, "--workers", "0") == 2
    capsys.readouterr()
    assert run(photo, "--model", "mobile_samm") == 1
    assert "mobile_sam" in capsys.readouterr().err


def test_the_defaults_are_those_of_the_settings() -> None:
    # They are written out in the command, since importing them would make every other command start slower.
    defaults = {name: parameter.default for name, parameter in inspect.signature(everything.command).parameters.items()}
    for settings in (GridSettings(), Thresholds()):
        for name, value in vars(settings).items():
            assert defaults.get(name, value) == value, name
    assert {"points_per_side", "pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "crop_n_layers"} <= set(
        defaults
    )
    assert defaults["mode"] in MODES
    assert defaults["file_format"] in FORMATS


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_nothing_half_written(photo: Path, tmp_path: Path) -> None:
    out, many = tmp_path / "out", tmp_path / "many"
    many.mkdir()
    for number in range(40):
        shutil.copy(photo, many / f"{number:02}.png")
    command = [sys.executable, "-m", "segany", "everything", str(many), *FEW, "--workers", "2", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.strip() == "stopped; nothing half-written was left. Run the same command again to go on."
    records = list(out.glob("*.json"))
    assert 1 <= len(records) < 40
    assert not list(out.glob(".*"))
    for path in records:
        sa1b.read_record(path)
        with Image.open(path.with_suffix(".overlay.png")) as overlay:
            overlay.load()
