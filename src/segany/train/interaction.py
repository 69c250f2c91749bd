"""Interactions: an object is prompted, answered and corrected, as in the SAM paper, app. A ("Interactive training")."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segany.model.mask_decoder import MASKS, MaskDecoder
from segany.model.prompt_encoder import PromptEncoder
from segany.model.sam import Sam
from segany.predict.simulate import random_click
from segany.schema import BOX_CORNERS, NEGATIVE, PADDING, POSITIVE
from segany.train.config import TrainConfig
from segany.train.losses import MaskLosses, mask_losses
from segany.train.targets import Targets

__all__ = ["Answers", "Decoding", "Prompts", "RoundLoss", "decode", "interact", "round_plan"]

_SINGLE = (0,)
_SEVERAL = tuple(range(1, MASKS))


class Decoding(Protocol):
    """What answers prompts: a `Sam`, or the half of one."""

    @property
    def prompt_encoder(self) -> PromptEncoder:
        """Prompts to tokens."""
        ...

    @property
    def mask_decoder(self) -> MaskDecoder:
        """Tokens to masks."""
        ...


class Answers(NamedTuple):
    """What the decoder says to some prompts.

    Attributes:
        logits: [P, k, s, s] float32, the masks that were asked for.
        scores: [P, k] float32, their predicted IoU.
    """

    logits: Tensor
    scores: Tensor


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts of one image, all with as many tokens.

    Attributes:
        coords: [P, T, 2] float32 (x, y), model pixels, without the half pixel.
        labels: [P, T] int32, as `PromptEncoder.sparse` has them.
        mask_logits: [P, s, s] float32 of the last answers, or None.
    """

    coords: Tensor
    labels: Tensor
    mask_logits: Tensor | None = None


class RoundLoss(NamedTuple):
    """The loss of one round with some objects of one image.

    Attributes:
        loss: Scalar, weighted, mean over the image's objects; sums to the image's loss over its parts.
        focal: Scalar, unweighted, likewise.
        dice: Scalar, likewise.
        score: Scalar, likewise.
        iou: Scalar, of the candidate of highest predicted IoU, likewise.
        round: From 0.
    """

    loss: Tensor
    focal: Tensor
    dice: Tensor
    score: Tensor
    iou: Tensor
    round: int


def decode(model: Decoding, embedding: Tensor, prompts: Prompts, wanted: tuple[int, ...]) -> Answers:
    """Answer prompts with gradient.

    Args:
        model: Its prompt encoder and mask decoder.
        embedding: [1, E, S, S].
        prompts: Of that image.
        wanted: Which of the four masks.
    """
    encoder, decoder = model.prompt_encoder, model.mask_decoder
    sparse = encoder.sparse(prompts.coords, prompts.labels)
    decoded = decoder.tokens(embedding, encoder.dense_pe(), sparse, encoder.dense(prompts.mask_logits))
    logits = decoder.masks(decoded.mask_tokens, decoded.keys, wanted)
    return Answers(logits.float(), decoded.iou_predictions[:, list(wanted)].float())


def round_plan(config: TrainConfig, rng: np.random.Generator) -> list[bool]:
    """Which rounds after the first bring a new click; of those without, one is at a random place and the rest last."""
    plan = [True] * config.clicks
    if config.repeats:
        plan.insert(int(rng.integers(len(plan) + 1)), False)
        plan += [False] * (config.repeats - 1)
    return plan


def interact(
    model: Sam, embedding: Tensor, targets: Targets, config: TrainConfig, rng: np.random.Generator, chunk: int = 4
) -> Iterator[RoundLoss]:
    """Prompt objects of one image round by round; whoever reads it calls `backward` on each loss before the next.

    The answers that are fed back carry no gradient, so one round's activations are all that is kept.

    Args:
        model: In training.
        embedding: [1, E, S, S].
        targets: The objects; at least one.
        config: Numbers of rounds, weights.
        rng: Of everything that is drawn here.
        chunk: Objects that are decoded together.
    """
    for start in range(0, len(targets), chunk):
        stop = min(start + chunk, len(targets))
        part = Targets(targets.masks[start:stop], targets.valid, targets.boxes[start:stop])
        yield from _interact(model, embedding, part, config, rng, (stop - start) / len(targets))


