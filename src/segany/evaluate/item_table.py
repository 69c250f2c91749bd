"""ItemTable: the rows of a run as columns, and as `items.parquet`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from segany.errors import MissingExtraError, RecordError
from segany.evaluate.metrics import Row
from segany.files import atomic_path

__all__ = ["ItemTable", "read_items"]

_CHUNK = 5000


class ItemTable:
    """Rows, kept as columns of Arrow arrays: a number takes eight bytes."""

    def __init__(self) -> None:
        """Start empty.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        self._arrow = _import_arrow()
        self._waiting: list[dict[str, Any]] = []
        self._chunks: list[Any] = []

    def add(self, rows: Sequence[Row]) -> None:
        """Take in rows without their hidden columns."""
        self._waiting += [{name: value for name, value in row.items() if not name.startswith("_")} for row in rows]
        if len(self._waiting) >= _CHUNK:
            self._flush()

    def columns(self) -> dict[str, list[Any]]:
        """Column -> its values; None where a row has none."""
        return dict(self._table().to_pydict())

    def write(self, path: Path) -> None:
        """Write a Parquet file, atomically.

        Raises:
            OutputError: It cannot be written.
        """
        import pyarrow.parquet

        with atomic_path(path) as temporary:
            pyarrow.parquet.write_table(self._table(), temporary)

    def _table(self) -> Any:
        self._flush()
        if not self._chunks:
            return self._arrow.table({})
        return self._arrow.concat_tables(self._chunks, promote_options="permissive")

    def _flush(self) -> None:
        if self._waiting:
            names = dict.fromkeys(name for row in self._waiting for name in row)
            columns = {name: [row.get(name) for row in self._waiting] for name in names}
            self._chunks.append(self._arrow.table(columns))
            self._waiting.clear()


def read_items(path: Path) -> Iterator[Row]:
    """Rows of an `items.parquet`.

    Raises:
        RecordError: It is not there, or no such file.
        MissingExtraError: pyarrow is not installed.
    """
    arrow = _import_arrow()
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, arrow.ArrowInvalid) as error:
        raise RecordError(f"{path}: it cannot be read as Parquet: {error}; run the evaluation again.") from error
    for batch in table.to_batches(max_chunksize=_CHUNK):
        yield from batch.to_pylist()


def _import_arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("Evaluation", "evaluate") from error
    return pyarrow
