from pathlib import Path

import pytest

from segany.evaluate import item_table
from segany.evaluate.item_table import ItemTable, read_items
from segany.evaluate.metrics import Row


def test_rows_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_table, "_CHUNK", 2)
    rows: list[Row] = [{"image": f"{k}", "iou": k / 3, "good": k > 1, "_hidden": "x"} for k in range(5)]
    table = ItemTable()
    for row in rows:
        table.add([row])
    table.write(tmp_path / "items.parquet")
    found = list(read_items(tmp_path / "items.parquet"))
    assert found == [{name: row[name] for name in ("image", "iou", "good")} for row in rows]


def test_rows_may_have_other_columns(tmp_path: Path) -> None:
    table = ItemTable()
    table.add([{"a": 1}])
    table.columns()
    table.add([{"a": None, "b": "word"}])
    table.columns()
    table.add([{"b": None, "c": 0.5}])
    assert table.columns() == {"a": [1, None, None], "b": [None, "word", None], "c": [None, None, 0.5]}


def test_no_rows_are_a_table_too(tmp_path: Path) -> None:
    table = ItemTable()
    assert table.columns() == {}
    table.write(tmp_path / "items.parquet")
    assert list(read_items(tmp_path / "items.parquet")) == []
