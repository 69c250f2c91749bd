"""The report as JSON values: the one source of the Markdown and the HTML page."""

import math
from collections.abc import Mapping
from typing import Any

from segany.evaluate.intervals import Interval
from segany.evaluate.results import Gathered, Scores, mean_of_sets
from segany.evaluate.run import Evaluation
from segany.schema import Report

__all__ = ["FORMAT", "to_document", "to_reports"]

FORMAT = "segany-evaluation-1"


def to_document(evaluation: Evaluation, command: str | None = None) -> dict[str, Any]:
    """Everything that a report says in words and numbers, as JSON values; figures unrounded, NaN as null.

    Args:
        evaluation: What was measured.
        command: The command that measured it, or None.
    """
    protocol = evaluation.protocol
    metrics = protocol.metrics()
    by_model: dict[str, list[Gathered]] = {}
    for one in evaluation.results:
        by_model.setdefault(one.model, []).append(one)
    return {
        "format": FORMAT,
        "protocol": {
            "name": protocol.name,
            "version": protocol.version,
            "summary": f"{protocol.summary} {protocol.note()}".strip(),
            "settings": protocol.settings(),
            "digest": protocol.digest,
            "main": protocol.main,
            "unit": protocol.unit,
        },
        "command": command,
        "metrics": {
            name: {"unit": metric.unit, "lower_is_better": metric.lower_is_better} for name, metric in metrics.items()
        },
        "sets": [
            {
                "name": one.name,
                "format": one.format,
                "images": len(one.image_ids),
                "objects": one.objects,
                "digest": one.digest,
                "image_ids": one.image_ids,
                "problems": one.problems,
            }
            for one in evaluation.sets
        ],
        "models": [{"name": one.name, "digest": one.digest, **one.about} for one in evaluation.models],
        "results": [
            {
                "set": one.set_name,
                "model": one.model,
                **_scores(one.scores()),
                "slices": {
                    column: {word: _scores(scores) for word, scores in slices.items()}
                    for column, slices in one.slices().items()
                },
            }
            for one in evaluation.results
        ],
        "means": [
            {"model": model, "metrics": _metrics(mean_of_sets(gathered))}
            for model, gathered in by_model.items()
            if len(gathered) > 1
        ],
        "published": [one._asdict() for one in protocol.published],
        "sample": {"seed": evaluation.seed, "limit": evaluation.limit},
        "seconds": {model: dict(stages) for model, stages in evaluation.seconds.items()},
        "wall_seconds": evaluation.wall_seconds,
        "images_from_cache": evaluation.from_cache,
        "peak_memory_bytes": evaluation.peak_memory_bytes,
        "machine": dict(evaluation.machine),
    }


def to_reports(evaluation: Evaluation) -> list[Report]:
    """One `Report` for each set and model: what rules and stores read.

    Args:
        evaluation: What was measured.
    """
    sets = {one.name: one.digest for one in evaluation.sets}
    models = {one.name: one.digest for one in evaluation.models}
    reports = []
    for one in evaluation.results:
        figures = {name: figure for name, figure in one.scores().metrics.items() if math.isfinite(figure.mean)}
        reports.append(
            Report(
                protocol=evaluation.protocol.name,
                dataset_digest=sets[one.set_name],
                # A comparison is of several models.
                model_digest=" / ".join(models[name] for name in one.model.split(" / ")),
                metrics={name: figure.mean for name, figure in figures.items()},
                n=one.scores().rows,
                interval={name: (figure.low, figure.high) for name, figure in figures.items()},
            )
        )
    return reports


def _scores(scores: Scores) -> dict[str, Any]:
    return {"images": scores.images, "rows": scores.rows, "metrics": _metrics(scores.metrics)}


def _metrics(metrics: Mapping[str, Interval]) -> dict[str, Any]:
    return {
        name: {"value": _number(one.mean), "low": _number(one.low), "high": _number(one.high), "n": one.n}
        for name, one in metrics.items()
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
