"""Two runs that share nothing on disk give the same report, to the last digit."""

import json
from pathlib import Path
from typing import Any

import pytest

from segany.evaluate.items import EvaluationSet
from segany.evaluate.protocols import Clicks, Everything
from segany.evaluate.report import write_report
from segany.evaluate.run import evaluate
from segany.evaluate.subjects import SubjectSpec

# What a run took, and nothing that was measured.
_OF_THE_RUN = ("seconds", "wall_seconds", "images_from_cache", "peak_memory_bytes")
PROTOCOLS = [Clicks(counts=(1, 3)), Everything(points_per_side=6)]


def measured(protocol: Any, made: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SEGANY_CACHE", str(out / "embeddings"))
    spec = SubjectSpec.parse("mobile_sam", precision="float32")
    evaluation = evaluate(protocol, [EvaluationSet("made", made, limit=4)], [spec], limit=4)
    document = write_report(evaluation, out)
    # The only figure of a report that is a time.
    for part in (document["results"][0], *(each for each in document["results"][0]["slices"].get("size", {}).values())):
        part["metrics"].pop("seconds an image", None)
    rows = [column for name, column in evaluation.table.columns().items() if name != "seconds"]
    return json.dumps([{k: v for k, v in document.items() if k not in _OF_THE_RUN}, rows])


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=[protocol.name for protocol in PROTOCOLS])
def test_the_same_command_gives_the_same_figures(
    protocol: Any, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (tmp_path / name for name in ("first", "second"))
    for folder in (first, second):
        folder.mkdir()
    assert measured(protocol, made, first, monkeypatch) == measured(protocol, made, second, monkeypatch)
    assert (first / "embeddings").exists() == (protocol.name != "everything")
    assert (first / "report.md").read_text(encoding="utf-8").splitlines()[:10] == (
        (second / "report.md").read_text(encoding="utf-8").splitlines()[:10]
    )
