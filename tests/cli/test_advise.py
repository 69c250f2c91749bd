import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany import weights
from segany.cli.main import main
from segany.errors import WeightsNotFoundError
from segany.evaluate import subjects
from segany.evaluate.result_cache import ResultCache
from segany.formats import coco
from segany.geometry import Size
from segany.masks import RLE
from segany.predict import Predictor
from segany.predict.backends.fake import FakeBackend
from segany.schema import Annotation, ImageInfo, Record


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any model is the fake; RITM's weights cannot be had; rows of other runs are not to be found."""
    monkeypatch.setattr(ResultCache, "default", classmethod(lambda cls: cls(tmp_path / "rows")))
    monkeypatch.setattr(subjects, "Predictor", lambda model, **options: Predictor(backend=FakeBackend()))

    def nowhere(name: str, **options: object) -> Path:
        raise WeightsNotFoundError(f"{name} is nowhere.")

    monkeypatch.setattr(weights, "path", nowhere)


def squares(folder: Path, side: int) -> Path:
    """Five images with a bright square each, which Otsu finds exactly and a disc does not."""
    (folder / "images").mkdir(parents=True)
    records = []
    for number in range(5):
        pixels = np.full((60, 80, 3), 30, dtype=np.uint8)
        mask = np.zeros((60, 80), dtype=bool)
        mask[15 : 15 + side, 20 + 2 * number : 20 + side + 2 * number] = True
        pixels[mask] = (220, 200, 240)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        annotation = Annotation(number, RLE.from_mask(mask), category="thing")
        records.append(Record(ImageInfo(number, f"{number}.png", Size(60, 80)), (annotation,)))
    coco.write_records(records, folder / "instances.json")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return squares(tmp_path / "data", 30)


def advise(*words: str | Path) -> int:
    return main(["advise", *map(str, words)])


def test_the_right_method_wins(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert advise(data, "--task", "click", "--task", "box", "--out", out, "--json") == 0
    shown = capsys.readouterr()
    assert shown.err == "without ritm: ritm_hrnet18 is nowhere.\n"
    document = json.loads(shown.out)
    assert [task["task"] for task in document["tasks"]] == ["one click", "a box"]
    click = document["tasks"][0]
    assert {one["name"] for one in click["contenders"]} == {"otsu", "grabcut", "mobile_sam"}
    values = {one["name"]: one["value"] for one in click["contenders"]}
    assert values["otsu"] > 0.9 > values["mobile_sam"]
    assert (click["images"], click["objects"], document["clicked"]) == (5, 5, 5)
    assert document["failures"] == []
    assert sorted(path.name for path in out.iterdir()) == ["advice.json", "advice.md"]
    assert json.loads((out / "advice.json").read_text(encoding="utf-8")) == document


def test_what_none_of_them_finds_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = squares(tmp_path / "data", 8), tmp_path / "out"
    assert advise(data, "--only", "--model", "mobile_sam", "--task", "click", "--limit", "3", "--out", out) == 0
    shown = capsys.readouterr().out
    assert "For one click there is only mobile_sam: mIoU@1 " in shown
    assert "No method finds 3 of 3 objects (100%) with one click: 3 small." in shown
    assert shown.endswith(f"look at {out / 'advice.md'}\n")
    with Image.open(out / "failures.png") as picture:
        assert picture.width > 200
    assert "| thing | small |" in (out / "advice.md").read_text(encoding="utf-8")


def test_bad_words(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert advise(data, "--only") == 1
    assert capsys.readouterr().err == "error: --only needs models to measure; name them by --model.\n"
    assert advise(data, "--task", "dance", "--only", "--model", "otsu") == 1
    assert capsys.readouterr().err == "error: no task is named 'dance'; there are click, clicks, box, everything.\n"
