"""SA-1B as a folder: one JSON record for each image, beside it or in a folder of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

from segany.formats import sa1b
from segany.formats._folders import files_below
from segany.formats.category import Category, FormatName
from segany.formats.problems import ProblemLog
from segany.schema import Record

__all__ = ["Sa1bFolder"]

_JSON = frozenset({".json"})


class Sa1bFolder:
    """Record files and their images; a reader of `segany.formats.open_dataset`."""

    categories: tuple[Category, ...] = ()
    notes: tuple[str, ...] = ()
    format: FormatName = "sa1b"

    def __init__(self, path: Path, log: ProblemLog) -> None:
        """Find the folders; the files are listed as they are read.

        Args:
            path: A folder that holds record files, also in folders of its own, or one record file.
            log: Takes the problems.
        """
        self._path, self._log = path, log
        self._last: tuple[Record, Path] | None = None
        top = path if path.is_dir() else path.parent
        folders = sorted(Path(root) for root, _, _ in os.walk(top)) if path.is_dir() else [top]
        # The images lie beside the records, or beside the records' folder.
        self._roots = list(dict.fromkeys([*folders, top / "images", top.parent / "images"]))

    def __len__(self) -> int:
        return sum(1 for _ in self._files())

    def records(self) -> Iterator[Record]:
        """The records, by the files' names."""
        for path in self._files():
            record = None
            with self._log.watch(str(path)):
                record = sa1b.read_record(path, self._log)
            if record is not None:
                self._last = (record, path)
                yield record

    def image_file(self, record: Record) -> Path | None:
        """The image."""
        return self._find(record.image.file_name)

    def annotation_path(self, record: Record) -> Path | None:
        """The record file."""
        if self._last is not None and self._last[0] is record:
            return self._last[1]
        return self._find(str(Path(record.image.file_name).with_suffix(".json")))

    def _files(self) -> Iterator[Path]:
        return files_below(self._path, _JSON) if self._path.is_dir() else iter([self._path])

    def _find(self, name: str) -> Path | None:
        for place, root in enumerate(self._roots):
            if (root / name).is_file():
                # Where one was found, the next ones will be.
                self._roots.insert(0, self._roots.pop(place))
                return root / name
        return None