def _interact(
    model: Sam, embedding: Tensor, targets: Targets, config: TrainConfig, rng: np.random.Generator, share: float
) -> Iterator[RoundLoss]:
    boxed = rng.random(len(targets)) < config.box_share
    session = _Session(targets, boxed, model.config.input_side / targets.masks.shape[-1], rng)
    masks, valid = targets.masks.flatten(1), targets.valid.flatten()
    for number, clicks in enumerate([False, *round_plan(config, rng)]):
        if clicks:
            session.correct()
        alone = number == 0
        # A lone prompt asks for three masks; a lone box is answered with the single one, which so learns it too.
        answers = decode(model, embedding, session.prompts, (*_SEVERAL, *_SINGLE) if alone else _SINGLE)
        several = Answers(answers.logits[:, : len(_SEVERAL)], answers.scores[:, : len(_SEVERAL)])
        losses = _losses(several if alone else answers, masks, valid, config)
        total = _weighted(losses, config)
        if alone and boxed.any():
            single = Answers(answers.logits[:, -1:], answers.scores[:, -1:])
            chosen = torch.from_numpy(boxed).to(total.device)
            total = torch.where(chosen, (total + _weighted(_losses(single, masks, valid, config), config)) / 2, total)
        shown = several if alone else answers
        session.hear(shown)
        parts = (losses.focal, losses.dice, losses.score, session.ious())
        focal, dice, score, iou = (value.detach().mean() * share for value in parts)
        yield RoundLoss(total.mean() * share, focal, dice, score, iou, number)


def _losses(answers: Answers, masks: Tensor, valid: Tensor, config: TrainConfig) -> MaskLosses:
    return mask_losses(
        answers.logits.flatten(2),
        answers.scores,
        masks,
        valid,
        focal_weight=config.focal_weight,
        dice_weight=config.dice_weight,
        score_all=config.score_masks == "all",
    )


def _weighted(losses: MaskLosses, config: TrainConfig) -> Tensor:
    return config.focal_weight * losses.focal + config.dice_weight * losses.dice + config.score_weight * losses.score


class _Session:
    """Prompts and last answers of some objects."""

    def __init__(
        self,
        targets: Targets,
        boxed: NDArray[np.bool_],
        step: float,
        rng: np.random.Generator,
    ) -> None:
        self._targets, self._boxed, self._step, self._rng = targets, boxed, step, rng
        self._truth = (targets.masks * targets.valid).cpu().numpy() > 0
        self._valid = targets.valid.cpu().numpy() > 0
        self._drawn = np.zeros_like(self._truth)
        self._logits: Tensor | None = None
        self._clicks: list[list[tuple[float, float, int]]] = [[] for _ in range(len(targets))]
        for place in np.flatnonzero(~boxed).tolist():
            self._click(place, self._truth[place], POSITIVE)

    @property
    def prompts(self) -> Prompts:
        """As the predictor would put them: clicks, then the box's corners or one token of padding."""
        coords, labels = [], []
        boxes = self._targets.boxes.cpu().numpy()
        most = max(len(clicks) + (2 if boxed else 1) for clicks, boxed in zip(self._clicks, self._boxed, strict=True))
        for place, clicks in enumerate(self._clicks):
            points = [(x, y) for x, y, _ in clicks]
            kinds = [label for _, _, label in clicks]
            if self._boxed[place]:
                points += boxes[place].reshape(2, 2).tolist()
                kinds += BOX_CORNERS
            missing = most - len(points)
            coords.append(points + [(0.0, 0.0)] * missing)
            labels.append(kinds + [PADDING] * missing)
        device = self._targets.masks.device
        return Prompts(
            torch.tensor(coords, dtype=torch.float32, device=device),
            torch.tensor(labels, dtype=torch.int32, device=device),
            self._logits,
        )

    def correct(self) -> None:
        """Add a click on what is wrong; where nothing is, one on the object."""
        for place in range(len(self._clicks)):
            wrong = (self._truth[place] != self._drawn[place]) & self._valid
            if wrong.any():
                self._click(place, wrong, None)
            else:
                self._click(place, self._truth[place], POSITIVE)

    def hear(self, answers: Answers) -> None:
        """Keep the candidates of highest predicted IoU."""
        best = answers.scores.detach().argmax(dim=1)
        self._logits = answers.logits.detach()[torch.arange(len(best), device=best.device), best]
        self._drawn = self._logits.cpu().numpy() > 0

    def ious(self) -> Tensor:
        """[P] of what is kept."""
        both = (self._drawn & self._truth).sum(axis=(1, 2))
        either = ((self._drawn & self._valid) | self._truth).sum(axis=(1, 2))
        return torch.from_numpy(both / np.maximum(either, 1))

    def _click(self, place: int, where: NDArray[np.bool_], label: int | None) -> None:
        x, y = random_click(where, int(self._rng.integers(2**31)))
        if label is None:
            label = POSITIVE if self._truth[place][y, x] else NEGATIVE
        # The middle of the cell, as a pixel index.
        self._clicks[place].append(((x + 0.5) * self._step - 0.5, (y + 0.5) * self._step - 0.5, label))
