"""Parquet: the two tables of `segany.formats.tables`, written some thousand rows at a time."""

import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from segany.errors import RecordError
from segany.formats._own import annotation_to_own, image_to_own
from segany.formats._placing import ImageFile
from segany.formats.tables import ANNOTATIONS, CATEGORIES, IMAGES, needed, schemas
from segany.formats.writers._files import ImageFolder
from segany.formats.writers.target import Options
from segany.schema import Annotation, Record

__all__ = ["writer"]

_GROUP_ROWS = 8_192


class _Tables:
    def __init__(self, folder: Path, options: Options) -> None:
        images, annotations = schemas()
        classes = json.dumps([asdict(each) for each in options.categories]).encode()
        self._opened = ExitStack()
        self._images_table = self._table(folder / IMAGES, images.with_metadata({CATEGORIES: classes}))
        self._masks_table = self._table(folder / ANNOTATIONS, annotations)
        self._images = ImageFolder(folder / "images", options.images)

    def add(self, record: Record, image: ImageFile) -> str:
        placed = self._images.place(record, image)
        number = self._images_table.count
        try:
            row = _image_row(placed)
            rows = [_annotation_row(each, number, placed.image.file_name) for each in placed.annotations]
        except (TypeError, ValueError, RecursionError) as error:
            raise RecordError(f"the record of {placed.image.file_name} cannot be written: {error}.") from error
        self._images_table.add([row])
        self._masks_table.add(rows)
        return placed.image.file_name

    def finish(self) -> None:
        for table in (self._images_table, self._masks_table):
            table.flush()
        self._opened.close()

    def close(self) -> None:
        self._opened.close()

    def _table(self, path: Path, schema: Any) -> "_Table":
        pa = needed()
        return _Table(self._opened.enter_context(pa.parquet.ParquetWriter(path, schema, compression="zstd")), schema)


class _Table:
    """Rows on their way into a file.

    Attributes:
        count: Rows so far.
    """

    def __init__(self, file: Any, schema: Any) -> None:
        self._file, self._schema = file, schema
        self._rows: list[dict[str, Any]] = []
        self.count = 0

    def add(self, rows: list[dict[str, Any]]) -> None:
        self._rows += rows
        self.count += len(rows)
        if len(self._rows) >= _GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the waiting rows as a group."""
        pa = needed()
        try:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise RecordError(f"a record cannot be written to a table: {error}.") from error
        self._rows = []


def _image_row(record: Record) -> dict[str, Any]:
    info = record.image
    own = image_to_own(info)
    return {
        **own,
        "image_id": str(info.image_id),
        "image_id_is_number": not isinstance(info.image_id, str),
        "file_name": info.file_name,
        "height": info.size.height,
        "width": info.size.width,
        "channels": info.channels,
        "dtype": info.dtype,
        "parent": _text(own.get("parent")),
        "ignore": None if record.ignore is None else record.ignore.counts.decode("ascii"),
        "extra": _text(dict(record.extra)),
    }


def _annotation_row(annotation: Annotation, image: int, file_name: str) -> dict[str, Any]:
    own = annotation_to_own(annotation, "automatic")
    return {
        **{key: own.get(key) for key in ("category", "model_digest", "annotator", "seconds_spent")},
        "image": image,
        "file_name": file_name,
        "id": str(annotation.id),
        "id_is_number": not isinstance(annotation.id, str),
        "iscrowd": annotation.iscrowd,
        "source": annotation.source,
        "area": annotation.area,
        **dict(zip(("x0", "y0", "x1", "y1"), map(float, annotation.box), strict=True)),
        "counts": annotation.segmentation.counts.decode("ascii"),
        "predicted_iou": _number(annotation.predicted_iou),
        "stability_score": _number(annotation.stability_score),
        "review_state": annotation.review_state,
        "created_at": annotation.created_at,
        "parent_id": None if annotation.parent_id is None else str(annotation.parent_id),
        "parent_id_is_number": None if annotation.parent_id is None else not isinstance(annotation.parent_id, str),
        "point_coords": np.array(annotation.point_coords, dtype=np.float64).tolist(),
        "crop_box": None if annotation.crop_box is None else list(map(float, annotation.crop_box)),
        "prompts": _text(own.get("prompts")),
        "outline": _text(own.get("outline")),
        "extra": _text(dict(annotation.extra)),
    }


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _text(value: Any) -> str | None:
    return None if value is None or value == {} else json.dumps(value, allow_nan=False, separators=(",", ":"))


writer = _Tables
