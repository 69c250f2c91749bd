"""Parquet: tables from elsewhere, damaged ones, and questions in SQL."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segany.errors import RecordError
from segany.formats import open_dataset
from segany.formats.tables import schemas
from segany.formats.writers import tables
from segany.formats.writers.target import Options
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Record

SIZE = Size(6, 8)


def a_mask(k: int) -> RLE:
    return RLE.from_counts(SIZE, [k, 3, SIZE.area - k - 3])


def a_set(folder: Path, images: int = 3) -> Path:
    folder.mkdir()
    writer = tables.writer(folder, Options("parquet", "none"))
    for number in range(images):
        found = tuple(Annotation(k, a_mask(k + number), category="x'; DROP TABLE images; --") for k in (1, 2))
        writer.add(Record(ImageInfo(number, f"{number}.png", SIZE), found), None)
    writer.finish()
    writer.close()
    return folder


def changed(folder: Path, name: str, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    table = pq.read_table(folder / name)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / name)
    return folder


def test_tables_answer_questions_in_sql(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    folder = a_set(tmp_path / "set")
    asked = f"SELECT category, count(*), sum(area) FROM '{folder}/annotations.parquet' GROUP BY 1"
    assert duckdb.sql(asked).fetchall() == [("x'; DROP TABLE images; --", 6, 18)]


PROBLEMS: list[tuple[str, str, Any, str, int]] = [
    ("annotations.parquet", "counts", "\x01", "invalid", 5),
    ("annotations.parquet", "counts", RLE.from_counts(Size(9, 9), [1, 80]).counts.decode(), "invalid", 5),
    ("annotations.parquet", "counts", None, "invalid", 5),
    ("annotations.parquet", "id", "many", "invalid", 5),
    ("annotations.parquet", "id", "2", "duplicate_id", 5),
    ("annotations.parquet", "prompts", "{", "bad_json", 5),
    ("annotations.parquet", "prompts", '[{"points": 3}]', "invalid", 5),
    ("annotations.parquet", "extra", '{"a": NaN}', "bad_json", 5),
    ("annotations.parquet", "extra", "[" * 100_000, "bad_json", 5),
    ("annotations.parquet", "source", "a dream", "invalid", 5),
    ("annotations.parquet", "image", 77, "missing_image", 5),
    ("annotations.parquet", "image", None, "missing_image", 5),
    ("annotations.parquet", "image", -1, "missing_image", 5),
    ("images.parquet", "height", -3, "invalid", 4),
    ("images.parquet", "width", 2**40, "invalid", 4),
    ("images.parquet", "extra", "[", "bad_json", 4),
    ("images.parquet", "image_id", None, "invalid", 4),
    ("images.parquet", "ignore", "0", "invalid", 4),
    ("images.parquet", "file_name", "../a.png", "refused", 4),
]


@pytest.mark.parametrize(("table", "column", "value", "kind", "left"), PROBLEMS)
def test_a_bad_row_is_left_out_and_told(
    table: str, column: str, value: Any, kind: str, left: int, tmp_path: Path
) -> None:
    folder = changed(a_set(tmp_path / "set"), table, lambda rows: rows[0].__setitem__(column, value))
    dataset = open_dataset(folder, require_images=False)
    assert sum(len(each.annotations) for each in dataset.records()) == left
    told = [problem.kind for problem in dataset.problems if problem.kind != "missing_image" or kind == problem.kind]
    assert kind in told


def test_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    folder = a_set(tmp_path / "set")
    table = pq.read_table(folder / "annotations.parquet")
    pq.write_table(table.drop_columns(["counts"]), folder / "annotations.parquet")
    with pytest.raises(RecordError, match=r"annotations\.parquet: wanted a column counts of string, got none\.$"):
        open_dataset(folder)


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    folder = a_set(tmp_path / "set")
    content = (folder / "annotations.parquet").read_bytes()
    (folder / "annotations.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(RecordError, match="is no Parquet file, or is damaged"):
        open_dataset(folder)
    (folder / "annotations.parquet").write_bytes(content)
    images, _ = schemas()
    damaged = images.with_metadata({b"segany.categories": json.dumps([{"colour": 1}]).encode()})
    pq.write_table(pa.Table.from_pylist([], schema=damaged), folder / "images.parquet")
    with pytest.raises(RecordError, match="its list of classes is damaged"):
        open_dataset(folder)
