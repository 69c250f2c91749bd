"""The boxes protocol: masks from true boxes, clean and jittered, and COCO's AP from a detector's boxes."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from segany.errors import RecordError
from segany.evaluate.average_precision import (
    MatchedMasks,
    PrecisionScores,
    average_precision,
    matched_masks,
    pack_matches,
    unpack_matches,
)
from segany.evaluate.detections import Detections
from segany.evaluate.items import Item
from segany.evaluate.metrics import Mean, Metric, Resampled, Row, Value
from segany.evaluate.protocol import EvaluationProtocol, Published, Stages
from segany.evaluate.rows import case_columns, object_row
from segany.evaluate.segmenter import Question, Segmenter
from segany.evaluate.truth import Truth
from segany.geometry import Size
from segany.predict.simulate import true_box
from segany.schema import Annotation, Prompt, Record

__all__ = ["Boxes"]

_MAX_DETECTIONS = 100
_RESAMPLES = 100


@dataclass(frozen=True)
class Boxes(EvaluationProtocol):
    """One mask for each box.

    Attributes:
        jitter_seed: Of the noise on the jittered boxes.
        detections: A file of a detector's boxes in COCO's results format; empty for none.
    """

    name: ClassVar[str] = "boxes"
    summary: ClassVar[str] = "The single mask answered to a box."
    main: ClassVar[str] = "mIoU, true boxes"
    case_column: ClassVar[str | None] = "iou_box"
    published: ClassVar[Sequence[Published]] = (
        Published("SAM (ViT-H)", "AP", 0.465, "COCO val2017, boxes of ViTDet-H, SAM paper"),
    )

    jitter_seed: int = 0
    detections: str = ""

    def note(self) -> str:
        """Where the boxes are from."""
        noise = "moved by noise of 10 % of the side, at most 20 pixels (SAM paper, app. A)"
        text = f"Box source: tight boxes of the true masks; jittered: the same, {noise}"
        return f"{text}; AP: the boxes of {self._found.name}." if self._found else f"{text}."

    def settings(self) -> dict[str, Any]:
        """See `EvaluationProtocol.settings`; the file by its digest, wherever it lies."""
        found = self._found
        return {
            "jitter_seed": self.jitter_seed,
            "detections": None if found is None else f"{found.name} sha256:{found.digest}",
        }

    @cached_property
    def _found(self) -> Detections | None:
        return Detections(Path(self.detections)) if self.detections else None

    def rows(self, item: Item, subjects: Sequence[Any], stages: Stages) -> list[Row]:
        """See `EvaluationProtocol.rows`."""
        segmenter: Segmenter = subjects[0]
        with stages("read"):
            image = item.open()
        with stages("embed"):
            prepared = segmenter.prepare(image)
        rows: list[Row] = [*self._true_boxes(item, segmenter, prepared, stages)]
        if self._found is not None:
            rows += self._detected(item, segmenter, prepared, self._found, stages)
        return rows

    def _true_boxes(self, item: Item, segmenter: Segmenter, prepared: Any, stages: Stages) -> list[dict[str, Value]]:
        objects = item.objects
        masks = [annotation.segmentation.to_mask() for annotation in objects]
        boxes = [true_box(mask) for mask in masks]
        boxes += [
            true_box(mask, _seed(self.jitter_seed, item.key, str(annotation.id)))
            for mask, annotation in zip(masks, objects, strict=True)
        ]
        prompts = [Prompt(box=box) for box in boxes]
        with stages("predict"):
            answers = segmenter.predict(prepared, [Question(prompt) for prompt in prompts]) if prompts else []
        rows = []
        with stages("score"):
            for place, annotation in enumerate(objects):
                truth = Truth(annotation.segmentation, item.record.ignore)
                clean, jittered = answers[place].crop(0), answers[len(objects) + place].crop(0)
                columns: dict[str, Value] = {
                    "iou_box": truth.iou(clean),
                    "boundary_box": truth.boundary_iou(clean),
                    "score_box": float(answers[place].scores[0]),
                    "iou_jittered": truth.iou(jittered),
                    **case_columns(annotation.segmentation, clean, prompts[place]),
                }
                rows.append(object_row(annotation, columns))
        return rows

    def _detected(
        self, item: Item, segmenter: Segmenter, prepared: Any, found: Detections, stages: Stages
    ) -> list[Row]:
        """Rows of a detector's boxes, and of the objects that they should find."""
        names = {category.id: category.name for category in item.dataset.categories}
        size = item.record.image.size
        kept = [one for one in found.of(item.record.image.image_id) if _clipped(one.box, size) is not None]
        if unknown := sorted({one.category_id for one in kept} - names.keys()):
            raise RecordError(f"{found.name}: category {unknown[0]} is none of the set's; correct the file.")
        questions = [Question(Prompt(box=_clipped(one.box, size))) for one in kept]
        with stages("predict"):
            answers = segmenter.predict(prepared, questions) if questions else []
        with stages("score"):
            annotations = [
                Annotation(place, answer.crop(0).rle(size), category=names[one.category_id], predicted_iou=one.score)
                for place, (one, answer) in enumerate(zip(kept, answers, strict=True))
            ]
        with stages("score"):
            return _matches(Record(item.record.image, tuple(annotations)), item.record)

    def metrics(self) -> Mapping[str, Metric]:
        """See `EvaluationProtocol.metrics`."""
        metrics: dict[str, Metric] = {
            "mIoU, true boxes": Mean("iou_box"),
            "mIoU, jittered boxes": Mean("iou_jittered"),
            "boundary IoU, true boxes": Mean("boundary_box"),
        }
        if self.detections:
            names = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large")
            metrics |= {
                name: Resampled(_figure(field), _RESAMPLES)
                for name, field in zip(names, PrecisionScores._fields, strict=True)
            }
        return metrics


