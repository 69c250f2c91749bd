"""ResultFolder: results of `run` as files to look at and to work with."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from segany.errors import ConfigError, RecordError
from segany.files import atomic_path, write_text
from segany.formats import coco, label_map, sa1b
from segany.formats._json import read_json
from segany.predict.automatic.folder import Item
from segany.render import overlay
from segany.schema import Image, Record

__all__ = ["FORMATS", "ResultFolder", "ResultFormat"]

ResultFormat = Literal["sa1b", "coco", "png"]
FORMATS: tuple[ResultFormat, ...] = get_args(ResultFormat)

_INSTANCES = "instances"
# An overlay is to be looked at; painting hundreds of masks on 100 million pixels would take longer than finding them.
_OVERLAY_SIDE = 2048


@dataclass(frozen=True)
class ResultFolder:
    """A folder with NAME.json, an SA-1B record, and NAME.overlay.png for each item; see `Sink`.

    The record also holds the settings that it was made with and is written last: where it is, the rest is too.

    Attributes:
        folder: Where; made when it is missing.
        settings: `EverythingSpec.settings()`.
        format: "sa1b": records only. "png": also NAME.labels.png, a label map. "coco": also, by `write_instances`,
            one instances.json.
        overwrite: Replace results of other settings or photos instead of refusing the folder.
    """

    folder: Path
    settings: Mapping[str, Any]
    format: ResultFormat = "sa1b"
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Check the format."""
        if self.format not in FORMATS:
            raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}.")

    def record_path(self, item: Item) -> Path:
        """Where the record of an item is kept."""
        return self._path(item, "json")

    def overlay_path(self, item: Item) -> Path:
        """Where the overlay of an item is kept."""
        return self._path(item, "overlay.png")

    @property
    def instances_path(self) -> Path:
        """Where `write_instances` writes."""
        return self.folder / f"{_INSTANCES}.json"

    def check(self, items: Iterable[Item]) -> None:
        """Refuse, before any work is done, a folder whose results are of other settings or photos.

        Raises:
            ConfigError: It holds such a result for one of the items, and `overwrite` is not set; or an item's record
                would be taken for the instances file.
        """
        for item in items:
            if self.format == "coco" and item.name == _INSTANCES:
                raise ConfigError(f"the results of {item.path} would be {self.instances_path}; rename the photo.")
            if not self.overwrite and (reason := self._reason(item)) is not None:
                raise ConfigError(f"{self.record_path(item)} {reason}; choose another --out, or give --overwrite.")

    def resume(self, item: Item) -> bool:
        """See `Sink.resume`. A label map that is missing is made from the record.

        Raises:
            ConfigError: As `check`.
        """
        if not self.record_path(item).is_file():
            return False
        if self._reason(item) is not None:
            self.check([item])
            return False
        if self.format == "png" and not any(self._path(item, f"labels.{end}").is_file() for end in ("png", "tif")):
            self._write_labels(item, sa1b.read_record(self.record_path(item)))
        return True

    def write(self, item: Item, image: Image, record: Record) -> None:
        """See `Sink.write`.

        Raises:
            OutputError: A file cannot be written.
        """
        if self.format == "png":
            self._write_labels(item, record)
        picture = overlay(image, [each.segmentation for each in record.annotations], max_side=_OVERLAY_SIDE)
        with atomic_path(self.overlay_path(item)) as temporary:
            # The usual level takes four times as long for an eighth less.
            picture.save(temporary, compress_level=1)
        document = {"segany": {"everything": dict(self.settings)}, **sa1b.record_to_json(record)}
        write_text(self.record_path(item), f"{json.dumps(document, allow_nan=False, separators=(',', ':'))}\n")

    def write_instances(self, items: Iterable[Item]) -> Path:
        """Gather the records of items into one instances.json, as COCO has it; items without one are left out.

        Returns:
            The file.

        Raises:
            OutputError: It cannot be written.
        """

        def records() -> Iterator[Record]:
            for item in items:
                if self.record_path(item).is_file():
                    yield sa1b.read_record(self.record_path(item))

        coco.write_records(records(), self.instances_path)
        return self.instances_path

    def _path(self, item: Item, end: str) -> Path:
        base = self.folder / item.name
        return base.with_name(f"{base.name}.{end}")

    def _write_labels(self, item: Item, record: Record) -> None:
        end = "png" if len(record.annotations) < 2**16 else "tif"
        label_map.write_record(record, self._path(item, f"labels.{end}"))

    def _reason(self, item: Item) -> str | None:
        """Why a result that is there is not the one wanted; None where it is, or where there is none."""
        path = self.record_path(item)
        if not path.is_file():
            return None
        try:
            document = read_json(path)
        except RecordError:
            return "cannot be read"
        try:
            made: Mapping[str, Any] = dict(document["segany"]["everything"])
            digest = document["image"]["segany"]["source_digest"]
        except (KeyError, TypeError, ValueError):
            return "was not made by `segany everything`"
        # As JSON has them: a tuple and a list are the same there.
        wanted = json.loads(json.dumps(dict(self.settings)))
        if other := [key for key in wanted if made.get(key) != wanted[key]]:
            shown = ", ".join(f"{key} {_short(made.get(key))}, now {_short(wanted[key])}" for key in other[:3])
            return f"was made with other settings ({shown})"
        if digest != _file_digest(item.path):
            return f"was made from another photo than {item.path}"
        return None


def _short(value: object) -> str:
    return str(value)[:12]


def _file_digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        # Opening the photo says what is wrong with it.
        return None
