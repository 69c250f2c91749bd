"""convert: any data set that can be read into any format that can be written, with what is lost told first."""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from segany.errors import ConfigError, RecordError
from segany.files import check_folder, new_folder
from segany.formats._placing import ImageFile
from segany.formats.category import Category
from segany.formats.datasheet import DATASHEET, Tally, datasheet
from segany.formats.losses import TARGETS, Loss, LossCounter
from segany.formats.writers import Options, Writer, open_writer
from segany.schema import Record

__all__ = ["Conversion", "Plan", "RecordSource", "convert", "plan_conversion"]

METADATA = "metadata.csv"


class RecordSource(Protocol):
    """Where records come from: a `Dataset`, or a version of a store."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def categories(self) -> tuple[Category, ...]:
        """The classes, used or not."""
        ...

    @property
    def metadata_columns(self) -> tuple[str, ...]:
        """What is known of images beyond their records."""
        ...

    def records(self) -> Iterator[Record]:
        """The records, in an order that stays the same; more than one pass is made."""
        ...

    def image_file(self, record: Record) -> ImageFile:
        """A record's image: its file, or its bytes; None where there is none."""
        ...

    def metadata(self, record: Record) -> Mapping[str, str]:
        """The columns' values for a record's image."""
        ...


@dataclass(frozen=True)
class Plan:
    """What a conversion will do.

    Attributes:
        options: How to write.
        records: Records to write.
        masks: Their annotations.
        losses: What the format cannot hold.
        has_metadata: Whether there is something to be said of images in `metadata.csv`.
    """

    options: Options
    records: int
    masks: int
    losses: tuple[Loss, ...]
    has_metadata: bool


@dataclass
class Conversion:
    """What a conversion did.

    Attributes:
        folder: The new data set.
        records: Records written.
        masks: Annotations of these records.
        images: Images that came along.
        images_missing: Records whose image is not there.
        renamed: Images that got another name: theirs was not safe, or was there already.
        losses: As in the plan.
    """

    folder: Path
    records: int = 0
    masks: int = 0
    images: int = 0
    images_missing: int = 0
    renamed: int = 0
    losses: tuple[Loss, ...] = ()


def plan_conversion(source: RecordSource, options: Options, on_record: Callable[[int], None] | None = None) -> Plan:
    """Read all records and count what the format would lose; nothing is written.

    Args:
        source: What to convert.
        options: How.
        on_record: Called with the number of records so far.

    Raises:
        ConfigError: An option is wrong.
    """
    _check_options(options)
    counter = LossCounter(options.target)
    has_metadata = bool(source.metadata_columns)
    for number, record in enumerate(source.records(), start=1):
        counter.add(record)
        has_metadata = has_metadata or record.image.licence is not None or record.image.group is not None
        if on_record is not None:
            on_record(number)
    return Plan(options, counter.records, counter.masks, counter.losses(source.categories), has_metadata)


def convert(
    source: RecordSource,
    target: Path,
    plan: Plan,
    *,
    strict: bool = False,
    on_record: Callable[[int], None] | None = None,
) -> Conversion:
    """Write a data set into a new folder, which appears when it is whole. Records are read one by one.

    Beside the data stand `datasheet.md`, a card of what they are, and `metadata.csv` with licence and group of each
    image and the source's own columns, where there are any.

    Args:
        source: What to convert.
        target: The folder; must not be there, or be empty.
        plan: Of `plan_conversion`.
        strict: Refuse to write when something would be lost.
        on_record: Called with the number of records so far.

    Raises:
        ConfigError: There is something in the folder, or another process is writing it.
        RecordError: `strict`, and something would be lost; or a record that the format cannot hold.
        OutputError: The folder cannot be written; nothing is left half-written.
    """
    if strict and plan.losses:
        lost = "; ".join(map(str, plan.losses))
        raise RecordError(f"{plan.options.target} cannot hold all of {source.name}, and --strict was given: {lost}.")
    check_folder(target)
    done = Conversion(target, losses=plan.losses)
    tally = Tally()
    with new_folder(target) as folder:
        with closing(open_writer(folder, plan.options)) as writer, _Metadata(folder, source, plan) as metadata:
            for number, record in enumerate(source.records(), start=1):
                image = None if plan.options.images == "none" else source.image_file(record)
                name = _write(writer, record, image, plan, done)
                if name is not None:
                    tally.add(record, altered=source.metadata(record).get("altered") == "1")
                    metadata.add(record, name)
                if on_record is not None:
                    on_record(number)
            if not done.records:
                why = f"{source.name} holds no record that can be read" if not plan.records else str(plan.losses[-1])
                raise RecordError(f"there is nothing to write as {plan.options.target}: {why}.")
            writer.finish()
        page = datasheet(source.name, plan.options.target, tally, plan.losses, METADATA if plan.has_metadata else None)
        (folder / DATASHEET).write_text(page, encoding="utf-8", newline="\n")
    return done


def _write(writer: Writer, record: Record, image: ImageFile, plan: Plan, done: Conversion) -> str | None:
    try:
        name = writer.add(record, image)
    finally:
        if image is not None and not isinstance(image, Path):
            image.close()
    if name is None:
        return None
    done.records += 1
    done.masks += len(record.annotations)
    done.images += image is not None
    done.images_missing += image is None and plan.options.images != "none"
    done.renamed += _stem(name) != _stem(record.image.file_name)
    return name


def _stem(name: str) -> str:
    return name.removesuffix(PurePosixPath(name).suffix)


class _Metadata:
    """`metadata.csv`, or nothing where there is nothing to say."""

    def __init__(self, folder: Path, source: RecordSource, plan: Plan) -> None:
        own = ("licence", "group")
        self._source = source
        self._columns = ("image", *own, *(each for each in source.metadata_columns if each not in ("image", *own)))
        self._file = None
        if plan.has_metadata:
            self._file = (folder / METADATA).open("x", encoding="utf-8", newline="")
            self._rows = csv.writer(self._file)
            self._rows.writerow(self._columns)

    def __enter__(self) -> "_Metadata":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, record: Record, name: str) -> None:
        if self._file is None:
            return
        said = {
            **self._source.metadata(record),
            "image": name,
            "licence": record.image.licence or "",
            "group": record.image.group or "",
        }
        self._rows.writerow([said.get(column, "") for column in self._columns])


def _check_options(options: Options) -> None:
    if options.target not in TARGETS:
        raise ConfigError(f"the format must be one of {', '.join(TARGETS)}, got {options.target!r}.")
    if options.shard_images is not None and (options.target != "sa1b" or options.shard_images < 1):
        raise ConfigError("shards are for sa1b, and hold at least one image each.")
    if options.shard_images is not None and options.images in ("link", "reference"):
        raise ConfigError("a tar file holds copies of images, or none: give images as copy or none.")
