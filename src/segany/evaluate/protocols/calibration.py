"""The calibration protocol: does the predicted IoU say how good a mask is?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from segany.evaluate.items import Item
from segany.evaluate.metrics import Mean, Metric, Resampled, Row, Value
from segany.evaluate.plot import Line, Plot
from segany.evaluate.protocol import EvaluationProtocol, Stages
from segany.evaluate.rows import case_columns, object_row
from segany.evaluate.segmenter import Question, Segmenter
from segany.evaluate.truth import Truth
from segany.schema import Prompt

__all__ = ["Calibration", "calibration_error", "reliability"]

_BINS = 10
_KINDS = {
    "chosen": "the mask of highest predicted IoU",
    "nearest": "the candidate nearest to the object, as the head was trained",
    "box": "the mask of the object's box",
}


@dataclass(frozen=True)
class Calibration(EvaluationProtocol):
    """Predicted IoU against the real one, of masks from one click and from a box."""

    name: ClassVar[str] = "calibration"
    summary: ClassVar[str] = (
        "A click at the object's deepest point, and its tight box; predicted IoU against real IoU. ECE: their mean "
        "difference in ten bins of predicted IoU, weighted by how many masks a bin has."
    )
    main: ClassVar[str] = "ECE, chosen"
    case_column: ClassVar[str | None] = "trust_chosen"

    def rows(self, item: Item, subjects: Sequence[Any], stages: Stages) -> list[Row]:
        """See `EvaluationProtocol.rows`."""
        segmenter: Segmenter = subjects[0]
        objects = item.objects
        with stages("read"):
            image = item.open()
        with stages("embed"):
            prepared = segmenter.prepare(image)
        truths = [Truth(annotation.segmentation, item.record.ignore) for annotation in objects]
        clicks = [Prompt(points=[truth.first_click()]) for truth in truths]
        questions = [Question(prompt, multimask=True) for prompt in clicks]
        questions += [Question(Prompt(box=annotation.segmentation.box)) for annotation in objects]
        with stages("predict"):
            answers = segmenter.predict(prepared, questions) if questions else ()
        rows: list[Row] = []
        with stages("score"):
            for place, (annotation, truth) in enumerate(zip(objects, truths, strict=True)):
                click, box = answers[place], answers[len(objects) + place]
                ious = [truth.iou(click.crop(index)) for index in range(len(click.scores))]
                chosen, nearest = int(np.argmax(click.scores)), int(np.argmax(ious))
                pairs = {
                    "chosen": (float(click.scores[chosen]), ious[chosen]),
                    "nearest": (float(click.scores[nearest]), ious[nearest]),
                    "box": (float(box.scores[0]), truth.iou(box.crop(0))),
                }
                columns: dict[str, Value] = {}
                for kind, (score, iou) in pairs.items():
                    # The head may overshoot 1.
                    columns[f"score_{kind}"], columns[f"iou_{kind}"] = min(score, 1.0), iou
                    columns[f"bias_{kind}"] = min(score, 1.0) - iou
                columns |= {"trust_chosen": -abs(pairs["chosen"][0] - pairs["chosen"][1])}
                columns |= {"regret": ious[nearest] - ious[chosen], "right": chosen == nearest}
                columns |= case_columns(annotation.segmentation, click.crop(chosen), clicks[place])
                rows.append(object_row(annotation, columns))
        return rows

    def metrics(self) -> Mapping[str, Metric]:
        """See `EvaluationProtocol.metrics`."""
        metrics: dict[str, Metric] = {f"ECE, {kind}": Resampled(_figure(kind), lower_is_better=True) for kind in _KINDS}
        metrics |= {f"predicted less real IoU, {kind}": Mean(f"bias_{kind}") for kind in _KINDS}
        metrics["right candidate chosen"] = Mean("right")
        metrics["IoU lost by the choice"] = Mean("regret", lower_is_better=True)
        return metrics

    def plots(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Plot]:
        """The reliability curve."""
        lines = []
        for kind, words in _KINDS.items():
            pairs = _pairs(zip(columns[f"score_{kind}"], columns[f"iou_{kind}"], strict=True))
            counts, scores, ious = reliability(*pairs)
            there = counts > 0
            lines.append(Line(words, scores[there].tolist(), ious[there].tolist()))
        return [Plot("Reliability", "predicted IoU", "real IoU", lines, diagonal=True, y_range=(0, 1))]


def reliability(
    scores: NDArray[np.float64], ious: NDArray[np.float64], bins: int = _BINS
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """How good masks are whose predicted IoU is alike.

    Args:
        scores: [N] predicted IoU, 0 to 1.
        ious: [N] real IoU.
        bins: Equal bins from 0 to 1; a score of 1 falls into the last.

    Returns:
        For each bin [bins]: how many masks, their mean predicted IoU, their mean real IoU; NaN where there are none.
    """
    places = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(places, weights=values, minlength=bins) / counts for values in (scores, ious)]
    return counts, means[0], means[1]


def calibration_error(scores: NDArray[np.float64], ious: NDArray[np.float64], bins: int = _BINS) -> float:
    """Expected calibration error (Guo et al. 2017) of predicted IoU; NaN for no masks.

    Args:
        scores: [N] predicted IoU, 0 to 1.
        ious: [N] real IoU.
        bins: As `reliability`.
    """
    if len(scores) == 0:
        return float("nan")
    counts, predicted, real = reliability(scores, ious, bins)
    there = counts > 0
    return float(np.abs(predicted - real)[there] @ counts[there] / counts.sum())


def _figure(kind: str) -> Callable[[Sequence[Sequence[Row]]], float]:
    def figure(images: Sequence[Sequence[Row]]) -> float:
        rows = (row for rows in images for row in rows)
        return calibration_error(*_pairs((row.get(f"score_{kind}"), row.get(f"iou_{kind}")) for row in rows))

    return figure


def _pairs(pairs: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores and IoUs, without what has no score (a baseline does not predict any)."""
    values = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
    values = values[~np.isnan(values).any(axis=1)]
    return values[:, 0], values[:, 1]
