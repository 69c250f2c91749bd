"""`segany cache`."""

import json
from pathlib import Path

import numpy as np
import pytest

from segany.cli.main import main
from segany.predict import EmbeddingCache, Predictor
from segany.predict.backends import FakeBackend


def test_info_and_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SEGANY_CACHE", str(tmp_path))
    monkeypatch.setenv("SEGANY_CACHE_BYTES", "5000000")
    predictor = Predictor(backend=FakeBackend(), cache=EmbeddingCache.default())
    predictor.embed(np.zeros((5, 7, 3), np.uint8))
    assert main(["cache", "info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["folder"], found["files"], found["max_bytes"]) == (str(tmp_path), 1, 5_000_000)
    assert main(["cache", "info"]) == 0
    assert "1 embeddings" in capsys.readouterr().out
    assert main(["cache", "clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == 1
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out.startswith("removed 0 embeddings")
