"""Keeping what the model could: on other images its answers stay near those of the model it came from.

No annotation is needed: the untuned decoder is the teacher (Li and Hoiem, "Learning without forgetting",
arXiv 1606.09282).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segany.geometry import Frame, Size
from segany.model.mask_decoder import MASKS, MaskDecoder
from segany.model.prompt_encoder import PromptEncoder
from segany.model.sam import Sam
from segany.schema import NEGATIVE, PADDING, POSITIVE
from segany.train.config import TrainConfig
from segany.train.interaction import Answers, Prompts, decode
from segany.train.targets import on_grid

__all__ = ["Teacher", "keep_losses"]

_ALL = tuple(range(MASKS))


@dataclass(frozen=True, eq=False)
class Teacher:
    """The decoder as it was.

    Attributes:
        prompt_encoder: A copy.
        mask_decoder: A copy.
    """

    prompt_encoder: PromptEncoder
    mask_decoder: MaskDecoder

    @classmethod
    def of(cls, model: Sam) -> "Teacher":
        """Copy a model's, before it learns."""
        parts = copy.deepcopy((model.prompt_encoder, model.mask_decoder))
        for part in parts:
            part.eval().requires_grad_(False)
        return cls(*parts)


def keep_losses(
    model: Sam,
    teacher: Teacher,
    embedding: Tensor,
    known: Tensor,
    size: Size,
    config: TrainConfig,
    rng: np.random.Generator,
) -> Iterator[Tensor]:
    """Losses of one image, weighted; whoever reads them calls `backward` on each before the next.

    First lone clicks anywhere, then each with a correction of the teacher's answer.

    Args:
        model: Learns.
        teacher: The model before.
        embedding: [1, E, S, S] by the model's encoder.
        known: The same by the encoder as it was; the same tensor where it does not learn.
        size: Of the image, pixels.
        config: Weights and number of clicks.
        rng: Of the clicks.
    """
    side, device = model.config.low_res_side, embedding.device
    frame = Frame.longest_side(size, model.config.input_side)
    valid = torch.from_numpy(on_grid(np.ones(size, dtype=np.bool_), frame, side)).float().to(device)
    cells = rng.random((config.keep_clicks, 2)) * (frame.model.width, frame.model.height)
    first = _lone(cells, device)
    with torch.no_grad():
        wanted = decode(teacher, known, first, _ALL)
    yield config.keep_weight * _difference(decode(model, embedding, first, _ALL), wanted, valid, config) / 2
    best = wanted.scores[:, 1:].argmax(dim=1) + 1
    logits = wanted.logits[torch.arange(len(best), device=device), best]
    second = _corrected(first, logits, cells, rng, model.config.input_side / side)
    with torch.no_grad():
        wanted = decode(teacher, known, second, (0,))
    yield config.keep_weight * _difference(decode(model, embedding, second, (0,)), wanted, valid, config) / 2


def _lone(cells: NDArray[np.float64], device: torch.device) -> Prompts:
    coords = torch.zeros(len(cells), 2, 2)
    coords[:, 0] = torch.from_numpy(cells)
    labels = torch.tensor([POSITIVE, PADDING], dtype=torch.int32).expand(len(cells), 2)
    return Prompts(coords.to(device), labels.to(device))


def _corrected(
    first: Prompts,
    logits: Tensor,
    cells: NDArray[np.float64],
    rng: np.random.Generator,
    step: float,
) -> Prompts:
    """Add a click that contradicts each answer, near the first one."""
    drawn = logits.cpu().numpy() > 0
    side = drawn.shape[-1]
    near = (cells + rng.normal(0, side * step / 10, cells.shape)).clip(0, side * step - 1)
    column, row = (near / step).astype(np.int64).clip(0, side - 1).T
    inside = drawn[np.arange(len(cells)), row, column]
    device = first.coords.device
    coords = torch.cat(
        [first.coords[:, :1], torch.from_numpy(near).float().to(device)[:, None], first.coords[:, 1:]], 1
    )
    labels = torch.tensor([[POSITIVE, NEGATIVE if each else POSITIVE, PADDING] for each in inside], dtype=torch.int32)
    return Prompts(coords, labels.to(device), logits)


def _difference(answers: Answers, wanted: Answers, valid: Tensor, config: TrainConfig) -> Tensor:
    """How far the soft masks are apart, 0 to 1 whatever their sizes, and the scores.

    Dice with squares below (Milletari et al., arXiv 1606.04797) is 0 for equal soft masks, and bounded: a mask that is
    quite another does not drown what else is learnt.
    """
    shares, truth = answers.logits.sigmoid() * valid, wanted.logits.sigmoid() * valid
    both = (shares * truth).sum((-1, -2))
    masks = 1 - (2 * both + 1) / (shares.square().sum((-1, -2)) + truth.square().sum((-1, -2)) + 1)
    scores = (answers.scores - wanted.scores) ** 2
    return masks.mean() + config.keep_score_weight * config.score_weight * scores.mean()
