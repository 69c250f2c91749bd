"""SA-V: the masklets of each video, and its frames as pictures."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from segany.errors import RecordError
from segany.formats._names import SafeNames
from segany.formats._own import OWN
from segany.formats._placing import ImageFile, place_image
from segany.formats.sav import FRAME_STEP, STEP
from segany.formats.writers._files import image_suffix, json_bytes
from segany.formats.writers.target import Options
from segany.geometry import Size
from segany.masks import RLE
from segany.schema import Record

__all__ = ["writer"]

_MAX_FRAMES = 1_000_000
_NUMBERED = re.compile(r"(?:manual:|auto:)?(\d{1,15})")


class _Masklets:
    """Holds one video at a time; the records of a video must follow each other."""

    def __init__(self, folder: Path, options: Options) -> None:
        self._folder, self._mode = folder, options.images
        self._names = SafeNames()
        self._done: set[str] = set()
        self._video: _Video | None = None

    def add(self, record: Record, image: ImageFile) -> str | None:
        parent = record.image.parent
        if parent is None or parent.kind != "video":
            return None
        if self._video is None or self._video.identity != parent.parent_id:
            self._write_video()
            if parent.parent_id in self._done:
                raise RecordError(
                    f"{record.image.file_name}: frames of the video {parent.parent_id!r} come again after those of "
                    "another; order the records by video."
                )
            self._video = _Video(parent.parent_id, self._names.take(parent.parent_id, flat=True), record.image.size)
        self._video.add(record, parent.index)
        name = f"{self._video.name}/{parent.index:05d}{image_suffix(record.image.file_name, image)}"
        place_image(image, self._folder / name, self._mode)
        return name

    def finish(self) -> None:
        self._write_video()

    def close(self) -> None:
        pass

    def _write_video(self) -> None:
        video, self._video = self._video, None
        if video is None:
            return
        self._done.add(video.identity)
        for kind in ("manual", "auto"):
            document = video.document(kind)
            if document is not None:
                path = self._folder / f"{video.name}_{kind}.json"
                path.write_bytes(json_bytes(document, video.name))


class _Video:
    """The masks of one video: frame -> masklet -> mask, masklets of people and of a model apart."""

    def __init__(self, identity: str, name: str, size: Size) -> None:
        self.identity, self.name, self._size = identity, name, size
        self._frames: dict[int, dict[tuple[str, int], RLE]] = {}
        self._numbers: dict[tuple[str, int | str], int] = {}
        self._kinds: dict[str, list[int]] = {"manual": [], "auto": []}

    def add(self, record: Record, index: int) -> None:
        where = record.image.file_name
        if record.image.size != self._size:
            raise RecordError(f"{where}: the frame is {record.image.size}, but others of its video {self._size}.")
        if index in self._frames or not 0 <= index < _MAX_FRAMES:
            raise RecordError(f"{where}: its video has a frame {index} already, or can have none of that number.")
        masks = self._frames[index] = {}
        for each in record.objects:
            kind = "auto" if each.source == "automatic" else "manual"
            masks[kind, self._number(kind, each.id)] = each.segmentation

    def document(self, kind: str) -> dict[str, Any] | None:
        """One file's values; None for a kind without masklets, but a video without any has the file for people's."""
        numbers = self._kinds[kind]
        if not numbers and (kind == "auto" or self._kinds["auto"]):
            return None
        step = FRAME_STEP if all(index % FRAME_STEP == 0 for index in self._frames) else 1
        count = max(self._frames) // step + 1
        empty = RLE.from_counts(self._size, [self._size.area])
        areas: dict[int, list[int]] = {number: [] for number in numbers}
        rows: list[list[dict[str, Any]]] = []
        for row in range(count):
            there = self._frames.get(row * step, {})
            masks = [there.get((kind, number), empty) for number in numbers]
            rows.append([mask.to_coco() for mask in masks])
            for number, mask in zip(numbers, masks, strict=True):
                areas[number].append(mask.area)
        sizes = [float(np.mean([area for area in areas[number] if area] or [0])) for number in numbers]
        return {
            "video_id": self.name,
            "video_frame_count": max(self._frames) + 1,
            "video_height": self._size.height,
            "video_width": self._size.width,
            "video_resolution": self._size.area,
            "masklet": rows,
            "masklet_id": numbers,
            "masklet_size_rel": [size / self._size.area for size in sizes],
            "masklet_size_abs": sizes,
            "masklet_first_appeared_frame": [
                step * next((row for row, area in enumerate(areas[number]) if area), 0) for number in numbers
            ],
            "masklet_frame_count": [sum(1 for area in areas[number] if area) for number in numbers],
            "masklet_type": [kind] * len(numbers),
            "masklet_num": len(numbers),
            **({} if step == FRAME_STEP else {OWN: {STEP: step}}),
        }

    def _number(self, kind: str, identity: int | str) -> int:
        key = (kind, identity)
        if key not in self._numbers:
            found = _NUMBERED.fullmatch(str(identity))
            wanted = int(found[1]) if found else 0
            taken = self._kinds[kind]
            self._numbers[key] = wanted if found and wanted not in taken else max(taken, default=-1) + 1
            taken.append(self._numbers[key])
        return self._numbers[key]


writer = _Masklets
