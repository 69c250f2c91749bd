"""The card of a data set: what it holds, where its masks come from, under which licences, what was lost on the way.

After Gebru et al., "Datasheets for datasets", CACM 2021: the parts of it that the data can answer.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from segany.formats.losses import Loss, Target
from segany.geometry import Size
from segany.schema import Record

__all__ = ["DATASHEET", "Tally", "datasheet"]

DATASHEET = "datasheet.md"
_SHOWN = 200


@dataclass
class Tally:
    """What the card says, counted record by record."""

    images: int = 0
    masks: int = 0
    crowds: int = 0
    empty: int = 0
    ignore: int = 0
    altered: int = 0
    smallest: Size | None = None
    largest: Size | None = None
    licences: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    annotators: set[str] = field(default_factory=set)

    def add(self, record: Record, *, altered: bool = False) -> None:
        """Count a record.

        Args:
            record: Image and masks.
            altered: Whether a step at its import changed the image.
        """
        size = record.image.size
        self.images += 1
        self.masks += len(record.annotations)
        self.altered += altered
        self.empty += not record.annotations
        self.ignore += record.ignore is not None
        self.smallest = size if self.smallest is None or size.area < self.smallest.area else self.smallest
        self.largest = size if self.largest is None or size.area > self.largest.area else self.largest
        self.licences[record.image.licence or "not stated"] += 1
        for each in record.annotations:
            self.crowds += each.iscrowd
            self.sources[each.source.replace("_", "-")] += 1
            self.reviews[each.review_state] += 1
            self.categories[each.category or "none"] += 1
            if each.model_digest is not None:
                self.models[each.model_digest] += 1
            if each.annotator is not None:
                self.annotators.add(each.annotator)


def datasheet(name: str, target: Target, tally: Tally, losses: Sequence[Loss], metadata: str | None) -> str:
    """The card as Markdown.

    Args:
        name: Of the source.
        target: The format of the data.
        tally: What was written.
        losses: What the format does not hold of the source.
        metadata: Name of the file that says the licence of each image, or None.
    """
    lines = [f"# {_cell(name)}", "", f"Images and masks in the format `{target}`, converted by segany.", ""]
    lines += ["## Composition", ""]
    lines += [f"- {tally.images:,} images, {tally.empty:,} of them without masks"]
    if tally.smallest is not None and tally.largest is not None:
        lines += [f"- from {tally.smallest} to {tally.largest} pixels"]
    lines += [f"- {tally.masks:,} masks, {tally.crowds:,} of them of crowds"]
    lines += [f"- {tally.ignore:,} images with pixels that nobody decided on"]
    if tally.altered:
        lines += [f"- {tally.altered:,} images were altered at their import; the column `altered` says which"]
    lines += [""]
    lines += _table("class", "masks", tally.categories)
    lines += ["## How the masks were made", ""]
    lines += [f"{len(tally.annotators):,} people are named as annotators; masks name {len(tally.models):,} models.", ""]
    lines += _table("source", "masks", tally.sources) + _table("review", "masks", tally.reviews)
    lines += _table("model (sha256)", "masks", tally.models)
    lines += ["## Licences", ""]
    lines += [f"`{metadata}` has the licence of each image." if metadata else "No image has a licence that is known."]
    lines += ["", *_table("licence", "images", tally.licences)]
    lines += ["## What this format does not hold of the source", ""]
    lines += [f"- {_cell(str(loss))}" for loss in losses] or ["Nothing was lost."]
    return "\n".join(lines) + "\n"


def _table(what: str, unit: str, counts: Counter[str]) -> list[str]:
    if not counts:
        return []
    rows = [f"| {_cell(name)} | {count:,} |" for name, count in counts.most_common(_SHOWN)]
    more = [f"| and {len(counts) - _SHOWN:,} more | |"] if len(counts) > _SHOWN else []
    return [f"| {what} | {unit} |", "|---|---:|", *rows, *more, ""]


def _cell(text: str) -> str:
    """Text that cannot end its cell, its line, or begin markup of its own."""
    plain = " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in plain)
