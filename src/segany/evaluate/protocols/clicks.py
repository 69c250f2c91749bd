"""The clicks protocol: how good is the mask after 1, 2, 3, 5, 9 clicks (SAM paper, sec. 7.1 and app. D)?"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from segany.errors import ConfigError
from segany.evaluate.choosing import GapClosed, MeanChosen, candidate_columns, read_chooser
from segany.evaluate.click_loop import FirstClick, Multimask, Session, check_clicking, run_sessions
from segany.evaluate.items import Item
from segany.evaluate.metrics import Mean, Metric, Row, Value
from segany.evaluate.protocol import EvaluationProtocol, Published, Stages
from segany.evaluate.rows import case_columns, object_row
from segany.evaluate.segmenter import Segmenter
from segany.evaluate.truth import Truth
from segany.masks import RLE
from segany.predict.simulate import NextClickRule

__all__ = ["Clicks"]

_SAM2 = "mean of 23 sets, SAM 2 paper"
_EDGETAM = "mean of 23 sets, EdgeTAM paper"


@dataclass(frozen=True)
class Clicks(EvaluationProtocol):
    """Simulated clicks on true objects.

    Attributes:
        counts: Numbers of clicks to report.
        rule: Where the next click goes: "largest" (inside the largest error) or "deepest" (RITM's rule).
        multimask: When three masks are asked for: after the "first" click, "always" or "never".
        worse_by: A click that lowers the IoU by more than this has made the mask worse.
        failed_below: An IoU under this is a failure.
        first: Where the first click goes: to the deepest point ("centre"), or to a "random" pixel of the object.
        chooser: Beside the paper's figures those of a `MaskChooser` at the first click: "learning" begins anew and
            learns from each object in turn, "untaught" never learns, and a file is one that a project learned. Empty
            for none.
    """

    name: ClassVar[str] = "clicks"
    summary: ClassVar[str] = (
        "The first click at the object's deepest point, the next ones inside the largest error; IoU of the mask of "
        "highest predicted IoU."
    )
    main: ClassVar[str] = "mIoU@1"
    case_column: ClassVar[str | None] = "iou_1"
    axis: ClassVar[str] = "clicks"
    published: ClassVar[Sequence[Published]] = (
        Published("SAM (ViT-H)", "mIoU@1", 0.581, _SAM2),
        Published("SAM (ViT-H)", "mIoU@5", 0.813, _SAM2),
        Published("SAM 2", "mIoU@1", 0.614, _SAM2),
        Published("SAM 2", "mIoU@5", 0.837, _SAM2),
        Published("SAM 2.1", "mIoU@1", 0.619, _SAM2),
        Published("SAM 2.1", "mIoU@5", 0.835, _SAM2),
        Published("EdgeTAM", "mIoU@1", 0.555, _EDGETAM),
        Published("EdgeTAM", "mIoU@5", 0.817, _EDGETAM),
    )

    counts: tuple[int, ...] = (1, 2, 3, 5, 9)
    rule: NextClickRule = "largest"
    multimask: Multimask = "first"
    worse_by: float = 0.1
    failed_below: float = 0.5
    first: FirstClick = "centre"
    chooser: str = ""

    def __post_init__(self) -> None:
        """Refuse settings that cannot be meant."""
        if not self.counts or min(self.counts) < 1:
            raise ConfigError(f"counts must be numbers of clicks from 1 up, got {', '.join(map(str, self.counts))}.")
        check_clicking(self.rule, self.multimask, self.first)
        if self.chooser:
            read_chooser(self.chooser)
            if self.multimask == "never":
                raise ConfigError("a chooser needs several masks to choose from; leave multimask=never out.")

    def settings(self) -> dict[str, Any]:
        """See `EvaluationProtocol.settings`; what was added later is left out where it changes nothing."""
        added = {"first": "centre", "chooser": ""}
        return {name: value for name, value in super().settings().items() if added.get(name) != value}

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
            clicks=max(self.counts),
            rule=self.rule,
            multimask=self.multimask,
            boundary_at=frozenset(self.counts),
            first=self.first,
            depths=bool(self.chooser),
        )
        return [
            object_row(annotation, self._columns(session, annotation.segmentation))
            for annotation, session in zip(objects, sessions, strict=True)
        ]

    def _columns(self, session: Session, mask: RLE) -> dict[str, Value]:
        steps = session.steps_of(max(self.counts))
        columns: dict[str, Value] = {}
        for count in self.counts:
            step = steps[count - 1]
            columns |= {
                f"iou_{count}": step.iou,
                f"oracle_{count}": step.oracle,
                f"boundary_{count}": step.boundary_iou,
                f"score_{count}": step.score,
            }
        drops = [before.iou - after.iou for before, after in itertools.pairwise(steps)]
        return {
            **columns,
            **(candidate_columns(steps[0].candidates, session.truth) if self.chooser else {}),
            "clicks": len(session.clicks),
            "worsened": any(drop > self.worse_by for drop in drops),
            "failed": steps[-1].iou < self.failed_below,
            **case_columns(mask, session.shown, session.prompt(1)),
        }

    def metrics(self) -> Mapping[str, Metric]:
        """See `EvaluationProtocol.metrics`."""
        metrics: dict[str, Metric] = {f"mIoU@{count}": Mean(f"iou_{count}") for count in self.counts}
        asked = self.counts if self.multimask == "always" else () if self.multimask == "never" else (1,)
        metrics |= {f"oracle@{count}": Mean(f"oracle_{count}") for count in asked if count in self.counts}
        metrics |= {f"boundary IoU@{count}": Mean(f"boundary_{count}") for count in self.counts}
        metrics[f"failures@{max(self.counts)}"] = Mean("failed", lower_is_better=True)
        metrics["made worse by a click"] = Mean("worsened", lower_is_better=True)
        if self.chooser:
            metrics["chosen@1"] = MeanChosen(self.chooser)
            metrics["chosen - mIoU@1"] = MeanChosen(self.chooser, difference=True)
            metrics["gap closed@1"] = GapClosed(self.chooser)
        return metrics

    def curve(self) -> Mapping[float, str]:
        """See `EvaluationProtocol.curve`."""
        return {count: f"mIoU@{count}" for count in self.counts}
