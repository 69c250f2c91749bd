"""GeoJSON: a FeatureCollection for each image, in pixels or in the raster's own coordinates."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.formats._mask_rings import polygons_of
from segany.formats._own import OWN, info_to_own, whole_to_own
from segany.formats._placing import ImageFile
from segany.formats.geojson import pixels_to_map, raster_map
from segany.formats.writers._files import ImageFolder, json_bytes, write_beside
from segany.formats.writers.target import Options
from segany.schema import Annotation, ImageInfo, Record

__all__ = ["writer"]

_FLAT = ("id", "category", "predicted_iou", "stability_score")
_MEMBERS = frozenset({"type", "image", "crs", "features", OWN})


class _Geojson:
    def __init__(self, folder: Path, options: Options) -> None:
        self._folder = folder / "labels"
        self._folder.mkdir()
        self._images = ImageFolder(folder / "images", options.images)

    def add(self, record: Record, image: ImageFile) -> str:
        placed = self._images.place(record, image)
        info = placed.image
        matrix = raster_map(info)
        document: dict[str, Any] = {
            "type": "FeatureCollection",
            "image": {"file_name": info.file_name, "width": info.size.width, "height": info.size.height},
        }
        if matrix is not None:
            document["crs"] = {"type": "name", "properties": {"name": _crs_name(info)}}
        document |= {key: value for key, value in placed.extra.items() if key not in _MEMBERS}
        document[OWN] = info_to_own(placed)
        document["features"] = [_feature(each, matrix) for each in placed.annotations]
        write_beside(self._folder, info.file_name, ".geojson", json_bytes(document, info.file_name))
        return info.file_name

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


def _feature(annotation: Annotation, matrix: NDArray[np.float64] | None) -> dict[str, Any]:
    own = whole_to_own(annotation)
    own.pop("outline", None)
    properties = {key: own.pop(key) for key in _FLAT if key in own}
    properties["area"] = annotation.segmentation.area
    if annotation.extra:
        own["extra"] = dict(annotation.extra)
    if own:
        properties[OWN] = own
    return {"type": "Feature", "geometry": _geometry(annotation, matrix), "properties": properties}


def _geometry(annotation: Annotation, matrix: NDArray[np.float64] | None) -> dict[str, Any] | None:
    if annotation.outline is not None:
        polygons = [[ring] for ring in annotation.outline]
    else:
        polygons = [[each.exterior, *each.holes] for each in polygons_of(annotation.segmentation)]
    if not polygons:
        return None
    coordinates = [[_closed(ring, matrix) for ring in rings] for rings in polygons]
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _closed(ring: NDArray[np.float64], matrix: NDArray[np.float64] | None) -> list[list[float]]:
    points: list[list[float]] = pixels_to_map(np.concatenate([ring, ring[:1]]), matrix).tolist()
    return points


def _crs_name(info: ImageInfo) -> str:
    """As readers of maps know it: urn:ogc:def:crs:EPSG::32616 for EPSG:32616."""
    authority = re.fullmatch(r"(\w+):(\w+)", info.crs or "")
    return f"urn:ogc:def:crs:{authority[1]}::{authority[2]}" if authority else str(info.crs)


writer = _Geojson
