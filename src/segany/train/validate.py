"""Validation while a run goes on: the paper's clicks on the decoder's grid (SAM paper, sec. 7.1)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segany.model.sam import Sam
from segany.predict.simulate import first_click, next_click
from segany.schema import NEGATIVE, PADDING, POSITIVE
from segany.train.config import TrainConfig
from segany.train.data import Sample
from segany.train.interaction import Prompts, decode
from segany.train.targets import Targets, make_targets
from segany.train.views import View

__all__ = ["CLICKS", "Validation", "validate"]

CLICKS = 5
_CHUNK = 8


class Validation(NamedTuple):
    """How good the masks of highest predicted IoU are.

    Attributes:
        miou_1: Mean IoU after one click, at the object's deepest point.
        miou_5: After five, the further ones in the largest error.
        objects: How many.
    """

    miou_1: float
    miou_5: float
    objects: int

    @property
    def value(self) -> float:
        """What runs are compared by: the mean of both."""
        return (self.miou_1 + self.miou_5) / 2


def validate(
    model: Sam, samples: Sequence[Sample], embed: Callable[[Sample, int], Tensor], config: TrainConfig
) -> Validation | None:
    """Click objects of the validating side; the same ones each time.

    Args:
        model: As it is now.
        samples: The side.
        embed: From a sample and its place to [1, E, S, S] on the model's device.
        config: Says how many objects.

    Returns:
        None where there is nothing to validate on.
    """
    ious: list[tuple[float, float]] = []
    per_image = max(1, -(-config.val_objects // max(len(samples), 1)))
    with torch.no_grad():
        for place, sample in enumerate(samples):
            targets = _targets(sample, place, per_image, model, config)
            if targets is None or len(ious) >= config.val_objects:
                continue
            embedding = embed(sample, place)
            masks = (targets.masks * targets.valid).numpy() > 0
            valid = targets.valid.numpy() > 0
            for start in range(0, len(masks), _CHUNK):
                ious += _clicked(model, embedding, masks[start : start + _CHUNK], valid)
    if not ious:
        return None
    first, last = np.array(ious[: config.val_objects]).mean(axis=0).tolist()
    return Validation(first, last, min(len(ious), config.val_objects))


def _targets(sample: Sample, place: int, count: int, model: Sam, config: TrainConfig) -> Targets | None:
    rng = np.random.default_rng((config.seed, 3, place))
    order = rng.permutation(len(sample.annotations))[:count]
    chosen = [sample.annotations[int(one)] for one in order]
    return make_targets(sample.entry.record, chosen, View(), model.config, rng, min_cells=config.min_cells)


def _clicked(
    model: Sam,
    embedding: Tensor,
    masks: NDArray[np.bool_],
    valid: NDArray[np.bool_],
) -> list[tuple[float, float]]:
    step = model.config.input_side / masks.shape[-1]
    clicks = [[(*first_click(mask), POSITIVE)] for mask in masks]
    logits: Tensor | None = None
    ious = np.zeros((CLICKS, len(masks)))
    for number in range(CLICKS):
        coords = [
            [((x + 0.5) * step - 0.5, (y + 0.5) * step - 0.5) for x, y, _ in own] + [(0.0, 0.0)] for own in clicks
        ]
        labels = [[label for _, _, label in own] + [PADDING] for own in clicks]
        prompts = Prompts(
            torch.tensor(coords, dtype=torch.float32, device=embedding.device),
            torch.tensor(labels, dtype=torch.int32, device=embedding.device),
            logits,
        )
        answers = decode(model, embedding, prompts, (1, 2, 3) if number == 0 else (0,))
        best = answers.scores.argmax(dim=1)
        logits = answers.logits[torch.arange(len(best), device=best.device), best]
        drawn = (logits.cpu().numpy() > 0) & valid
        ious[number] = (drawn & masks).sum((1, 2)) / np.maximum((drawn | masks).sum((1, 2)), 1)
        for own, mask, answer in zip(clicks, masks, drawn, strict=True):
            click = next_click(answer, mask)
            # Where nothing is wrong the same click once more: all prompts stay as long.
            own.append(own[-1] if click is None else (click.x, click.y, POSITIVE if click.label else NEGATIVE))
    return list(zip(ious[0].tolist(), ious[-1].tolist(), strict=True))
