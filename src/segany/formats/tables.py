"""Parquet: two tables of a data set, one row for each image and one for each mask, for questions in SQL.

`annotations.parquet` refers to `images.parquet` by `image`, the image's row from 0, and both are in the order of the
images. Masks are COCO's compressed run lengths; boxes are XYXY half-open. Values of any shape (`prompts`, `extra`,
`outline` and the like) are JSON. Ids are text; `id_is_number` says which of them were numbers.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from segany.errors import InputError, MissingExtraError, RecordError
from segany.formats._json import Fields, parse_json
from segany.formats._own import image_size, own_to_annotation, own_to_image
from segany.formats.category import Category, FormatName
from segany.formats.problems import FlawError, ProblemLog
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Annotation, ImageInfo, Record

__all__ = ["ANNOTATIONS", "CATEGORIES", "IMAGES", "ParquetFolder", "needed", "schemas"]

IMAGES, ANNOTATIONS = "images.parquet", "annotations.parquet"
# In the metadata of images.parquet.
CATEGORIES = b"segany.categories"
_BATCH_ROWS = 1024


def needed() -> Any:
    """The module `pyarrow`.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Reading and writing Parquet", "parquet") from error
    return pyarrow


def schemas() -> tuple[Any, Any]:
    """The columns of the two tables: images, annotations."""
    pa = needed()
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    numbers = pa.list_(number)
    common = [("image_id", text), ("image_id_is_number", pa.bool_()), ("file_name", text)]
    images = [
        *common,
        *(("height", whole), ("width", whole), ("channels", whole), ("dtype", text)),
        *(("digest", text), ("source_digest", text), ("licence", text), ("group", text)),
        *(("parent", text), ("spacing", numbers), ("affine", numbers), ("crs", text)),
        *(("ignore", text), ("extra", text)),
    ]
    annotations = [
        *(("image", whole), ("file_name", text), ("id", text), ("id_is_number", pa.bool_())),
        *(("category", text), ("iscrowd", pa.bool_()), ("source", text), ("area", whole)),
        *((name, number) for name in ("x0", "y0", "x1", "y1")),
        *(("counts", text), ("predicted_iou", number), ("stability_score", number)),
        *(("model_digest", text), ("annotator", text), ("seconds_spent", number), ("review_state", text)),
        *(("created_at", pa.timestamp("us", tz="UTC")), ("parent_id", text), ("parent_id_is_number", pa.bool_())),
        *(("point_coords", pa.list_(numbers)), ("crop_box", numbers)),
        *(("prompts", text), ("outline", text), ("extra", text)),
    ]
    return pa.schema(images), pa.schema(annotations)


class ParquetFolder:
    """The two tables; a reader of `segany.formats.open_dataset`. A batch of rows is held at a time."""

    notes: tuple[str, ...] = ()
    format: FormatName = "parquet"

    def __init__(self, path: Path, log: ProblemLog) -> None:
        """Open the files.

        Args:
            path: Their folder.
            log: Takes the problems.

        Raises:
            MissingExtraError: pyarrow is not installed.
            RecordError: They are no such tables.
        """
        self._path, self._log = path, log
        self._images, self._annotations = (
            _opened(path / name, schema) for name, schema in zip((IMAGES, ANNOTATIONS), schemas(), strict=True)
        )
        self.categories = _categories(self._images, path / IMAGES)

    def __len__(self) -> int:
        return int(self._images.metadata.num_rows)

    def records(self) -> Iterator[Record]:
        """The records, by row."""
        masks = self._placed_rows()
        waiting = next(masks, None)
        for number, row in enumerate(_rows(self._images, self._path / IMAGES)):
            mine = []
            while waiting is not None and waiting["image"] <= number:
                mine.append(waiting)
                waiting = next(masks, None)
            record = None
            with self._log.watch(str(self._path / IMAGES), f"row {number}"):
                record = self._record(row, mine, f"{self._path / IMAGES}: row {number}")
            if record is not None:
                yield record

    def image_file(self, record: Record) -> Path | None:
        """The image below `images`, or beside the tables."""
        for root in (self._path / "images", self._path):
            if (root / record.image.file_name).is_file():
                return root / record.image.file_name
        return None

    def annotation_path(self, record: Record) -> Path | None:
        """The table of masks."""
        return self._path / ANNOTATIONS

    def _placed_rows(self) -> Iterator[dict[str, Any]]:
        """Rows of masks whose images are there and come in turn; the others are reported."""
        before = 0
        for row in _rows(self._annotations, self._path / ANNOTATIONS):
            if row["image"] is not None and before <= row["image"] < len(self):
                before = row["image"]
                yield row
                continue
            with self._log.watch(str(self._path / ANNOTATIONS), f"annotation {row['id']!s:.40}"):
                raise FlawError(
                    "missing_image",
                    f"image must be a row of {IMAGES}, rising from mask to mask, got {row['image']} after {before}.",
                )

    def _record(self, row: dict[str, Any], rows: list[dict[str, Any]], where: str) -> Record:
        fields = Fields(row, where)
        size = image_size(fields)
        own = Fields(row | {"parent": _parsed(row, "parent", where)}, where)
        annotations: dict[int | str, Annotation] = {}
        for values in rows:
            key = f"annotation {values['id']!s:.40}"
            with self._log.watch(str(self._path / ANNOTATIONS), key):
                each = _annotation(values, size, f"{self._path / ANNOTATIONS}: {key}")
                if each.id in annotations:
                    raise FlawError("duplicate_id", f"{where} has two annotations with the id {each.id!s:.40}.")
                annotations[each.id] = each
        identity = _identity(row, "image_id", where)
        if identity is None:
            raise fields.missing("image_id")
        info = ImageInfo(identity, fields.require(fields.text("file_name"), "file_name"), size, **own_to_image(own))
        ignore = fields.text("ignore")
        region = None if ignore is None else _mask(ignore, size, where)
        return Record(info, tuple(annotations.values()), region, _parsed(row, "extra", where) or {})


