"""`segany segment`, with the real default weights and a real photo."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany import weights
from segany.cli._output import output_names
from segany.cli.main import main
from segany.formats import sa1b
from segany.masks.rle import RLE


@pytest.fixture(scope="module")
def photo() -> Path:
    return weights.sample("coffee")


def run(*arguments: str | Path) -> int:
    return main(["segment", *map(str, arguments)])


def printed_error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_one_click_writes_an_overlay_a_mask_and_a_record(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photo, "--point", "300,200", "--out", tmp_path) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "coffee.json",
        "coffee.mask-0.png",
        "coffee.overlay.png",
    ]
    record = sa1b.read_record(tmp_path / "coffee.json")
    (annotation,) = record.annotations
    mask = np.asarray(Image.open(tmp_path / "coffee.mask-0.png"))
    assert RLE.from_mask(mask > 0) == annotation.segmentation
    assert annotation.point_coords == ((300.0, 200.0),)
    assert annotation.predicted_iou is not None
    assert annotation.predicted_iou > 0.8
    with Image.open(tmp_path / "coffee.overlay.png") as overlay, Image.open(photo) as original:
        assert overlay.size == original.size
    assert "coffee.mask-0.png" in capsys.readouterr().out.replace("\n", "")


def test_json_is_one_document_with_unrounded_scores_and_nothing_else(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photo, "--point", "300,200", "--point", "10,10,-", "--json", "--out", tmp_path) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert printed.err == ""
    (image,) = document["images"]
    (mask,) = image["masks"]
    assert mask["predicted_iou"] == sa1b.read_record(tmp_path / "coffee.json").annotations[0].predicted_iou
    assert len(repr(mask["predicted_iou"])) > 8
    assert RLE.from_coco(mask["segmentation"]).area == mask["area"]
    assert set(image["seconds"]) == {"read", "embed", "predict", "write"}


def test_multimask_keeps_three_and_cutouts_have_transparent_ground(photo: Path, tmp_path: Path) -> None:
    assert run(photo, "--point", "300,200", "--multimask", "--cutout", "--out", tmp_path) == 0
    cutouts = sorted(tmp_path.glob("*.cutout-*.png"))
    assert [file.name for file in cutouts] == [f"coffee.cutout-{k}.png" for k in range(3)]
    alpha = np.asarray(Image.open(cutouts[0]))[..., 3]
    areas = {0, 255}
    assert set(np.unique(alpha)) == areas
    assert not list(tmp_path.glob("*.mask-*.png"))


def test_each_box_is_a_prompt_of_its_own_and_a_mask_file_helps(photo: Path, tmp_path: Path) -> None:
    assert run(photo, "--box", "170,15,420,315", "--box", "400,150,590,390", "--out", tmp_path / "boxes") == 0
    boxes = sa1b.read_record(tmp_path / "boxes" / "coffee.json").annotations
    assert len(boxes) == 2
    rough = tmp_path / "rough.png"
    small = boxes[0].segmentation.to_mask()[::8, ::8]
    Image.fromarray(small.astype(np.uint8) * 255).save(rough)
    assert run(photo, "--mask", rough, "--out", tmp_path / "mask") == 0
    (found,) = sa1b.read_record(tmp_path / "mask" / "coffee.json").annotations
    a, b = found.segmentation.to_mask(), boxes[0].segmentation.to_mask()
    assert (a & b).sum() / (a | b).sum() > 0.9


def test_a_folder_with_prompts_by_file_name_goes_on_after_a_bad_file(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(photo, folder / "good.png")
    (folder / "truncated.png").write_bytes(photo.read_bytes()[:20000])
    prompts = tmp_path / "prompts.json"
    both = [{"points": [[300, 200]]}, {"box": [150, 60, 480, 300]}]
    prompts.write_text(json.dumps({"good.png": both, "truncated.png": both}))
    assert run(folder, "--prompts", prompts, "--out", tmp_path / "out") == 1
    assert len(sa1b.read_record(tmp_path / "out" / "good.json").annotations) == 2
    assert sorted(file.name for file in (tmp_path / "out").glob("truncated*")) == []
    assert "truncated.png" in printed_error(capsys)


def test_results_of_photos_with_one_stem_do_not_clash() -> None:
    paths = [Path("a/x.jpg"), Path("a/x.png"), Path("b/x.jpg"), Path("b/y.jpg")]
    assert output_names(paths) == ["a/x_jpg", "a/x_png", "b/x", "b/y"]
    assert output_names([Path("a/x.jpg")]) == ["x"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to segment: --point x,y, --box x0,y0,x1,y1, --mask FILE or --prompts FILE."),
        (["--point", "5"], "--point must be x,y or x,y,- for a point off the object, got '5'."),
        (["--point", "a,b"], "--point must be numbers separated by commas, got 'a,b'."),
        (["--point", "1,2,7"], "--point: the third part must be + (on the object) or - (off it), got '7'."),
        (["--point", "nan,3"], "points must be finite, got NaN or infinity in [[nan, 3.0]]."),
        (
            ["--point", "5000,20"],
            "prompt 0: point 0 (x=5000, y=20) is outside the image, whose x runs from 0 to 599 and y from 0 to 399.",
        ),
        (
            ["--point", "300,450"],
            "prompt 0: point 0 (x=300, y=450) is outside the image, whose x runs from 0 to 599 and y from 0 to 399."
            " It would fit with x and y swapped.",
        ),
        (["--box", "1,2,3"], "--box must be x0,y0,x1,y1, got '1,2,3'."),
        (
            ["--box", "300,200,100,250"],
            "a box must have x1 > x0 and y1 > y0, got x0=300, y0=200, x1=100, y1=250; "
            "boxes are corners (x0, y0, x1, y1), not a corner with width and height.",
        ),
        (
            ["--box", "700,10,800,90"],
            "prompt 0: the box (700, 10, 800, 90) is outside the image, which is 600 wide and 400 high.",
        ),
        (
            ["--box", "0.1,0.2,0.5,0.6"],
            "prompt 0: the box (0.1, 0.2, 0.5, 0.6) is smaller than a pixel; boxes are in pixels: "
            "multiply normalised ones by the width (600) and the height (400).",
        ),
        (
            ["--point", "1,2", "--box", "1,2,30,40", "--box", "1,2,50,60"],
            "several --box with --point or --mask are ambiguous; put them into a file for --prompts.",
        ),
    ],
)
def test_bad_prompts_end_with_their_reason(
    arguments: list[str], message: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photo, *arguments, "--out", tmp_path / "out") == 1
    assert printed_error(capsys) == f"error: {message}\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[]", "p.json: the list must be a list with at least one prompt."),
        ("{}", "the prompts file has nothing for coffee.png; add it, or leave the image out."),
        ("7", "p.json must hold a list of prompts, or file names with a list of prompts each."),
        ("[{}]", "p.json: prompt 0 of the list: a prompt needs points, a box or a mask, got none of them; "
         "give at least one."),
        ('[{"points": [[1, 2]], "labels": [7]}]',
         "p.json: prompt 0 of the list: a label must be 1 (on the object) or 0 (off it), got 7."),
        ('[{"points": [[1, 2]], "labels": [1, 0]}]',
         "p.json: prompt 0 of the list: points and labels must have one length, got 1 points and 2 labels."),
        ('[{"point": [1, 2]}]',
         "p.json: prompt 0 of the list: unknown key 'point' in a prompt; it may have box, labels, mask, points."),
    ],
)  # fmt: skip
def test_bad_prompt_files_end_with_their_reason(
    document: str, message: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.json").write_text(document)
    assert run(photo, "--prompts", tmp_path / "p.json", "--out", tmp_path / "out") == 1
    assert printed_error(capsys) == f"error: {message}\n"


def test_a_prompts_file_that_is_not_json_says_where(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.json").write_text("[{]")
    assert run(photo, "--prompts", tmp_path / "p.json", "--out", tmp_path / "out") == 1
    assert printed_error(capsys).startswith("error: p.json is not JSON: ")


def test_a_mask_of_another_shape_is_refused(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upright = np.zeros((600, 400), dtype=np.uint8)
    upright[100:200, 100:200] = 255
    Image.fromarray(upright).save(tmp_path / "turned.png")
    assert run(photo, "--mask", tmp_path / "turned.png", "--out", tmp_path / "out") == 1
    error = printed_error(capsys)
    assert "600" in error
    assert "400" in error
    assert "swapped" in error


def test_no_such_file_and_no_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none.jpg", "--point", "1,1") == 1
    assert "none.jpg" in printed_error(capsys)
    (tmp_path / "text.jpg").write_text("this is no picture")
    assert run(tmp_path / "text.jpg", "--point", "1,1") == 1
    assert "text.jpg" in printed_error(capsys)


def test_too_many_pixels_names_the_option(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photo, "--point", "1,1", "--max-pixels", "1000", "--out", tmp_path) == 1
    assert "--max-pixels" in printed_error(capsys)


def test_an_unknown_model_gives_the_nearest_names(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photo, "--point", "1,1", "--model", "mobile_samm") == 1
    assert "mobile_sam" in printed_error(capsys)


def test_weights_that_run_code_are_refused(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    flag = tmp_path / "was-run"

    class Attack:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (flag,))

    torch.save({"model": Attack()}, tmp_path / "evil.pth")
    assert run(photo, "--point", "1,1", "--model", tmp_path / "evil.pth") == 1
    assert printed_error(capsys).startswith("error: ")
    assert not flag.exists()


def test_corrupted_weights_are_refused(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    half = tmp_path / "half.pt"
    half.write_bytes(weights.path("mobile_sam").read_bytes()[:1_000_000])
    assert run(photo, "--point", "1,1", "--model", half) == 1
    assert "half.pt" in printed_error(capsys)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits on file size are a POSIX thing")
def test_a_full_disk_leaves_nothing_half_written(photo: Path, tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from segany.cli.main import main; import segany.cli._output as o; real = o.write_outcome\n"
        "def limited(*a, **k):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); return real(*a, **k)\n"
        "import segany.cli.segment as s; s.write_outcome = limited\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "segment", str(photo), "--point", "300,200", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Nothing was left half-written" in done.stderr
    for file in tmp_path.iterdir():
        assert not file.name.startswith(".")
        assert file.stat().st_size < 3000
        if file.suffix == ".png":
            Image.open(file).load()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_nothing_half_written(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    many = tmp_path / "many"
    many.mkdir()
    for number in range(40):
        shutil.copy(photo, many / f"{number:02}.png")
    command = [sys.executable, "-m", "segany", "segment", str(many), "--point", "300,200", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in errors
    written = list(out.iterdir())
    assert written
    assert len(list(out.glob("*.json"))) < 40
    for file in written:
        assert not file.name.startswith(".")
        if file.suffix == ".png":
            Image.open(file).load()
        else:
            json.loads(file.read_text())