def _matches(found: Record, truth: Record) -> list[Row]:
    """One row for each class that was found or is there."""
    rows: list[Row] = []
    named = sorted({str(one.category) for one in (*found.annotations, *truth.annotations) if one.category is not None})
    for name in named:
        own, real = (
            replace(record, annotations=tuple(one for one in record.annotations if one.category == name))
            for record in (found, truth)
        )
        matched = matched_masks(own, real, _MAX_DETECTIONS, lambda one: one.predicted_iou or 0.0)
        rows.append({"class": name, "matches": pack_matches(matched, _MAX_DETECTIONS)})
    return rows


def _figure(pick: str) -> Callable[[Sequence[Sequence[Row]]], float]:
    def figure(images: Sequence[Sequence[Row]]) -> float:
        return float(getattr(_precision(tuple(_texts(rows) for rows in images)), pick))

    return figure


def _texts(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    return tuple((str(row["class"]), str(row["matches"])) for row in rows if row.get("matches") is not None)


@lru_cache(maxsize=2 * _RESAMPLES)
def _precision(images: tuple[tuple[tuple[str, str], ...], ...]) -> PrecisionScores:
    """Remembered, as each of the figures asks for the same draws: the mean over the classes that objects have."""
    by_class: dict[str, list[MatchedMasks]] = {}
    for name, text in (pair for image in images for pair in image):
        by_class.setdefault(name, []).append(unpack_matches(text))
    scores = np.array([average_precision(matches) for matches in by_class.values()])
    if len(scores) == 0:
        return PrecisionScores(*[float("nan")] * len(PrecisionScores._fields))
    known = ~np.isnan(scores)
    sums, counts = np.where(known, scores, 0).sum(axis=0), known.sum(axis=0)
    return PrecisionScores(*np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0).tolist())


def _clipped(box: tuple[float, float, float, float], size: Size) -> tuple[float, float, float, float] | None:
    """The part of a box that lies in the image; None if that is not a pixel wide and high."""
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(size.width)), min(box[3], float(size.height))
    return (x0, y0, x1, y1) if x1 - x0 >= 1 and y1 - y0 >= 1 else None


def _seed(*parts: int | str) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4])
