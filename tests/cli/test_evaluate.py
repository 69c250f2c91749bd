import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany.cli.main import main
from segany.evaluate import subjects
from segany.evaluate.item_table import read_items
from segany.formats import coco
from segany.geometry import Size
from segany.masks import RLE
from segany.predict import Predictor
from segany.predict.backends.fake import FakeBackend
from segany.schema import Annotation, ImageInfo, Record

FILES = {"report.json", "report.md", "report.html", "items.parquet"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of other runs are not to be found; weights are where they were."""
    from segany.evaluate.result_cache import ResultCache

    monkeypatch.setattr(ResultCache, "default", classmethod(lambda cls: cls(tmp_path / "rows")))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any model is the fake."""
    monkeypatch.setattr(subjects, "Predictor", lambda model, **options: Predictor(backend=FakeBackend()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images with a coloured rectangle each."""
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    records = []
    for number in range(2):
        pixels = np.full((60, 80, 3), 90, dtype=np.uint8)
        mask = np.zeros((60, 80), dtype=bool)
        mask[15:45, 20 + 5 * number : 60] = True
        pixels[mask] = (220, 60, 40)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        annotation = Annotation(number, RLE.from_mask(mask), category="thing")
        records.append(Record(ImageInfo(number, f"{number}.png", Size(60, 80)), (annotation,)))
    coco.write_records(records, folder / "instances.json")
    return folder


def evaluate(*words: str | Path) -> int:
    return main(["evaluate", *map(str, words)])


@pytest.mark.usefixtures("fake")
def test_a_report_is_written(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert evaluate("clicks", "--data", f"mine={data}", "--out", out, "--model", "mobile_sam") == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1] == f"look at {out / 'report.html'}"
    assert "mIoU@1" in shown
    assert {path.name for path in out.iterdir()} == FILES
    document = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert document["command"].startswith(f"segany evaluate clicks --data mine={data} --model mobile_sam --out")
    assert len(list(read_items(out / "items.parquet"))) == 2


def test_real_weights(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("clicks", "--data", f"mine={data}", "--out", tmp_path / "out", "--set", "counts=1,2", "--json")
    assert evaluate(*words, "--runtime", "torch", "--precision", "float32") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["results"][0]["metrics"]["mIoU@1"]["value"] > 0.9


@pytest.mark.usefixtures("fake")
def test_what_was_measured_is_taken_again_unless_fresh(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("noc", "--data", f"mine={data}", "--out", tmp_path / "out", "--set", "max_clicks=2", "--json")
    found = []
    for more in ((), (), ("--fresh",)):
        assert evaluate(*words, *more) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [document["images_from_cache"] for document in found] == [0, 2, 0]
    assert found[0]["results"] == found[1]["results"] == found[2]["results"]


@pytest.mark.usefixtures("fake")
def test_two_reports_are_compared(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        assert evaluate("clicks", "--data", f"mine={data}", "--out", tmp_path / name) == 0
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    shown = capsys.readouterr().out
    assert "mIoU@1" in shown
    assert "0 of 13 differences are larger than chance" in shown
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {one["verdict"] for one in document["differences"]} == {"undecided"}


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("protocol", ["boxes", "calibration"])
def test_the_other_protocols(protocol: str, data: Path, tmp_path: Path) -> None:
    assert evaluate(protocol, "--data", f"mine={data}", "--out", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


@pytest.mark.usefixtures("fake")
def test_agreement_takes_two(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("agreement", "--data", f"mine={data}", "--out", tmp_path / "out", "--model", "mobile_sam")
    assert evaluate(*words) == 1
    assert capsys.readouterr().err == ("error: agreement needs at least 2 model(s), each once, got ['mobile_sam'].\n")
    assert evaluate(*words, "--model", "mobile_sam@torch") == 0
    assert "mobile_sam / mobile_sam@torch" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("fake")
def test_problems_are_told_and_strict_stops(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "images" / "1.png").unlink()
    words = ("clicks", "--data", f"mine={data}", "--out", tmp_path / "out")
    assert evaluate(*words) == 0
    assert "mine: 1 problem in the data: " in capsys.readouterr().err
    assert evaluate(*words, "--strict") == 1
    assert "1.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("clocks", "--data", "a=."), "error: no protocol is named 'clocks'; there are agreement, boxes,"),
        (("clicks", "--data", "folder"), "error: --data must be NAME=VALUE, got 'folder'."),
        (("clicks", "--data", "a=nowhere"), "error: no such file or folder: nowhere;"),
        (("clicks", "--data", "a=.", "--set", "speed=1"), "error: clicks has no setting 'speed'; it has: chooser,"),
        (("clicks", "--data", "a=.", "--limit", "0"), "error: limit must be 1 or more, got 0;"),
        (("clicks", "--data", "a=.", "--model", "x@y"), "error: x@y: after @ there may be a runtime"),
    ],
)
def test_bad_arguments(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(*words, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err.startswith(message)
    assert not (tmp_path / "out").exists()


def test_a_missing_option_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("clicks") == 2
    assert "--data" in capsys.readouterr().err


@pytest.mark.usefixtures("fake")
def test_an_output_folder_that_is_a_file(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("", encoding="utf-8")
    words = ("clicks", "--data", f"mine={data}", "--out", tmp_path / "out", "--set", "counts=1")
    assert evaluate(*words) == 1
    assert "cannot write into" in capsys.readouterr().err