def _annotation(row: dict[str, Any], size: Size, where: str) -> Annotation:
    created = row["created_at"]
    given = {
        **row,
        "parent_id": _identity(row, "parent_id", where),
        "created_at": None if created is None else created.isoformat(),
        "prompts": _parsed(row, "prompts", where),
        "outline": _parsed(row, "outline", where),
    }
    own = Fields(given, where)
    crop_box = own.numbers("crop_box", 4)
    identity = _identity(row, "id", where)
    if identity is None:
        raise own.missing("id")
    try:
        return Annotation(
            id=identity,
            segmentation=_mask(own.require(own.text("counts"), "counts"), size, where),
            predicted_iou=own.number("predicted_iou"),
            stability_score=own.number("stability_score"),
            point_coords=own.points("point_coords") or (),
            crop_box=cast(Any, crop_box),
            extra=_parsed(row, "extra", where) or {},
            **own_to_annotation(own, "manual"),
        )
    except RecordError:
        raise
    except InputError as error:
        raise RecordError(f"{where}: {error}") from error


def _mask(counts: str, size: Size, where: str) -> RLE:
    try:
        return RLE.from_coco({"size": size, "counts": counts})
    except InputError as error:
        raise RecordError(f"{where}: {error}") from error


def _identity(row: Mapping[str, Any], key: str, where: str) -> int | str | None:
    value = row[key]
    if value is None or not row[f"{key}_is_number"]:
        return cast("str | None", value)
    try:
        return int(value)
    except ValueError as error:
        raise RecordError(f"{where}: {key} must be a whole number, got {value!r:.40}.") from error


def _parsed(row: Mapping[str, Any], key: str, where: str) -> Any:
    return None if row[key] is None else parse_json(row[key].encode(), f"{where}: {key}")


def _opened(path: Path, schema: Any) -> Any:
    pa = needed()
    try:
        file = pa.parquet.ParquetFile(path)
        there = file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise FlawError("unreadable", f"{path} is no Parquet file, or is damaged: {error}.") from error
    for field in schema:
        place = there.get_field_index(field.name)
        if place < 0 or there.field(place).type != field.type:
            found = "none" if place < 0 else str(there.field(place).type)
            raise RecordError(f"{path}: wanted a column {field.name} of {field.type}, got {found}.")
    return file


def _rows(file: Any, path: Path) -> Iterator[dict[str, Any]]:
    pa = needed()
    try:
        for batch in file.iter_batches(_BATCH_ROWS):
            yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise FlawError("truncated", f"{path} is damaged: {error}.") from error


def _categories(file: Any, path: Path) -> tuple[Category, ...]:
    metadata = file.schema_arrow.metadata or {}
    try:
        return tuple(Category(**each) for each in json.loads(metadata.get(CATEGORIES, b"[]")))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: its list of classes is damaged: {error}.") from error
