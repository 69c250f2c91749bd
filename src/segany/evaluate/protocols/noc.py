"""The noc protocol: how many clicks until the mask is good (NoC@k; RITM, SimpleClick)?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from segany.errors import ConfigError
from segany.evaluate.click_loop import Multimask, Session, check_clicking, run_sessions
from segany.evaluate.items import Item
from segany.evaluate.metrics import Mean, Metric, Row, Value
from segany.evaluate.protocol import EvaluationProtocol, Published, Stages
from segany.evaluate.rows import case_columns, object_row
from segany.evaluate.segmenter import Segmenter
from segany.evaluate.truth import Truth
from segany.masks import RLE
from segany.predict.simulate import NextClickRule

__all__ = ["NoC"]

_RITM = "GrabCut, RITM paper (trained on COCO and LVIS)"


@dataclass(frozen=True)
class NoC(EvaluationProtocol):
    """Clicks until an IoU is reached; objects that never reach it count as the most clicks allowed.

    Attributes:
        targets: The IoUs, in percent.
        max_clicks: The most clicks.
        rule: Where the next click goes: "deepest" (the click literature's) or "largest".
        multimask: As in the clicks protocol.
    """

    name: ClassVar[str] = "noc"
    summary: ClassVar[str] = (
        "Clicks at the point deepest inside an error until the IoU is reached; objects that never get there count as "
        "the most clicks, and as failures."
    )
    main: ClassVar[str] = "NoC@90"
    case_column: ClassVar[str | None] = "iou_1"
    axis: ClassVar[str] = "clicks"
    published: ClassVar[Sequence[Published]] = (
        Published("RITM HRNet-18", "NoC@85", 1.42, _RITM),
        Published("RITM HRNet-18", "NoC@90", 1.54, _RITM),
    )

    targets: tuple[int, ...] = (80, 85, 90)
    max_clicks: int = 20
    rule: NextClickRule = "deepest"
    multimask: Multimask = "first"

    def __post_init__(self) -> None:
        """Refuse settings that cannot be meant."""
        if not self.targets or not all(0 < target <= 100 for target in self.targets):
            raise ConfigError(f"targets must be IoUs in percent, got {', '.join(map(str, self.targets))}.")
        if self.max_clicks < 1:
            raise ConfigError(f"max_clicks must be 1 or more, got {self.max_clicks}.")
        check_clicking(self.rule, self.multimask)

    def rows(self, item: Item, subjects: Sequence[Any], stages: Stages) -> list[Row]:
        """See `EvaluationProtocol.rows`."""
        segmenter: Segmenter = subjects[0]
        objects = item.objects
        with stages("read"):
            image = item.open()
        with stages("embed"):
            prepared = segmenter.prepare(image)
        with stages("score"):
            truths = [Truth(annotation.segmentation, item.record.ignore) for annotation in objects]
        sessions = run_sessions(
            segmenter,
            prepared,
            truths,
            stages,
            clicks=self.max_clicks,
            rule=self.rule,
            multimask=self.multimask,
            shown_at=self.max_clicks,
        )
        return [
            object_row(annotation, self._columns(session, annotation.segmentation))
            for annotation, session in zip(objects, sessions, strict=True)
        ]

    def _columns(self, session: Session, mask: RLE) -> dict[str, Value]:
        ious = [step.iou for step in session.steps_of(self.max_clicks)]
        columns: dict[str, Value] = {f"iou_{number}": iou for number, iou in enumerate(ious, 1)}
        for target in self.targets:
            reached = [number for number, iou in enumerate(ious, 1) if iou >= target / 100]
            columns[f"noc_{target}"] = reached[0] if reached else self.max_clicks
            columns[f"failed_{target}"] = not reached
        return {**columns, **case_columns(mask, session.shown, session.prompt(len(session.clicks)))}

    def metrics(self) -> Mapping[str, Metric]:
        """See `EvaluationProtocol.metrics`."""
        metrics: dict[str, Metric] = {
            f"NoC@{target}": Mean(f"noc_{target}", unit="number", lower_is_better=True) for target in self.targets
        }
        metrics |= {f"failures@{target}": Mean(f"failed_{target}", lower_is_better=True) for target in self.targets}
        metrics |= {f"mIoU@{number}": Mean(f"iou_{number}") for number in range(1, self.max_clicks + 1)}
        return metrics

    def curve(self) -> Mapping[float, str]:
        """See `EvaluationProtocol.curve`."""
        return {number: f"mIoU@{number}" for number in range(1, self.max_clicks + 1)}
