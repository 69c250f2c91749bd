"""Item: one annotated image, as protocols get it; EvaluationSet: a data set under a name, or a sample of it."""

import hashlib
import heapq
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from segany.errors import ConfigError
from segany.formats import Dataset, open_dataset
from segany.schema import Annotation, Image, Record

__all__ = ["EvaluationSet", "Item"]

Unit = Literal["object", "image"]


@dataclass(frozen=True, eq=False)
class Item:
    """One annotated image of a set.

    Attributes:
        set_name: The set's name in reports.
        record: What people drew; `record.ignore` counts for nothing.
        dataset: Where it is from.
        chosen: Ids of the annotations to measure, or None for all.
    """

    set_name: str
    record: Record
    dataset: Dataset
    chosen: frozenset[int | str] | None = None

    @property
    def key(self) -> str:
        """The image's name within its set."""
        return self.record.image.file_name

    @property
    def objects(self) -> tuple[Annotation, ...]:
        """The annotations to measure: no crowds, none without a pixel, and only chosen ones."""
        return tuple(one for one in measurable(self.record) if self.chosen is None or one.id in self.chosen)

    @property
    def image_path(self) -> Path | None:
        """The image's file; None where it lies in an archive."""
        return self.dataset.image_path(self.record)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Columns that results may be sliced by: column -> value."""
        return self.dataset.metadata(self.record)

    def open(self) -> Image:
        """Read the image.

        Raises:
            ImageError: It cannot be read.
            RecordError: There is none.
        """
        return self.dataset.open_image(self.record)

    @cached_property
    def digest(self) -> str:
        """sha256 of the image and of everything people drew in it, hexadecimal.

        Raises:
            InputError: There is no image.
            OSError: It cannot be read.
        """
        if self.image_path is None:
            digest = hashlib.sha256((self.open().info.digest or "").encode())
        else:
            with self.image_path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
        ignore = self.record.ignore
        drawn = [
            [str(one.id), one.segmentation.counts.decode("ascii"), one.category, one.iscrowd]
            for one in self.record.annotations
        ]
        ignored = None if ignore is None else ignore.counts.decode("ascii")
        digest.update(json.dumps([self.key, list(self.record.image.size), drawn, ignored]).encode())
        return digest.hexdigest()


class _Unit(NamedTuple):
    """What a sample is drawn from, in the order that the seed gives."""

    rank: int
    image: str
    object: int | str


class EvaluationSet:
    """A data set under a name, or a sample of it; items come one by one, in the same order each time.

    Attributes:
        name: In reports.
        dataset: Its records.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        limit: int | None = None,
        seed: int = 0,
        unit: Unit = "object",
        strict: bool = False,
    ) -> None:
        """Open a data set.

        Args:
            name: In reports.
            path: Whatever `segany.formats.open_dataset` reads.
            limit: At most so many objects (or images); the seed says which. None for all.
            seed: Of the sample: the same objects every time, and those of a smaller limit are among those of a larger.
            unit: What the limit counts.
            strict: Raise the first problem instead of counting it.

        Raises:
            RecordError: There is no data set.
            ConfigError: The limit is below 1.
        """
        if limit is not None and limit < 1:
            raise ConfigError(f"limit must be 1 or more, got {limit}; leave it out for all.")
        self.name = name
        self.dataset = open_dataset(path, strict=strict)
        self._limit, self._seed, self._unit = limit, seed, unit

    def items(self) -> Iterator[Item]:
        """The images that have something to measure (all of them where the unit is an image)."""
        chosen = None if self._limit is None else self._choose(self._limit)
        for record in self.dataset.records():
            name = record.image.file_name
            if chosen is None:
                ids = None
            elif name not in chosen:
                continue
            else:
                ids = chosen[name]
            item = Item(self.name, record, self.dataset, ids)
            if self._unit == "image" or item.objects:
                yield item

    def count(self) -> int:
        """How many items there are at most, for progress."""
        return len(self.dataset) if self._limit is None else min(len(self.dataset), self._limit)

    def problems(self) -> tuple[str, ...]:
        """What could not be read so far, each with its file and place."""
        return tuple(str(problem) for problem in self.dataset.problems)

    def _choose(self, limit: int) -> dict[str, frozenset[int | str] | None]:
        """Chosen images, each with the ids of its chosen objects; one pass over the annotations."""
        best = heapq.nsmallest(limit, self._units())
        if self._unit == "image":
            return {unit.image: None for unit in best}
        ids: dict[str, set[int | str]] = defaultdict(set)
        for unit in best:
            ids[unit.image].add(unit.object)
        return {image: frozenset(members) for image, members in ids.items()}

    def _units(self) -> Iterator[_Unit]:
        for record in self.dataset.records():
            name = record.image.file_name
            for one in ("",) if self._unit == "image" else (annotation.id for annotation in measurable(record)):
                rank = hashlib.sha256(json.dumps([self._seed, name, str(one)]).encode()).digest()[:8]
                yield _Unit(int.from_bytes(rank), name, one)


def measurable(record: Record) -> Iterator[Annotation]:
    """The annotations that can be objects of a measurement: no crowds, none without a pixel that counts."""
    ignore = record.ignore
    for one in record.annotations:
        ignored = 0 if ignore is None else one.segmentation.intersection(ignore)
        if not one.iscrowd and one.area > ignored:
            yield one
