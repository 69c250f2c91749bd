import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segany.cli.main import main
from segany.formats import coco
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Record


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    mask = np.zeros((60, 80), dtype=bool)
    mask[15:45, 20:60] = True
    records = []
    for number in range(3):
        Image.fromarray(np.full((60, 80, 3), 90, dtype=np.uint8)).save(folder / "images" / f"{number}.png")
        info = ImageInfo(number, f"{number}.png", Size(60, 80))
        records.append(Record(info, (Annotation(number, RLE.from_mask(mask)),)))
    coco.write_records(records, folder / "instances.json")
    return folder


def audit(*words: str | Path) -> int:
    return main(["audit", *map(str, words)])


def test_masks_are_drawn_and_scored(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "audit"
    assert audit("draw", data, "--out", out, "--masks", "2") == 0
    assert capsys.readouterr().out == (
        f"2 masks; correct {out / 'instances.json'}, or write verdicts into {out / 'masks.csv'}\n"
        f"look at {out / 'sheet-001.png'}\n"
    )
    table = out / "masks.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([lines[0], f"{lines[1]}wrong", lines[2]]) + "\n", encoding="utf-8")
    assert audit("score", out) == 0
    shown = capsys.readouterr().out
    assert "masks: 2 of 2 images" in shown
    assert "IoU above 0.90: 50.0 (" in shown
    assert "left as they were: 1; removed or wrong: 1; skipped: 0; added: 0" in shown
    assert "neither changed nor given a verdict: 1; they count as right" in shown
    assert audit("score", out, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["masks"], document["removed"], document["over_75"]["mean"]) == (2, 1, 0.5)


def test_a_folder_that_is_no_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit("score", tmp_path) == 1
    assert "original.json" in capsys.readouterr().err
