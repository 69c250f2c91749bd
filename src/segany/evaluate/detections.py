"""Boxes that a detector found, from a file in COCO's results format."""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from segany.errors import RecordError

__all__ = ["Detection", "Detections"]


class Detection(NamedTuple):
    """One box.

    Attributes:
        category_id: The class's number in the data set.
        box: XYXY half-open, original pixels, as the detector gave it.
        score: The detector's.
    """

    category_id: int
    box: tuple[float, float, float, float]
    score: float


class Detections:
    """All boxes of a file, by image.

    Attributes:
        name: The file's name.
        digest: sha256 of the file, hexadecimal.
    """

    def __init__(self, path: Path) -> None:
        """Read a file: [{"image_id", "category_id", "bbox": [x, y, width, height], "score"}, ...].

        Raises:
            RecordError: It is not there, or not such a file; the message tells which entry.
        """
        self.name = path.name
        try:
            content = path.read_bytes()
            entries = json.loads(content)
        except (OSError, ValueError) as error:
            raise RecordError(f"{path}: it cannot be read as JSON: {error}.") from error
        if not isinstance(entries, list):
            raise RecordError(f"{path}: detections must be a list, got {type(entries).__name__}.")
        self.digest = hashlib.sha256(content).hexdigest()
        by_image: dict[str, list[Detection]] = defaultdict(list)
        for number, entry in enumerate(entries):
            image, detection = _read(entry, f"{path}: detection {number}")
            by_image[image].append(detection)
        self._by_image: Mapping[str, list[Detection]] = by_image

    def of(self, image_id: int | str) -> list[Detection]:
        """The boxes of one image, in the file's order."""
        return list(self._by_image.get(str(image_id), ()))


def _read(entry: Any, where: str) -> tuple[str, Detection]:
    try:
        x, y, width, height = (float(value) for value in entry["bbox"])
        score, category = float(entry["score"]), int(entry["category_id"])
        image = str(entry["image_id"])
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"{where}: wanted image_id, category_id, bbox [x, y, width, height] and score, got {str(entry)[:80]}."
        ) from error
    if not all(map(math.isfinite, (x, y, width, height, score))):
        raise RecordError(f"{where}: bbox and score must be finite, got {str(entry)[:80]}.")
    return image, Detection(category, (x, y, x + width, y + height), score)
