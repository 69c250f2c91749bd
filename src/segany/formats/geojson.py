"""GeoJSON: a FeatureCollection for each image, a feature for each mask.

```text
{"type": "FeatureCollection", "image": {"file_name", "width", "height"}, "crs", "features":
 [{"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates"}, "properties": {"id", "category", "area"}}]}
```

Coordinates are pixels, y down, or the raster's own where the image has an affine map and a reference system; `image`,
`crs` and "segany" are members that GeoJSON leaves to its users. Polygons have holes. RFC 7946 wants degrees of WGS 84;
readers of maps take others by the `crs` of the format's first edition, and so does this one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segany.errors import InputError, RecordError
from segany.formats._folders import Layout, Pair
from segany.formats._json import Fields, finite_fields, read_json
from segany.formats._own import OWN, image_size, own_to_info, own_to_whole, read_ignore
from segany.formats.category import Category, FormatName
from segany.formats.problems import FlawError, ProblemLog
from segany.geometry import Size
from segany.masks import RLE, Polygon, polygons_to_rle, rings_to_rle
from segany.schema import Annotation, ImageInfo, Record
from segany.sources import open_source

__all__ = ["GEOJSON", "GeojsonFolder", "pixels_to_map", "raster_map", "record_from_json"]

GEOJSON = frozenset({".geojson"})
_MAX_FEATURES = 1_000_000
# Of pixels, where coordinates are metres far from their origin.
_DECIMALS = 6
_PROPERTIES = frozenset({"id", "category", "area", "predicted_iou", "stability_score", OWN})
_DOCUMENT = frozenset({"type", "image", "crs", "features", OWN})

Matrix = NDArray[np.float64]


def raster_map(info: ImageInfo) -> Matrix | None:
    """[2, 3] float64: x and y in the reference system of a pixel's corner (x, y, 1); None where the image has none.

    Args:
        info: Its `affine` may have six numbers, or the nine of a square matrix.
    """
    if info.crs is None or info.affine is None or len(info.affine) not in (6, 9):
        return None
    matrix = np.array(info.affine, dtype=np.float64).reshape(-1, 3)[:2]
    return matrix if abs(np.linalg.det(matrix[:, :2])) > 0 else None


def pixels_to_map(points: ArrayLike, matrix: Matrix | None) -> NDArray[np.float64]:
    """Points [N, 2] (x, y) in pixels to coordinates."""
    given = np.asarray(points, dtype=np.float64)
    return given if matrix is None else given @ matrix[:, :2].T + matrix[:, 2]


class GeojsonFolder:
    """Images with GeoJSON files; a reader of `segany.formats.open_dataset`."""

    categories: tuple[Category, ...] = ()
    notes: tuple[str, ...] = ()
    format: FormatName = "geojson"

    def __init__(self, layouts: Sequence[Layout], log: ProblemLog) -> None:
        """List the files.

        Args:
            layouts: Folders of images and of GeoJSON files.
            log: Takes the problems.
        """
        self._log = log
        self._pairs: dict[str, Pair] = {pair.name: pair for layout in layouts for pair in layout.pairs(log)}

    def __len__(self) -> int:
        return len(self._pairs)

    def records(self) -> Iterator[Record]:
        """The records, by name."""
        for pair in self._pairs.values():
            record = None
            with self._log.watch(str(pair.masks[0] if pair.masks else pair.image)):
                record = self._record(pair)
            if record is not None:
                yield record

    def image_file(self, record: Record) -> Path | None:
        """The image."""
        pair = self._pair(record)
        return None if pair is None else pair.image

    def annotation_path(self, record: Record) -> Path | None:
        """The GeoJSON file; None where there is none."""
        pair = self._pair(record)
        return pair.masks[0] if pair is not None and pair.masks else None

    def _pair(self, record: Record) -> Pair | None:
        name = record.image.file_name
        return self._pairs.get(name) or self._pairs.get(Path(name).with_suffix("").as_posix())

    def _record(self, pair: Pair) -> Record:
        if not pair.masks:
            if pair.image is None:
                raise FlawError("missing_image", f"{pair.name}: there is neither an image nor a file.")
            return Record(ImageInfo(Path(pair.name).with_suffix("").as_posix(), pair.name, _size_of(pair.image)))
        path = pair.masks[0]
        size = None if pair.image is None else _size_of(pair.image)
        return record_from_json(read_json(path, allow_nan=True), str(path), pair.name, size, self._log)


def record_from_json(
    document: Any, name: str, image_name: str, size: Size | None = None, log: ProblemLog | None = None
) -> Record:
    """A record from JSON values.

    Args:
        document: As `json.load` gives it.
        name: What the messages call it: the file's path.
        image_name: The image's name, where the document does not say it.
        size: The image's, where the document does not say it.
        log: Takes the problems of single features, which are left out; the first is raised when left out.

    Raises:
        RecordError: It is not valid, or has neither pixels for coordinates nor a map to them.
    """
    fields = Fields.of(document, name)
    log = ProblemLog(strict=True) if log is None else log
    image = fields.child("image")
    if image is not None:
        size = image_size(image)
        # The suffix is the image's as it is there.
        image_name = image_name if Path(image_name).suffix else image.text("file_name") or image_name
    if size is None:
        raise RecordError(f"{name}: there is no image of its name and no member `image`, and so no size.")
    features = fields.require(fields.items("features"), "features")
    if len(features) > _MAX_FEATURES:
        raise FlawError("refused", f"{name} has {len(features)} features; a file may have {_MAX_FEATURES}.")
    info = own_to_info(fields.child(OWN) or Fields({}, name), image_name, size)
    matrix = raster_map(info)
    if matrix is None and fields.values.get("crs") is not None:
        raise RecordError(f"{name}: it has a crs, but nothing says how its coordinates lie on the image.")
    annotations: dict[int | str, Annotation] = {}
    for index, value in enumerate(features):
        with log.watch(name, f"feature {index}"):
            feature = Fields.of(value, f"{name}: feature {index}")
            annotation = _annotation(feature, size, matrix, len(annotations) + 1)
            extra = finite_fields(annotation.extra, log, name, feature.where)
            annotation = replace(annotation, extra=extra)
            if annotation.id in annotations:
                raise FlawError("duplicate_id", f"{feature.where}: the id {annotation.id!s:.40} is there twice.")
            annotations[annotation.id] = annotation
    extra = {key: value for key, value in fields.values.items() if key not in _DOCUMENT}
    extra = finite_fields(extra, log, name, name)
    try:
        return Record(info, tuple(annotations.values()), read_ignore(fields), extra)
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from error


def _annotation(feature: Fields, size: Size, matrix: Matrix | None, number: int) -> Annotation:
    properties = feature.child("properties") or Fields({}, feature.where)
    own = properties.child(OWN) or Fields({}, feature.where)
    identity = properties.identity("id")
    if identity is None:
        identity = feature.identity("id")
    values = own_to_whole(own) | {
        "category": properties.text("category"),
        "predicted_iou": properties.number("predicted_iou"),
        "stability_score": properties.number("stability_score"),
    }
    extra = {key: value for key, value in properties.values.items() if key not in _PROPERTIES}
    if (more := own.child("extra")) is not None:
        extra |= more.values
    try:
        mask, values["outline"] = _shape(feature, size, matrix)
        return Annotation(id=number if identity is None else identity, segmentation=mask, extra=extra, **values)
    except RecordError:
        raise
    except InputError as error:
        raise RecordError(f"{feature.where}: {error}") from error


def _shape(feature: Fields, size: Size, matrix: Matrix | None) -> tuple[RLE, tuple[NDArray[np.float64], ...] | None]:
    """The mask, and its rings where it has no holes; no geometry is an empty mask."""
    geometry = feature.child("geometry")
    if geometry is None:
        return RLE.from_counts(size, [size.area]), None
    kind = geometry.text("type")
    coordinates = geometry.require(geometry.items("coordinates"), "coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise RecordError(f"{feature.where}: wanted a Polygon or a MultiPolygon, got {kind!r:.40}; it has no mask.")
    polygons = []
    for place, rings in enumerate([coordinates] if kind == "Polygon" else coordinates):
        where = f"{geometry.where}: polygon {place}"
        if not isinstance(rings, list) or not rings:
            raise RecordError(f"{where} must be a list of rings.")
        read = [_ring(ring, where, matrix) for ring in rings]
        polygons.append(Polygon(read[0], tuple(read[1:])))
    if any(polygon.holes for polygon in polygons):
        return polygons_to_rle(polygons, size), None
    exteriors = tuple(polygon.exterior for polygon in polygons)
    return rings_to_rle(exteriors, size), exteriors or None


def _ring(ring: Any, where: str, matrix: Matrix | None) -> NDArray[np.float64]:
    # A third coordinate is a height.
    flat = [point[:2] if isinstance(point, list) else point for point in ring] if isinstance(ring, list) else ring
    points = Fields({"ring": flat}, where).points("ring")
    given = np.array(points, dtype=np.float64).reshape(-1, 2)
    if len(given) > 1 and (given[0] == given[-1]).all():
        given = given[:-1]
    if matrix is None:
        return given
    # What is beyond is the arithmetic's, and a vertex on the border between two pixels should stay there.
    # And what is too large for the arithmetic is refused as a ring.
    with np.errstate(over="ignore", invalid="ignore"):
        back = np.linalg.solve(matrix[:, :2], (given - matrix[:, 2]).T).T.round(_DECIMALS)
    return np.asarray(back, dtype=np.float64)


def _size_of(image: Path) -> Size:
    return open_source(image).info.size
