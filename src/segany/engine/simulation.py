"""Rounds of the data engine with a simulated annotator: what a mask costs, and how much of the work the model does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segany.engine.annotator import Annotator, Costs
from segany.engine.models import CHOOSER, keep, mask_chooser
from segany.engine.quality import compare_masks
from segany.engine.running import run_to_end
from segany.engine.stages import STAGE, StageSettings, stage_handler
from segany.engine.tasks import answer_task, next_task
from segany.masks import RLE
from segany.predict import Predictor
from segany.store import Store

__all__ = ["RoundFigures", "simulate_round"]


@dataclass(frozen=True)
class RoundFigures:
    """What a round came to.

    Attributes:
        stage: Of the round.
        images: How many.
        objects: How many there are in them in truth.
        masks: Masks that are kept in the end: automatic, accepted and drawn.
        automatic: Those of them that nobody looked at.
        proposed: Those that the model proposed and the annotator accepted.
        steps: Kind of step -> how often.
        found: Share of the objects that have a mask of IoU .5 or more.
        precise: Share of the masks that show an object, at IoU .5 or more.
        iou: Mean IoU of these masks with their objects.
        good: Share of them with an IoU of .75 or more.
    """

    stage: str
    images: int
    objects: int
    masks: int
    automatic: int
    proposed: int
    steps: Mapping[str, int]
    found: float
    precise: float
    iou: float
    good: float

    def seconds_per_mask(self, costs: Costs | None = None) -> float:
        """A person's seconds for each mask that is kept."""
        return (costs or Costs()).seconds(self.steps) / max(self.masks, 1)

    @property
    def share_automatic(self) -> float:
        """Of the masks that are kept, how many nobody looked at."""
        return self.automatic / max(self.masks, 1)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, with the figures that follow."""
        return {
            **asdict(self),
            "seconds_per_mask": self.seconds_per_mask(),
            "masks_per_image": self.masks / max(self.images, 1),
            "share_automatic": self.share_automatic,
        }


def simulate_round(
    store: Store,
    truths: Mapping[int, Sequence[RLE]],
    settings: StageSettings,
    predictor: Predictor,
    annotator: Annotator,
    *,
    choosing: bool = True,
) -> RoundFigures:
    """One stage over some images, and a simulated person who does every task that it asks.

    Args:
        store: With the images.
        truths: Record -> its true masks, which the annotator alone sees.
        settings: The stage; `settings.records` are the round's images.
        predictor: The model in use.
        annotator: Who works.
        choosing: Let the project's chooser rank first clicks, and learn.
    """
    run_to_end(store, STAGE, settings.to_dict(), {STAGE: stage_handler(store, lambda _: predictor)})
    steps: Counter[str] = Counter()
    while (task := next_task(store, annotator.name)) is not None:
        number = task.record.id
        kept = [
            one.segmentation
            for one in task.record.record.objects
            if one.source == "automatic" and one.review_state == "unreviewed"
        ]
        chooser = mask_chooser(store) if choosing else None
        answer, work, chooser = annotator.annotate(
            predictor,
            predictor.embed(store.image(number)),
            truths[number],
            task.inspect,
            kept,
            chooser,
            f"round {task.job.id}",
        )
        answer_task(store, task, answer, annotator=annotator.name)
        if chooser is not None:
            keep(store, chooser, CHOOSER, actor=annotator.name)
        steps.update(work.steps)
    return _figures(store, truths, settings, steps)


def _figures(
    store: Store, truths: Mapping[int, Sequence[RLE]], settings: StageSettings, steps: Mapping[str, int]
) -> RoundFigures:
    numbers = settings.records if settings.records is not None else tuple(truths)
    masks = automatic = proposed = objects = 0
    ious: list[float] = []
    for stored in store.records.iterate(numbers):
        kept = [one for one in stored.record.objects if one.review_state in ("accepted", "unreviewed")]
        masks += len(kept)
        automatic += sum(one.review_state == "unreviewed" for one in kept)
        proposed += sum(one.source == "automatic" and one.review_state == "accepted" for one in kept)
        objects += len(truths[stored.id])
        ious += compare_masks([one.segmentation for one in kept], truths[stored.id])
    return RoundFigures(
        settings.stage,
        len(numbers),
        objects,
        masks,
        automatic,
        proposed,
        dict(steps),
        len(ious) / max(objects, 1),
        len(ious) / max(masks, 1),
        sum(ious) / max(len(ious), 1),
        sum(iou >= 0.75 for iou in ious) / max(len(ious), 1),
    )
