"""One place opens stores."""

import re
from pathlib import Path

import pytest

from segany.engine import open_store
from segany.errors import StoreError
from segany.store import create_store

SOURCE = Path(__file__).parents[2] / "src"


def test_nothing_else_calls_the_constructor() -> None:
    """Whoever opened a store another way could go round the ingest steps."""
    callers = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(
            r"(?<![\w`])(?:Store|StoreClass)\(", re.sub(r"class Store\b.*", "", path.read_text(encoding="utf-8"))
        )
    ]
    assert callers == ["segany/engine/workspace.py"]


def test_open_store(tmp_path: Path) -> None:
    create_store(tmp_path)
    with open_store(tmp_path) as store:
        assert store.records.ids() == []


def test_there_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no store at .*nowhere; make one with: segany store init"):
        open_store(tmp_path / "nowhere")
