"""LabelMe: a JSON file beside each image; masks with holes as pictures, all others as polygons."""

import base64
import io
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from segany.formats._mask_rings import crop_mask, polygons_of
from segany.formats._own import OWN, info_to_own, whole_to_own
from segany.formats._placing import ImageFile
from segany.formats.coco import NO_CATEGORY
from segany.formats.labelme import DOCUMENT_FIELDS, SHAPE_FIELDS
from segany.formats.writers._files import ImageFolder, json_bytes, write_beside
from segany.formats.writers.target import Options
from segany.schema import Annotation, Record

__all__ = ["writer"]

# The version of LabelMe whose fields these are.
_VERSION = "5.5.0"


class _Labelme:
    def __init__(self, folder: Path, options: Options) -> None:
        self._images = ImageFolder(folder, options.images)

    def add(self, record: Record, image: ImageFile) -> str:
        placed = self._images.place(record, image)
        name = placed.image.file_name
        extra = {key: value for key, value in placed.extra.items() if key not in DOCUMENT_FIELDS}
        shapes: list[dict[str, Any]] = []
        for number, annotation in enumerate(placed.annotations, start=1):
            if annotation.segmentation.area:
                shapes += _shapes(annotation, number)
        document = {
            "version": _VERSION,
            "flags": {},
            **extra,
            "shapes": shapes,
            "imagePath": PurePosixPath(name).name,
            "imageData": None,
            "imageHeight": placed.image.size.height,
            "imageWidth": placed.image.size.width,
            OWN: info_to_own(placed),
        }
        write_beside(self._images.folder, name, ".json", json_bytes(document, name))
        return name

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


def _shapes(annotation: Annotation, number: int) -> list[dict[str, Any]]:
    own = whole_to_own(annotation)
    own.pop("outline", None)
    category = own.pop("category", None)
    if category is None:
        own["uncategorised"] = True
    parts = _parts(annotation)
    extra = {key: value for key, value in annotation.extra.items() if key not in SHAPE_FIELDS}
    # Fields of another format that mean something else here.
    if taken := {key: value for key, value in annotation.extra.items() if key in SHAPE_FIELDS and key != OWN}:
        own["extra"] = taken
    shapes = []
    for part in parts:
        shape = {
            "label": category or NO_CATEGORY,
            "group_id": number if len(parts) > 1 else None,
            "description": "",
            "flags": {},
            **extra,
            **part,
        }
        shapes.append(shape)
    shapes[0][OWN] = own
    return shapes


def _parts(annotation: Annotation) -> list[dict[str, Any]]:
    rings = annotation.outline
    if rings is None:
        polygons = polygons_of(annotation.segmentation)
        if any(polygon.holes for polygon in polygons):
            return [_picture(annotation)]
        rings = tuple(polygon.exterior for polygon in polygons)
    return [{"points": np.asarray(ring).tolist(), "shape_type": "polygon", "mask": None} for ring in rings]


def _picture(annotation: Annotation) -> dict[str, Any]:
    x0, y0, x1, y1 = annotation.segmentation.box
    content = io.BytesIO()
    PillowImage.fromarray(crop_mask(annotation.segmentation).astype(np.uint8) * 255).convert("1").save(content, "PNG")
    # LabelMe's box of a mask includes the last row and column.
    corners = [[x0, y0], [x1 - 1, y1 - 1]]
    return {"points": corners, "shape_type": "mask", "mask": base64.b64encode(content.getvalue()).decode("ascii")}


writer = _Labelme
