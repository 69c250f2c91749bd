"""The agreement protocol: do two models, or two runtimes of one, give the same masks?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from segany.evaluate.items import Item
from segany.evaluate.metrics import Mean, Metric, Row, Value
from segany.evaluate.plot import Line, Plot
from segany.evaluate.protocol import EvaluationProtocol, Stages
from segany.evaluate.rows import case_columns, object_row
from segany.evaluate.segmenter import Answer, MaskCrop, Question, Segmenter
from segany.evaluate.truth import Truth
from segany.schema import Annotation, Prompt

__all__ = ["Agreement"]

_LEVELS = (0.9, 0.99)


@dataclass(frozen=True)
class Agreement(EvaluationProtocol):
    """The same click and the same box to two of them; how alike are the answers?"""

    name: ClassVar[str] = "agreement"
    summary: ClassVar[str] = (
        "A click at each object's deepest point and its tight box, to both; IoU of the two masks of highest predicted "
        "IoU, of all three candidates in their order, and of the two masks of the box."
    )
    subjects: ClassVar[int] = 2
    main: ClassVar[str] = "mask IoU, click"
    case_column: ClassVar[str | None] = "alike_click"

    def rows(self, item: Item, subjects: Sequence[Any], stages: Stages) -> list[Row]:
        """See `EvaluationProtocol.rows`."""
        with stages("read"):
            image = item.open()
        objects = item.objects
        truths = [Truth(annotation.segmentation, item.record.ignore) for annotation in objects]
        clicks = [Prompt(points=[truth.first_click()]) for truth in truths]
        questions = [Question(prompt, multimask=True) for prompt in clicks]
        questions += [Question(Prompt(box=annotation.segmentation.box)) for annotation in objects]
        answers: list[Sequence[Answer]] = []
        for segmenter in subjects:
            answers.append(self._answers(segmenter, image, questions, stages))
        rows: list[Row] = []
        with stages("score"):
            for place, annotation in enumerate(objects):
                click = [own[place] for own in answers]
                box = [own[len(objects) + place] for own in answers]
                rows.append(self._row(annotation, truths[place], click, box, clicks[place]))
        return rows

    @staticmethod
    def _answers(segmenter: Segmenter, image: Any, questions: Sequence[Question], stages: Stages) -> Sequence[Answer]:
        with stages("embed"):
            prepared = segmenter.prepare(image)
        with stages("predict"):
            return segmenter.predict(prepared, questions) if questions else ()

    @staticmethod
    def _row(
        annotation: Annotation, truth: Truth, click: Sequence[Answer], box: Sequence[Answer], prompt: Prompt
    ) -> dict[str, Value]:
        chosen = [int(np.argmax(answer.scores)) for answer in click]
        one, other = (answer.crop(index) for answer, index in zip(click, chosen, strict=True))
        common = range(min(len(answer.scores) for answer in click))
        candidates = [_alike(click[0].crop(index), click[1].crop(index)) for index in common]
        return object_row(
            annotation,
            {
                "alike_click": _alike(one, other),
                "alike_candidates": float(np.mean(candidates)),
                "alike_box": _alike(box[0].crop(0), box[1].crop(0)),
                "same_choice": chosen[0] == chosen[1],
                "score_difference": float(abs(click[0].scores[chosen[0]] - click[1].scores[chosen[1]])),
                "iou_first": truth.iou(one),
                "iou_second": truth.iou(other),
                "gained": truth.iou(other) - truth.iou(one),
                **{f"above_{level:g}": _alike(one, other) > level for level in _LEVELS},
                **case_columns(one.rle(truth.size), other, prompt),
            },
        )

    def metrics(self) -> Mapping[str, Metric]:
        """See `EvaluationProtocol.metrics`."""
        return {
            "mask IoU, click": Mean("alike_click"),
            "mask IoU, three candidates": Mean("alike_candidates"),
            "mask IoU, box": Mean("alike_box"),
            **{f"share above {level:g}, click": Mean(f"above_{level:g}") for level in _LEVELS},
            "same candidate chosen": Mean("same_choice"),
            "difference of predicted IoU": Mean("score_difference", lower_is_better=True),
            "mIoU with the truth, first": Mean("iou_first"),
            "mIoU with the truth, second": Mean("iou_second"),
            "second less first": Mean("gained"),
        }

    def plots(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Plot]:
        """How the mask IoU is distributed: the share of objects that agree at least so well."""
        levels = np.linspace(0.5, 1, 101)
        lines = []
        for name in ("click", "candidates", "box"):
            alike = np.array(columns.get(f"alike_{name}", ()), dtype=np.float64)
            if len(alike):
                lines.append(Line(name, levels.tolist(), [float(np.mean(alike >= level)) for level in levels]))
        return [Plot("Objects that agree at least so well", "mask IoU", "share of objects", lines, y_range=(0, 1.02))]


def _alike(one: MaskCrop, other: MaskCrop) -> float:
    """IoU of two answers; two empty ones are the same."""
    return one.iou(other) if one.pixels.any() or other.pixels.any() else 1.0
