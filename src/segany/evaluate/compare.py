"""Compare two reports: a paired bootstrap over the images that both measured says what differs by more than chance."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from segany.errors import ConfigError, RecordError
from segany.evaluate.intervals import Interval, percentile_interval
from segany.evaluate.item_table import read_items
from segany.evaluate.metrics import Metric, Row
from segany.evaluate.protocol import EvaluationProtocol
from segany.evaluate.protocols import find_protocol
from segany.evaluate.report import FORMAT

__all__ = ["Comparison", "Difference", "Verdict", "compare_reports"]

Verdict = Literal["better", "worse", "undecided"]


class Difference(NamedTuple):
    """One metric on one set: the second report's figure less the first's.

    Attributes:
        set_name: The set.
        metric: The metric.
        unit: See `Metric.unit`.
        first: The first report's figure, on what both measured.
        second: The second's.
        difference: Second less first, with its paired interval.
        verdict: Whether the second is better or worse by more than its interval.
    """

    set_name: str
    metric: str
    unit: str
    first: float
    second: float
    difference: Interval
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """What two reports differ in.

    Attributes:
        protocol: Name of the protocol.
        first: Name of the first report's model.
        second: Name of the second's.
        differences: For each set and metric.
        only_first: How many rows only the first report has; they are left out.
        only_second: How many rows only the second has.
    """

    protocol: str
    first: str
    second: str
    differences: Sequence[Difference]
    only_first: int
    only_second: int


class _Report(NamedTuple):
    document: Mapping[str, Any]
    protocol: EvaluationProtocol
    model: str
    rows: dict[tuple[str, str], dict[str, Row]]


def compare_reports(
    first: Path, second: Path, *, first_model: str | None = None, second_model: str | None = None
) -> Comparison:
    """Compare.

    Args:
        first: Folder of a report, or its report.json.
        second: Another of the same protocol; may be the same one, if it has two models.
        first_model: Which model of the first report; may be left out where it has one.
        second_model: Which model of the second.

    Raises:
        RecordError: A report cannot be read.
        ConfigError: They are of two protocols or settings, a model must be named, or nothing was measured by both.
    """
    reports = [_read(first, first_model), _read(second, second_model)]
    one, other = reports
    for key in ("name", "version", "settings"):
        mine, theirs = (report.document["protocol"][key] for report in reports)
        if mine != theirs:
            raise ConfigError(f"both reports must be of one protocol; their {key} is {mine} and {theirs}.")
    differences: list[Difference] = []
    for set_name in dict.fromkeys(name for name, _ in one.rows):
        differences += _of_set(set_name, one, other)
    if not differences:
        raise ConfigError("the reports have no image in common; run both on the same data.")
    alone = [
        sum(len(rows.keys() - b.rows.get(image, {}).keys()) for image, rows in a.rows.items())
        for a, b in ((one, other), (other, one))
    ]
    return Comparison(one.protocol.name, one.model, other.model, differences, *alone)


def _of_set(set_name: str, one: _Report, other: _Report) -> Iterator[Difference]:
    metrics = (one.protocol.metrics(), other.protocol.metrics())
    shared = [image for image in one.rows if image[0] == set_name and image in other.rows]
    for image in shared:
        # The same rows in the same order: the metrics then draw the same images.
        keys = [key for key in one.rows[image] if key in other.rows[image]]
        for report, own in zip((one, other), metrics, strict=True):
            for metric in own.values():
                metric.update([report.rows[image][key] for key in keys])
    if shared:
        for name in metrics[0]:
            yield _difference(set_name, name, metrics[0][name], metrics[1][name])


def _difference(set_name: str, name: str, mine: Metric, theirs: Metric) -> Difference:
    value = theirs.value() - mine.value()
    interval = percentile_interval(value, theirs.draws() - mine.draws(), min(mine.n, theirs.n))
    verdict: Verdict = "undecided"
    if interval.low > 0 or interval.high < 0:
        verdict = "better" if (interval.low > 0) != mine.lower_is_better else "worse"
    return Difference(set_name, name, mine.unit, mine.value(), theirs.value(), interval, verdict)


def _read(path: Path, model: str | None) -> _Report:
    folder = path if path.is_dir() else path.parent
    try:
        document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{folder}: no report to be read: {error}; name a folder of segany evaluate.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RecordError(f"{folder / 'report.json'} is no report of this version; run the evaluation again.")
    models = list(dict.fromkeys(result["model"] for result in document["results"]))
    if model is None and len(models) != 1:
        raise ConfigError(f"{folder} has {len(models)} models, {', '.join(models)}; say which.")
    if model is not None and model not in models:
        raise ConfigError(f"{folder} has no model {model!r}; it has {', '.join(models)}.")
    chosen = models[0] if model is None else model
    rows: dict[tuple[str, str], dict[str, Row]] = {}
    for row in read_items(folder / "items.parquet"):
        if row["model"] == chosen:
            own = rows.setdefault((str(row["set"]), str(row["image"])), {})
            # Rows without an object (of an image, of a class) go by their place.
            own[str(row.get("object") or row.get("class") or len(own))] = row
    return _Report(document, _protocol(document["protocol"]), chosen, rows)


def _protocol(about: Mapping[str, Any]) -> EvaluationProtocol:
    return find_protocol(about["name"]).restored(about["settings"])
