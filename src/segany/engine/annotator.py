"""A simulated annotator, so that what a loop costs and gains can be measured on data whose masks are known.

What people take for each step was published by others and is fixed here; it is never fitted to a result.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.engine.proposals import GOOD
from segany.engine.quality import SAME_OBJECT
from segany.engine.tasks import TaskAnswer
from segany.masks import RLE, rle_iou_matrix
from segany.predict import ImageEmbedding, Predictor
from segany.predict.choose import MaskChooser
from segany.predict.simulate import Click, first_click, next_click, random_click
from segany.schema import Annotation, Prediction, Prompt

__all__ = ["Annotator", "Costs", "Work"]


@dataclass(frozen=True)
class Costs:
    """Seconds that a person takes.

    Attributes:
        click: For a click: to find the place and click (Bearman et al. 2016, "What's the Point", sec. 4: 2.4 s for the
            first point on an object).
        inspect: To look at one mask and decide (Papadopoulos et al. 2016, "We don't need no bounding-boxes", sec. 5.2:
            1.6 s for a verification).
        box: For a box (Papadopoulos et al. 2017, "Extreme clicking", abstract: 7 s).
        polygon: To draw an object by hand (Lin et al. 2014, "Microsoft COCO", sec. 4.3: 22 worker hours for 1,000
            masks, which is 79.2 s).
    """

    click: float = 2.4
    inspect: float = 1.6
    box: float = 7.0
    polygon: float = 79.2

    def scaled(self, factor: float) -> "Costs":
        """The same of a quicker or slower person."""
        return Costs(**{each.name: factor * getattr(self, each.name) for each in fields(self)})

    def seconds(self, steps: Mapping[str, int]) -> float:
        """Time that so many steps of each kind take."""
        return sum(float(cost) * steps.get(name, 0) for name, cost in asdict(self).items())


@dataclass
class Work:
    """What an annotator did.

    Attributes:
        steps: Kind of step -> how often.
        masks: Masks that came of it: accepted ones and drawn ones.
        ious: IoU with the truth of each of them.
    """

    steps: Counter[str] = field(default_factory=Counter)
    masks: int = 0
    ious: list[float] = field(default_factory=list)


class Annotator:
    """Knows what is meant, and does what a careful person does: looks, clicks, looks again, and draws at last."""

    def __init__(
        self,
        name: str = "simulated",
        *,
        good: float = GOOD,
        most_clicks: int = 8,
        looks_at_others: bool = True,
        first: str = "centre",
    ) -> None:
        """Set up.

        Args:
            name: In the store.
            good: IoU from which on a mask is accepted.
            most_clicks: After so many clicks the object is drawn by hand.
            looks_at_others: Look at the other two masks of a first click, one key apart, before clicking again.
            first: Where the first click goes: "centre", or "random".
        """
        self.name, self.good, self.most_clicks = name, good, most_clicks
        self._looks_at_others, self._first = looks_at_others, first

    def annotate(
        self,
        predictor: Predictor,
        embedding: ImageEmbedding,
        truths: Sequence[RLE],
        shown: Sequence[Annotation],
        kept: Sequence[RLE],
        chooser: MaskChooser | None,
        prefix: str,
    ) -> tuple[TaskAnswer, Work, MaskChooser | None]:
        """Do one image.

        Args:
            predictor: The model in use.
            embedding: Of the image.
            truths: What is meant.
            shown: Masks that wait for a decision; each is looked at. One that shows an object, and not well enough, is
                corrected by clicks.
            kept: Masks that need no look; objects that they show are not drawn again.
            chooser: Ranks a first click's masks; None for the predicted IoU alone.
            prefix: Of the ids of new masks.

        Returns:
            The answer, what it took (the answer's seconds are those of `Costs()`), and the chooser as it is then.
        """
        work = Work()
        open_objects = set(range(len(truths)))
        for mask in kept:
            place, iou = _nearest(mask, truths, open_objects)
            if place is not None and iou >= SAME_OBJECT:
                # A person sees that there is a mask, and not that it is not a good one.
                open_objects.discard(place)
        accepted, rejected = list[int | str](), list[int | str]()
        near: dict[int, RLE] = {}
        for annotation in shown:
            work.steps["inspect"] += 1
            place, iou = _nearest(annotation.segmentation, truths, open_objects)
            if place is None or iou < self.good:
                rejected.append(annotation.id)
                if place is not None and iou >= SAME_OBJECT:
                    near.setdefault(place, annotation.segmentation)
                continue
            open_objects.discard(place)
            accepted.append(annotation.id)
            work.ious.append(iou)
        drawn = []
        for place in sorted(open_objects):
            done = self._draw(predictor, embedding, truths[place], near.get(place), chooser, work)
            drawn.append(
                Annotation(
                    f"{prefix}-{place}",
                    done.mask,
                    source="manual" if done.by_hand else "semi_automatic",
                    prompts=(_prompt(done.clicks),) if done.clicks else (),
                    annotator=self.name,
                    model_digest=embedding.model_digest,
                )
            )
            if chooser is not None and done.first is not None:
                chooser = chooser.learned(done.first, _prompt(done.clicks[:1]), done.mask)
        work.masks = len(accepted) + len(drawn)
        answer = TaskAnswer(accepted, rejected, drawn, Costs().seconds(work.steps))
        return answer, work, chooser

    def _draw(
        self,
        predictor: Predictor,
        embedding: ImageEmbedding,
        meant: RLE,
        near: RLE | None,
        chooser: MaskChooser | None,
        work: Work,
    ) -> "_Drawn":
        """Click until the mask is good, from a mask that is nearly it if there is one; by hand where clicks fail."""
        truth = meant.to_mask()
        shown, first = None, None
        if near is None:
            click = first_click(truth) if self._first == "centre" else random_click(truth, len(meant.counts))
            clicks = [Click(click[0], click[1], 1)]
            work.steps["click"] += 1
            first = predictor.predict(embedding, _prompt(clicks), chooser=chooser)
            shown = self._best_of(first, truth, work)
        else:
            mask = near.to_mask()
            shown, clicks = _Shown(mask, _iou(mask, truth), None), []
        while shown.iou < self.good and len(clicks) < self.most_clicks:
            clicked = np.array([each[:2] for each in clicks], dtype=np.int64).reshape(-1, 2)
            found = next_click(shown.mask, truth, clicked=clicked)
            if found is None:
                break
            clicks.append(found)
            prompt = _prompt(clicks, shown.logits) if shown.logits is not None else _prompt(clicks, mask=shown.mask)
            answer = predictor.predict(embedding, prompt, multimask=False)
            work.steps["click"] += 1
            work.steps["inspect"] += 1
            shown = _Shown(answer.mask(0), _iou(answer.mask(0), truth), answer.low_res_logits[0])
        if shown.iou < self.good:
            work.steps["polygon"] += 1
            work.ious.append(1.0)
            return _Drawn(meant, clicks, True, first)
        work.ious.append(shown.iou)
        return _Drawn(RLE.from_mask(shown.mask), clicks, False, first)

    def _best_of(self, answer: Prediction, truth: NDArray[np.bool_], work: Work) -> "_Shown":
        """Look at a first click's masks, the likeliest first, until one is good; give the best of those seen."""
        best = _Shown(np.zeros_like(truth), -1.0, None)
        for index in answer.ranking.tolist() if self._looks_at_others else [answer.best_index]:
            work.steps["inspect"] += 1
            mask = answer.mask(index)
            iou = _iou(mask, truth)
            if iou > best.iou:
                best = _Shown(mask, iou, answer.low_res_logits[index])
            if iou >= self.good:
                break
        return best


class _Shown(NamedTuple):
    """A mask on the screen: [H, W] bool, its IoU with what is meant, and the logits behind it, if it is an answer."""

    mask: NDArray[np.bool_]
    iou: float
    logits: NDArray[np.float32] | None


class _Drawn(NamedTuple):
    """What came of an object: its mask, the clicks, whether it was drawn by hand, and a first click's answer."""

    mask: RLE
    clicks: list[Click]
    by_hand: bool
    first: Prediction | None


def _prompt(
    clicks: Sequence[Click], logits: NDArray[np.float32] | None = None, mask: NDArray[np.bool_] | None = None
) -> Prompt:
    places = [(click.x, click.y) for click in clicks]
    return Prompt(points=places, labels=[click.label for click in clicks], mask_logits=logits, mask=mask)


def _nearest(mask: RLE, truths: Sequence[RLE], among: set[int]) -> tuple[int | None, float]:
    """The object that a mask shows best, of those that are left, and its IoU."""
    left = sorted(among)
    if not left:
        return None, 0.0
    ious = rle_iou_matrix([mask], [truths[place] for place in left])[0]
    best = int(np.argmax(ious))
    return left[best], float(ious[best])


def _iou(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(mask | truth)
    return float(np.count_nonzero(mask & truth) / union) if union else 0.0
