"""`segany quantize`: what is asked of the library, and what is said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segany.cli.main import main
from segany.predict import quantize
from segany.predict.quantize import Quantized


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def fake(model: str, images: list[Path] | None, *, progress: object) -> Quantized:
        calls.append((model, images))
        return Quantized(model, min(len(images or "1234"), 32), "0" * 64, 16, 0.99, 0.98)

    monkeypatch.setattr(quantize, "quantize", fake)
    return calls


def test_without_photos_the_samples_are_meant(asked: list[tuple[Any, ...]]) -> None:
    assert main(["quantize"]) == 0
    assert asked == [("mobile_sam", None)]


def test_a_folder_of_photos(asked: list[tuple[Any, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(40):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / f"{number:02}.png")
    assert main(["quantize", str(tmp_path), "--model", "lite_medsam"]) == 0
    ((model, images),) = asked
    assert model == "lite_medsam"
    assert [path.name for path in images] == [f"{number:02}.png" for number in range(40)]
    assert capsys.readouterr().out == "32 of 40 images were taken, spread evenly\n"


def test_json(asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mask_iou"] == 0.99
