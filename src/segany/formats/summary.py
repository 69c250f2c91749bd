"""What a data set holds, in numbers."""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from segany.formats.category import FormatName
from segany.formats.coco import stated_area
from segany.formats.dataset import Dataset
from segany.formats.problems import ProblemKind
from segany.geometry import Size
from segany.schema import Record

__all__ = ["Distribution", "Summary", "summarize"]

# COCO's bounds between small, medium and large objects, square pixels.
SMALL, LARGE = 32**2, 96**2


@dataclass(frozen=True)
class Distribution:
    """How numbers are spread.

    Attributes:
        minimum: The smallest.
        quarter: A quarter of them lie below.
        median: Half of them lie below.
        three_quarters: Three quarters of them lie below.
        maximum: The largest.
    """

    minimum: float
    quarter: float
    median: float
    three_quarters: float
    maximum: float

    @classmethod
    def of(cls, values: "Sequence[float] | array[float] | array[int]") -> "Distribution | None":
        """Of some numbers; None of none."""
        if not len(values):
            return None
        return cls(*(float(value) for value in np.quantile(np.asarray(values), [0, 0.25, 0.5, 0.75, 1])))


@dataclass(frozen=True)
class Summary:
    """What a data set holds.

    Attributes:
        format: What was found.
        notes: What was found out about the files.
        images_named: Images that the files name, those with problems included.
        images: Images read.
        objects: Masks that are one object each.
        crowds: Masks of groups.
        ignore_regions: Images with pixels that nobody decided on.
        without_objects: Images without an object.
        smallest: Size of the image with the fewest pixels, or None.
        largest: Size of the image with the most pixels, or None.
        megapixels: Of the images.
        areas: Of the objects, pixels.
        shares: Of the objects: area as a share of the image.
        by_size: Objects by COCO's sizes: small, medium and large.
        objects_per_image: Of the images.
        categories: Objects by category, the most frequent first; None for those without.
        categories_named: How many categories the files name.
        groups: How many groups (patients, videos) the images are in.
        metadata_columns: Columns to slice by.
        problems: How many of each kind.
    """

    format: FormatName
    notes: tuple[str, ...]
    images_named: int
    images: int
    objects: int
    crowds: int
    ignore_regions: int
    without_objects: int
    smallest: Size | None
    largest: Size | None
    megapixels: Distribution | None
    areas: Distribution | None
    shares: Distribution | None
    by_size: Mapping[str, int]
    objects_per_image: Distribution | None
    categories: Mapping[str | None, int]
    categories_named: int
    groups: int
    metadata_columns: tuple[str, ...]
    problems: Mapping[ProblemKind, int]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; sizes as [height, width]."""
        values = asdict(self)
        # JSON has no name that is none.
        values["categories"] = [{"name": name, "objects": count} for name, count in self.categories.items()]
        return values


def summarize(
    dataset: Dataset, limit: int | None = None, on_record: Callable[[int, Record], None] | None = None
) -> Summary:
    """Count what a data set holds, in one pass; no record is kept.

    Args:
        dataset: What to count.
        limit: Stop after so many images.
        on_record: Called with each record and its number, from 0.

    Raises:
        RecordError: The data set was opened strictly, and there is a problem.
    """
    areas, shares, pixels, per_image = array("d"), array("d"), array("d"), array("d")
    sizes: set[Size] = set()
    groups: set[str] = set()
    categories: Counter[str | None] = Counter()
    by_size = dict.fromkeys(("small", "medium", "large"), 0)
    crowds = ignore_regions = 0
    for number, record in enumerate(islice(dataset.records(), limit)):
        size, objects = record.image.size, record.objects
        sizes.add(size)
        groups |= {record.image.group} if record.image.group is not None else set()
        pixels.append(size.area)
        per_image.append(len(objects))
        crowds += len(record.annotations) - len(objects)
        ignore_regions += record.ignore is not None
        for each in objects:
            areas.append(each.area)
            shares.append(each.area / size.area)
            categories[each.category] += 1
            area = stated_area(each)
            by_size["small" if area < SMALL else "large" if area >= LARGE else "medium"] += 1
        if on_record is not None:
            on_record(number, record)
    return Summary(
        format=dataset.format,
        notes=dataset.notes,
        images_named=len(dataset),
        images=len(per_image),
        objects=len(areas),
        crowds=crowds,
        ignore_regions=ignore_regions,
        without_objects=sum(1 for count in per_image if not count),
        smallest=min(sizes, key=lambda size: size.area, default=None),
        largest=max(sizes, key=lambda size: size.area, default=None),
        megapixels=Distribution.of(array("d", (value / 1e6 for value in pixels))),
        areas=Distribution.of(areas),
        shares=Distribution.of(shares),
        by_size=by_size,
        objects_per_image=Distribution.of(per_image),
        categories=dict(categories.most_common()),
        categories_named=len(dataset.categories),
        groups=len(groups),
        metadata_columns=dataset.metadata_columns,
        problems=dict(dataset.problem_counts),
    )
