"""Where training images come from, how they are split, and in which order they are drawn."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from segany.errors import ConfigError
from segany.formats import Dataset, open_dataset
from segany.schema import Annotation, Image, Record

if TYPE_CHECKING:
    from segany.store import Store

__all__ = ["Drawer", "Entry", "FolderData", "Sample", "Samples", "StoreData", "TrainingData", "load_samples", "usable"]

_GOLDEN = (5**0.5 - 1) / 2


class Entry(NamedTuple):
    """One annotated image of a data set.

    Attributes:
        record: What people drew.
        split: "train", "val", another word, or None where the data have none.
        group: Images of one group are on one side of a split.
        open: Reads the image; raises ImageError, or StoreError where it is not stored.
    """

    record: Record
    split: str | None
    group: str
    open: Callable[[], Image]


class TrainingData(Protocol):
    """Annotated images under a name."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Its images, in an order that stays the same."""
        ...


class FolderData:
    """Annotated images of any format that `segany data inspect` reads; they have no split."""

    def __init__(self, name: str, path: Path | str) -> None:
        """Open them. Raises RecordError."""
        self.name = name
        self.dataset: Dataset = open_dataset(path)

    def entries(self) -> Iterator[Entry]:
        """See `TrainingData.entries`."""
        for record in self.dataset.records():
            group = record.image.group or (record.image.parent.parent_id if record.image.parent else None)
            yield Entry(
                record, None, group or record.image.file_name, functools.partial(self.dataset.open_image, record)
            )


class StoreData:
    """A version of a store, with the splits that its records have."""

    def __init__(self, name: str, store: "Store", version: str = "live") -> None:
        """Choose a version.

        Args:
            name: What people call it.
            store: Open; it must stay so while the data are used.
            version: A frozen version, or "live".

        Raises:
            NotInStoreError: There is no such version.
        """
        self.name = name
        self._store, self._revision = store, store.versions.revision(version)

    def entries(self) -> Iterator[Entry]:
        """See `TrainingData.entries`; records without a stored image are left out."""
        for stored in self._store.records.iterate(revision=self._revision):
            if stored.has_pixels:
                group = stored.record.image.group or f"near {stored.near_group}"
                yield Entry(stored.record, stored.split, group, functools.partial(self._store.image, stored.id))


@dataclass(frozen=True, eq=False)
class Sample:
    """One image to learn from.

    Attributes:
        set_name: The data set that it is from.
        entry: What people drew, and the image.
        annotations: The masks to learn.
    """

    set_name: str
    entry: Entry
    annotations: tuple[Annotation, ...]

    @property
    def name(self) -> str:
        """For people: set and image."""
        return f"{self.set_name}/{self.entry.record.image.file_name}"


class Samples(NamedTuple):
    """What a run learns from and what it is checked on.

    Attributes:
        train: At least one.
        val: Maybe none.
        digest: sha256 over both, hexadecimal.
    """

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    digest: str


def load_samples(data: Sequence[TrainingData], *, val_share: float, seed: int, max_area_share: float = 0.9) -> Samples:
    """Read all annotations, leave out what nothing can be learnt from, and split by group.

    Data that bring splits keep them: "train" learns, "val" validates, others ("test") are not looked at.

    Args:
        data: At least one.
        val_share: Of the images of data without splits.
        seed: Of that split.
        max_area_share: Larger masks are left out, as shares of the image.

    Raises:
        ConfigError: No data, two of one name, or no mask to learn from.
    """
    names = [one.name for one in data]
    if not data or len(set(names)) < len(names):
        raise ConfigError(f"training needs data sets with names that differ, got {', '.join(names) or 'none'}.")
    train: list[Sample] = []
    val: list[Sample] = []
    total = hashlib.sha256()
    seen = 0
    for one in data:
        free: list[Sample] = []
        for entry in one.entries():
            seen += 1
            found = usable(entry.record, max_area_share)
            if not found:
                continue
            sample = Sample(one.name, entry, found)
            total.update(_content(sample))
            if entry.split is None:
                free.append(sample)
            elif entry.split in ("train", "val"):
                (train if entry.split == "train" else val).append(sample)
        learnt, checked = _split(free, val_share, seed)
        train += learnt
        val += checked
    if not train:
        raise ConfigError(
            f"there is no mask to learn from in {', '.join(names)}: {seen} images, none of which has a mask "
            f"(crowds, empty masks and masks over {max_area_share:.0%} of the image do not count) on the training "
            "side. Look at them with: segany data inspect."
        )
    return Samples(tuple(train), tuple(val), total.hexdigest())


def usable(record: Record, max_area_share: float) -> tuple[Annotation, ...]:
    """The masks of a record to learn from: accepted ones if there are any, else all that nobody rejected."""
    height, width = record.image.size
    limit = max_area_share * height * width
    fit = [one for one in record.objects if 0 < one.area <= limit and one.review_state not in ("rejected", "flagged")]
    accepted = [one for one in fit if one.review_state == "accepted"]
    return tuple(accepted or fit)


class Drawer:
    """Draws samples evenly over data sets, and objects evenly over the classes of their image."""

    def __init__(self, samples: Sequence[Sample], seed: int, count_power: float = 0.0) -> None:
        """Of the training side.

        Args:
            samples: The side.
            seed: Of the order.
            count_power: Images are drawn in proportion to their number of masks to this power.
        """
        sets: dict[str, list[int]] = {}
        for place, sample in enumerate(samples):
            sets.setdefault(sample.set_name, []).append(place)
        rng = np.random.default_rng((seed, 1))
        self._sets = []
        for members in sets.values():
            order = [members[int(place)] for place in rng.permutation(len(members))]
            weights = np.array([len(samples[place].annotations) ** count_power for place in order])
            self._sets.append((order, np.cumsum(weights) / weights.sum(), float(rng.random())))

    def sample(self, number: int) -> int:
        """The place of the sample that is drawn as number so and so, from 0: every set in turn.

        Steps of the golden section go evenly through the images, by their weights, and need no memory of what was
        drawn before.
        """
        order, ends, start = self._sets[number % len(self._sets)]
        at = (start + number // len(self._sets) * _GOLDEN) % 1
        return order[min(int(np.searchsorted(ends, at, side="right")), len(order) - 1)]

    def objects(self, sample: Sample, count: int, rng: np.random.Generator) -> list[Annotation]:
        """Some of its masks; those of rare classes as often as others."""
        found = sample.annotations
        if len(found) <= count:
            return list(found)
        of_class: dict[str | None, int] = {}
        for one in found:
            of_class[one.category] = of_class.get(one.category, 0) + 1
        weights = np.array([1 / of_class[one.category] for one in found])
        places = rng.choice(len(found), count, replace=False, p=weights / weights.sum())
        return [found[int(place)] for place in places]


def _split(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Training and validating side; groups in an order that their names and the seed decide."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.entry.group, []).append(sample)
    order = sorted(groups, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    wanted, val = share * len(samples), list[Sample]()
    chosen = set[str]()
    # The last group always stays: something must be learnt from.
    for name in order[:-1]:
        if len(val) + len(groups[name]) / 2 < wanted:
            val += groups[name]
            chosen.add(name)
    return [sample for sample in samples if sample.entry.group not in chosen], val


def _content(sample: Sample) -> bytes:
    info = sample.entry.record.image
    drawn = [[str(one.id), one.segmentation.counts.decode("ascii"), one.category] for one in sample.annotations]
    return json.dumps([sample.name, info.digest, list(info.size), sample.entry.split, drawn]).encode()
