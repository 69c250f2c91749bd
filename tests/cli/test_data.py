"""`segany data inspect`."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from segany.cli.main import main


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Two images with two objects each and undecided pixels; a third without a mask."""
    labels = np.zeros((40, 60), dtype=np.uint8)
    labels[5:15, 5:15], labels[20:30, 20:40], labels[:3] = 1, 2, 255
    for folder in ("images", "labels"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    for name in ("a", "b", "c"):
        PillowImage.new("RGB", (60, 40), (90, 120, 60)).save(tmp_path / "set" / "images" / f"{name}.png")
    for name in ("a", "b"):
        PillowImage.fromarray(labels).save(tmp_path / "set" / "labels" / f"{name}.png")
    return tmp_path / "set"


def test_it_says_what_was_found(maps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(maps)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{maps}: voc; each number is an object, 255 is undecided",
        "images: 2 of 3 named",
        "  from 40x60 (height x width) to 40x60 (height x width), in megapixels 0.00 to 0.00, median 0.00",
        "objects: 4",
        "  per image 2 to 2, median 2",
        "  area in pixels 100 to 200, median 150",
        "  area as a share of the image 4.17% to 8.33%, median 6.25%",
        "  by COCO's sizes: 4 small, 0 medium, 0 large",
        "to ignore: 2 images with undecided pixels, 0 crowds",
        "problems: 1 missing mask",
        f"  {maps / 'images' / 'c.png'}: no mask has its name; wanted c.png in the folder of masks.",
    ]


def test_the_same_as_json_with_every_problem(maps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(maps), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["images"], found["objects"], found["sheet"]) == ("voc", 2, 4, None)
    assert found["areas"]["median"] == 150
    assert found["problems"] == {"missing_mask": 1}
    assert [problem["kind"] for problem in found["problem_list"]] == ["missing_mask"]


def test_a_sheet_shows_objects_in_colour_and_undecided_pixels_in_grey(maps: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert main(["data", "inspect", str(maps), "--sheet", str(sheet), "--limit", "1"]) == 0
    with PillowImage.open(sheet) as picture:
        assert picture.mode == "RGB"
        assert 60 <= picture.width < 120
        assert len(picture.getcolors(10_000) or ()) > 10


def test_no_sheet_without_an_image(maps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (maps / "images").iterdir():
        path.unlink()
    assert main(["data", "inspect", str(maps), "--sheet", str(tmp_path / "sheet.png")]) == 0
    assert capsys.readouterr().out.endswith("there was no image to show, so no sheet was written\n")
    assert not (tmp_path / "sheet.png").exists()


def test_strict_stops_at_the_first_problem(maps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(maps), "--strict"]) == 1
    assert capsys.readouterr().err.endswith("c.png: no mask has its name; wanted c.png in the folder of masks.\n")


def test_many_problems_are_cut_and_what_is_no_data_is_an_error(maps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(30):
        PillowImage.new("RGB", (6, 4)).save(maps / "images" / f"more{number}.png")
    assert main(["data", "inspect", str(maps)]) == 0
    out = capsys.readouterr().out
    assert "problems: 31 missing mask\n" in out
    assert out.endswith("  and 11 more; --json has them all\n")
    assert main(["data", "inspect", str(maps / "images")]) == 1
    assert "holds no annotated images that segany reads" in capsys.readouterr().err
    assert main(["data", "inspect", str(maps), "--limit", "0"]) == 1
    assert capsys.readouterr().err == "error: --limit must be at least 1, got 0.\n"
