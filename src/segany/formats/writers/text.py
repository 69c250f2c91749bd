"""YOLO: a text file of polygons for each image, and data.yaml."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segany.formats._mask_rings import joined_ring, polygons_of
from segany.formats._placing import ImageFile
from segany.formats.coco import NO_CATEGORY
from segany.formats.writers._files import ImageFolder, write_beside
from segany.formats.writers.target import Options
from segany.formats.yolo import DECIMALS
from segany.geometry import Size
from segany.masks import rings_to_rle
from segany.schema import Annotation, Record

__all__ = ["writer"]


class _Text:
    def __init__(self, folder: Path, options: Options) -> None:
        self._folder = folder
        self._images = ImageFolder(folder / "images", options.images)
        self._classes = {each.name: number for number, each in enumerate(options.categories)}

    def add(self, record: Record, image: ImageFile) -> str:
        placed = self._images.place(record, image)
        lines = [self._line(each, placed.image.size) for each in placed.objects if each.segmentation.area]
        name = placed.image.file_name
        write_beside(self._folder / "labels", name, ".txt", "".join(lines).encode())
        return name

    def finish(self) -> None:
        import yaml

        document = {"train": "images", "val": "images", "names": {v: k for k, v in self._classes.items()}}
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        (self._folder / "data.yaml").write_text(text, encoding="utf-8", newline="\n")

    def close(self) -> None:
        pass

    def _line(self, annotation: Annotation, size: Size) -> str:
        name = NO_CATEGORY if annotation.category is None else annotation.category
        number = self._classes.setdefault(name, len(self._classes))
        ring, sides = ring_of(annotation), (size.width, size.height)
        if annotation.outline is None:
            # Corners of pixels need not come back to the last bit to be the same corners.
            words = [f"{share:.10g}" for share in (ring / sides).ravel().tolist()]
        else:
            words = [_share(value, sides[place % 2]) for place, value in enumerate(ring.ravel().tolist())]
        return f"{number} {' '.join(words)}\n"


def _share(value: float, side: int) -> str:
    """The share of a side that a reader makes the very same number of pixels of; as short as that allows."""
    share = value / side
    for tried in (f"{share:.6f}", f"{share:.12g}"):
        if round(float(tried) * side, DECIMALS) == value:
            return tried
    return repr(share)


def ring_of(annotation: Annotation) -> NDArray[np.float64]:
    """One ring [N, 2] that stands for a mask: the imported one, or the mask's own parts and holes joined."""
    rings = annotation.outline or ()
    if len(rings) == 1:
        return rings[0]
    if rings:
        ring = joined_ring(rings)
        # Where rings overlap, joining them would cut a hole.
        if rings_to_rle([ring], annotation.segmentation.size) == annotation.segmentation:
            return ring
    polygons = polygons_of(annotation.segmentation)
    return joined_ring([ring for each in polygons for ring in (each.exterior, *each.holes)])


writer = _Text
