"""`segany export`: what is asked of the library, and what is said."""

import json
from pathlib import Path
from typing import Any

import pytest

import segany.deploy
from segany.cli.main import main
from segany.deploy import ExportCard, Exported, GraphFile
from segany.model.config import CONFIGS

AGREEMENT = {"mask_iou_click": 0.99, "mask_iou_candidates": 0.98, "mask_iou_box": 1.0, "objects": 36, "images": 4}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def export(kind: str, model: str, folder: Path | None, *, precision: str, progress: object, **how: Any) -> Exported:
        calls.append((kind, model, folder, precision, how))
        graph = GraphFile(f"{kind}.onnx", 1_500_000, "0" * 64, {}, {})
        card = ExportCard(kind, model, precision, "1", "2", CONFIGS["mobile_sam"], {kind: graph}, AGREEMENT, {})
        return Exported(folder or Path("made"), card)

    monkeypatch.setattr(segany.deploy, "export_graphs", export)
    return calls


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_sizes_and_the_agreement_are_said(
    asked: list[tuple[Any, ...]], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", kind, "--precision", "int8"]) == 0
    assert asked == [(kind, "mobile_sam", None, "int8", {"data": None, "limit": 200, "for_page": False})]
    assert capsys.readouterr().out == (
        f"{Path('made') / kind}.onnx: 1.5 MB\n"
        "agreement: mean mask IoU with float32 0.9900 over 36 clicks in 4 images (0.9800 of all three candidates, "
        "1.0000 for boxes)\n"
    )


def test_json_is_the_card(asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "decoder", "--out", "here", "--data", "photos", "--limit", "9", "--json"]) == 0
    how = {"data": Path("photos"), "limit": 9, "for_page": False}
    assert asked == [("decoder", "mobile_sam", Path("here"), "float32", how)]
    assert json.loads(capsys.readouterr().out)["agreement"] == AGREEMENT


def test_a_kind_is_asked_for_and_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export"]) == 2
    assert "KIND" in capsys.readouterr().err
    assert main(["export", "all"]) == 1
    assert capsys.readouterr().err == "error: kind must be one of decoder, encoder, got 'all'.\n"
