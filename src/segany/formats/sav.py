"""SA-V: masks of objects through a video, a JSON file for each video (SAM 2 paper, sec. 5).

```text
{"video_id", "video_height", "video_width", "masklet": [[{"size", "counts"} of each object] of each annotated frame],
 "masklet_id": [...], "masklet_type": ["manual" | "auto"]}
```

Every fourth frame is annotated, 6 of 24 in a second, unless "segany" says another `frame_step`. `NAME_manual.json` and
`NAME_auto.json` tell of one video.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segany.errors import RecordError
from segany.formats._json import Fields, read_json
from segany.formats._own import OWN, read_rle
from segany.formats.category import Category, FormatName
from segany.formats.problems import FlawError, ProblemLog
from segany.geometry import Size
from segany.masks import RLE
from segany.masks.rle import MAX_PIXELS
from segany.schema import Annotation, AnnotationSource, ImageInfo, Masklet, Parent, Record

__all__ = ["FRAME_STEP", "STEP", "SavFolder", "read_masklets"]

FRAME_STEP = 4
STEP = "frame_step"
_SUFFIXES = (".jpg", ".png", ".jpeg")


@dataclass(frozen=True)
class _Video:
    """One parsed file: masks[frame][object]; an empty one where the object is not seen."""

    path: Path
    video_id: str
    size: Size
    names: tuple[str, ...]
    sources: tuple[AnnotationSource, ...]
    masks: tuple[tuple[RLE | None, ...], ...]
    step: int = FRAME_STEP


def read_masklets(path: str | os.PathLike[str]) -> tuple[Masklet, ...]:
    """The masklets of a file; their frames are numbers of the video's frames.

    Raises:
        RecordError: The file cannot be read or is not valid.
    """
    video = _read(Path(path), ProblemLog(strict=True))
    return tuple(
        Masklet(
            number,
            {video.step * index: mask for index, row in enumerate(video.masks) if (mask := row[number]) is not None},
        )
        for number in range(len(video.names))
    )


class SavFolder:
    """Frames of SA-V videos; a reader of `segany.formats.open_dataset`.

    A record is a frame with all objects that are seen in it. Its image is `VIDEO/00004.jpg` beside the file, numbered
    as in the video.
    """

    categories: tuple[Category, ...] = ()
    format: FormatName = "sav"

    def __init__(self, paths: Sequence[Path], log: ProblemLog) -> None:
        """Sort the files by video; they are read one video at a time.

        Args:
            paths: JSON files.
            log: Takes the problems.
        """
        self._log = log
        self._videos: dict[str, list[Path]] = {}
        for path in paths:
            self._videos.setdefault(re.sub(r"_(manual|auto)$", "", path.stem), []).append(path)

    @property
    def notes(self) -> tuple[str, ...]:
        """How many videos there are."""
        return (f"videos: {len(self._videos)}",)

    def __len__(self) -> int:
        quiet = ProblemLog()
        return sum(
            max((len(video.masks) for video in self._read(paths, quiet)), default=0) for paths in self._videos.values()
        )

    def records(self) -> Iterator[Record]:
        """The records, video by video and frame by frame."""
        for paths in self._videos.values():
            videos = self._read(paths, self._log)
            for index in range(max((len(video.masks) for video in videos), default=0)):
                yield _frame(videos, index)

    def image_file(self, record: Record) -> Path | None:
        """The frame's picture, where the video was taken apart."""
        place = Path(record.image.file_name)
        for path in self._videos.get(place.parent.name, ()):
            for suffix in _SUFFIXES:
                picture = (path.parent / place).with_suffix(suffix)
                if picture.is_file():
                    return picture
        return None

    def annotation_path(self, record: Record) -> Path | None:
        """The first of the video's files."""
        paths = self._videos.get(Path(record.image.file_name).parent.name)
        return paths[0] if paths else None

    def _read(self, paths: Sequence[Path], log: ProblemLog) -> list[_Video]:
        videos: list[_Video] = []
        for path in paths:
            with log.watch(str(path)):
                video = _read(path, log)
                if videos and video.size != videos[0].size:
                    raise FlawError(
                        "wrong_size", f"{path}: its video is {video.size}, but {videos[0].size} in another."
                    )
                videos.append(video)
        return videos


def _frame(videos: Sequence[_Video], index: int) -> Record:
    name = re.sub(r"_(manual|auto)$", "", videos[0].path.stem)
    number = videos[0].step * index
    info = ImageInfo(
        f"{name}/{number:05d}",
        f"{name}/{number:05d}.jpg",
        videos[0].size,
        parent=Parent("video", name, number),
        group=name,
    )
    annotations = [
        Annotation(identity, mask, source=source)
        for video in videos
        if index < len(video.masks)
        for identity, source, mask in zip(video.names, video.sources, video.masks[index], strict=True)
        if mask is not None
    ]
    return Record(info, tuple(annotations))


def _read(path: Path, log: ProblemLog) -> _Video:
    fields = Fields.of(read_json(path), str(path))
    height, width = (fields.require(fields.whole(key), key) for key in ("video_height", "video_width"))
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise RecordError(f"{path}: video_height and video_width must be from 1 pixel up, got {Size(height, width)}.")
    size = Size(height, width)
    frames = fields.require(fields.items("masklet"), "masklet")
    numbers = fields.require(fields.items("masklet_id"), "masklet_id")
    kinds = fields.items("masklet_type") or ["manual"] * len(numbers)
    if len(kinds) != len(numbers):
        raise RecordError(f"{path}: masklet_type must have {len(numbers)} values, got {len(kinds)}.")
    rows = []
    for index, frame in enumerate(frames):
        row: list[RLE | None] = [None] * len(numbers)
        if not isinstance(frame, list) or len(frame) != len(numbers):
            with log.watch(str(path), f"frame {index}"):
                raise RecordError(f"{path}: frame {index}: wanted {len(numbers)} masks, one for each masklet_id.")
            frame = []
        for place, value in enumerate(frame):
            key = f"frame {index}, masklet {numbers[place]}"
            with log.watch(str(path), key):
                mask = read_rle(Fields.of(value, f"{path}: {key}"))
                if mask.size != size:
                    raise FlawError("wrong_size", f"{path}: {key}: the mask is {mask.size}, but the video {size}.")
                row[place] = mask if mask.area else None
        rows.append(tuple(row))
    made: tuple[AnnotationSource, ...] = tuple("automatic" if kind == "auto" else "manual" for kind in kinds)
    names = tuple(
        f"{'auto' if source == 'automatic' else 'manual'}:{number}"
        for source, number in zip(made, numbers, strict=True)
    )
    step = _step(fields.child(OWN))
    return _Video(path, str(fields.identity("video_id") or path.stem), size, names, made, tuple(rows), step)


def _step(own: Fields | None) -> int:
    if own is None:
        return FRAME_STEP
    step = own.whole(STEP)
    if step is not None and step < 1:
        raise RecordError(f"{own.where}: {STEP} must be 1 or more, got {step}.")
    return step or FRAME_STEP
