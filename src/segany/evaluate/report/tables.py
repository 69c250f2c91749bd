"""The tables of a report: built once from its document, printed as Markdown or HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Table", "cell", "published_table", "report_tables"]

_SLICED_METRICS = 6


@dataclass(frozen=True)
class Table:
    """Words in rows and columns.

    Attributes:
        title: Above it.
        head: The columns.
        rows: The cells; the first is the row's name.
        note: Below it, or empty.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def cell(figure: Mapping[str, Any] | None, unit: str) -> str:
    """A figure with its interval: "52.1 (49.1 to 55.6)" in percent, "1.54 (1.30 to 1.82)" for numbers.

    Args:
        figure: value, low and high; None for none.
        unit: "share" or "number".
    """
    if figure is None or figure["value"] is None:
        return "–"
    factor, digits = (100, 1) if unit == "share" else (1, 2)
    value, low, high = (None if figure[key] is None else figure[key] * factor for key in ("value", "low", "high"))
    if low is None or high is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def report_tables(document: Mapping[str, Any]) -> list[Table]:
    """All tables of a report.

    Args:
        document: Of `to_document`.
    """
    models = list(dict.fromkeys(result["model"] for result in document["results"]))
    tables = [_figures(document, model) for model in models]
    if document["published"]:
        tables.append(published_table(document))
    tables += [
        _slice(document, result, column)
        for result in document["results"]
        for column in result["slices"]
        if len(result["slices"][column]) > 1
    ]
    tables += [_data(document), _models(document), _seconds(document)]
    return tables


def _figures(document: Mapping[str, Any], model: str) -> Table:
    results = [result for result in document["results"] if result["model"] == model]
    means = [mean for mean in document["means"] if mean["model"] == model]
    columns = [(result["set"], result["metrics"]) for result in results]
    columns += [("mean of sets", mean["metrics"]) for mean in means]
    rows = [
        [
            name + (" ↓" if about["lower_is_better"] else ""),
            *(cell(metrics.get(name), about["unit"]) for _, metrics in columns),
        ]
        for name, about in document["metrics"].items()
    ]
    counts = ["n", *(_count(document, result) for result in results), *("" for _ in means)]
    note = "Shares in percent, with 95 % bootstrap intervals over images; ↓: less is better."
    return Table(model, ["", *(name for name, _ in columns)], [*rows, counts], note)


def published_table(document: Mapping[str, Any]) -> Table:
    """Published figures beside ours: on one set, or the mean of our sets.

    Args:
        document: Of `to_document`.
    """
    ours = [(f"{mean['model']}, mean of ours", mean["metrics"]) for mean in document["means"]] or [
        (f"{result['model']}, {result['set']}", result["metrics"]) for result in document["results"]
    ]
    rows = []
    for one in document["published"]:
        unit = document["metrics"].get(one["metric"], {}).get("unit", "share")
        value = cell({"value": one["value"], "low": None, "high": None}, unit)
        rows.append(
            [one["name"], one["metric"], value, *(cell(m.get(one["metric"]), unit) for _, m in ours), one["source"]]
        )
    head = ["model", "metric", "published", *(name for name, _ in ours), "published on"]
    return Table("Beside published figures", head, rows, "Other data, so a guide and not a comparison.")


def _slice(document: Mapping[str, Any], result: Mapping[str, Any], column: str) -> Table:
    main = document["protocol"]["main"]
    names = [main, *(name for name in document["metrics"] if name != main)][:_SLICED_METRICS]
    rows = [
        [
            word,
            _count(document, scores),
            *(cell(scores["metrics"][name], document["metrics"][name]["unit"]) for name in names),
        ]
        for word, scores in result["slices"][column].items()
    ]
    return Table(f"By {column}: {result['model']}, {result['set']}", [column, "n", *names], rows)


def _count(document: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """How many rows the main metric is of; where it is of none, how many rows there are."""
    return str(scores["metrics"][document["protocol"]["main"]]["n"] or scores["rows"])


def _data(document: Mapping[str, Any]) -> Table:
    rows = [
        [
            one["name"],
            one["format"],
            str(one["images"]),
            str(one["objects"]),
            str(len(one["problems"])),
            one["digest"][:16],
        ]
        for one in document["sets"]
    ]
    return Table("Data", ["set", "format", "images", "objects", "problems", "digest"], rows)


def _models(document: Mapping[str, Any]) -> Table:
    keys = list(dict.fromkeys(key for one in document["models"] for key in one if key not in ("name", "digest")))
    rows = [[one["name"], *(str(one.get(key, "")) for key in keys), one["digest"][:16]] for one in document["models"]]
    return Table("Models", ["name", *keys, "digest"], rows)


def _seconds(document: Mapping[str, Any]) -> Table:
    stages = list(dict.fromkeys(stage for stages in document["seconds"].values() for stage in stages))
    rows = [
        [model, *(f"{seconds.get(stage, 0.0):.1f}" for stage in stages)]
        for model, seconds in document["seconds"].items()
    ]
    note = (
        f"This run took {document['wall_seconds']:.1f} s; {document['images_from_cache']} images were measured before. "
        "Several images are in work at once, so stages overlap."
    )
    return Table("Seconds by stage", ["model", *stages], rows, note)
