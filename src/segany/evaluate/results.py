"""Results: the figures of a protocol for each set and model, slice by slice, gathered without keeping what was seen."""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, NamedTuple

import numpy as np

from segany.evaluate.intervals import Interval, percentile_interval
from segany.evaluate.items import Item
from segany.evaluate.metrics import Metric, Row, Value
from segany.evaluate.protocol import EvaluationProtocol

__all__ = ["CaseRow", "Gathered", "Scores", "mean_of_sets"]

_CASES = 6


@dataclass(frozen=True)
class Scores:
    """Figures of one model on one set, or on one slice of it.

    Attributes:
        images: How many images.
        rows: How many rows (objects, mostly).
        metrics: Name -> figure with its interval.
    """

    images: int
    rows: int
    metrics: Mapping[str, Interval]


class CaseRow(NamedTuple):
    """A row to show as a picture.

    Attributes:
        value: What it was chosen by.
        item: Where it is from.
        row: With its hidden columns.
    """

    value: float
    item: Item
    row: Row


@dataclass
class _Slice:
    metrics: Mapping[str, Metric]
    images: int = 0
    rows: int = 0

    def update(self, rows: Sequence[Row]) -> None:
        self.images += 1
        self.rows += len(rows)
        for metric in self.metrics.values():
            metric.update(rows)

    def scores(self) -> Scores:
        return Scores(self.images, self.rows, {name: metric.compute() for name, metric in self.metrics.items()})


@dataclass
class Gathered:
    """What is known of one model on one set while rows come in.

    Attributes:
        protocol: Whose rows.
        set_name: The set.
        model: The model's name, or the names of those compared.
        by: Columns to slice by.
        case_column: Column that the worst and best rows are chosen by; None for no cases.
        columns: Columns that rows had so far.
    """

    protocol: EvaluationProtocol
    set_name: str
    model: str
    by: Sequence[str] = ()
    case_column: str | None = None
    columns: set[str] = field(init=False, default_factory=set)
    _whole: _Slice = field(init=False)
    _slices: dict[str, dict[str, _Slice]] = field(init=False)
    _worst: list[tuple[float, int, CaseRow]] = field(init=False, default_factory=list)
    _best: list[tuple[float, int, CaseRow]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Start empty."""
        self._whole = _Slice(self.protocol.metrics())
        self._slices = {column: {} for column in self.by}
        self._ticket = count()

    def update(self, item: Item, rows: Sequence[Row]) -> None:
        """Take in the rows of one image."""
        self._whole.update(rows)
        self.columns.update(*rows)
        for column, slices in self._slices.items():
            parts: dict[str, list[Row]] = {}
            for row in rows:
                if column in row:
                    parts.setdefault(_word(row[column]), []).append(row)
            for word, part in parts.items():
                slices.setdefault(word, _Slice(self.protocol.metrics())).update(part)
        if self.case_column is not None:
            for row in rows:
                value = row.get(self.case_column)
                if isinstance(value, int | float) and not math.isnan(value):
                    self._keep(CaseRow(float(value), item, row))

    def _keep(self, case: CaseRow) -> None:
        # The ticket breaks ties, so that rows are never compared.
        for heap, sign in ((self._worst, -1), (self._best, 1)):
            entry = (sign * case.value, next(self._ticket), case)
            if len(heap) < _CASES:
                heapq.heappush(heap, entry)
            elif entry[0] > heap[0][0]:
                heapq.heapreplace(heap, entry)

    def scores(self) -> Scores:
        """The figures of the whole set."""
        return self._whole.scores()

    def metrics(self) -> Mapping[str, Metric]:
        """The metrics themselves."""
        return self._whole.metrics

    def slices(self) -> dict[str, dict[str, Scores]]:
        """Column -> its value -> figures; sizes from small to large, other values in alphabetical order."""
        order = {"small": "0", "medium": "1", "large": "2"}
        return {
            column: {
                word: slices[word].scores() for word in sorted(slices, key=lambda word: (order.get(word, "3"), word))
            }
            for column, slices in self._slices.items()
        }

    def cases(self, kind: Literal["worst", "best"]) -> list[CaseRow]:
        """Rows that stand out, the most extreme first."""
        heap = self._worst if kind == "worst" else self._best
        return [case for *_, case in sorted(heap, key=lambda entry: (-entry[0], entry[1]))]


def mean_of_sets(gathered: Sequence[Gathered]) -> dict[str, Interval]:
    """Each metric's mean over sets, every set counting the same (SAM paper, sec. 7.1).

    Metrics that have no value on one of the sets are left out.

    Args:
        gathered: One model on several sets.
    """
    means = {}
    for name in gathered[0].metrics():
        metrics = [one.metrics()[name] for one in gathered]
        values = [metric.value() for metric in metrics]
        if np.isfinite(values).all():
            # Another seed for each set: they are drawn independently of each other.
            draws = np.mean([metric.draws(seed) for seed, metric in enumerate(metrics)], axis=0)
            means[name] = percentile_interval(float(np.mean(values)), draws, sum(metric.n for metric in metrics))
    return means


def _word(value: Value) -> str:
    return "none" if value is None else str(value)
