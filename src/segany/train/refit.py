"""The IoU head fitted once more, when masks are as they will be: which of three is chosen hangs on it alone.

What the head reads does not change while it learns. So each prompt is decoded once, without gradients, and hundreds of
passes over all of them take seconds; steps that tune masks too never show the head the same masks twice.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segany.geometry import Frame, Size
from segany.model.mask_decoder import MASKS
from segany.model.sam import Sam
from segany.predict.simulate import first_click, random_click
from segany.schema import BOX_CORNERS, PADDING, POSITIVE
from segany.train.config import TrainConfig
from segany.train.data import Sample
from segany.train.interaction import Decoding, Prompts, decode
from segany.train.keep import Teacher
from segany.train.losses import mask_ious
from segany.train.targets import Targets, make_targets
from segany.train.views import View

__all__ = ["Evidence", "KeptPhoto", "fit_head", "kept_evidence", "object_evidence"]

_ALL = tuple(range(MASKS))
_CHUNK = 4
_BOX_EVERY = 4
_PASSES = 600
_RATE = 1e-3
# Of kept scores beside those that are learnt.
_KEPT_WEIGHT = 20.0
# Of the squared distance from the head as it was: with some hundred examples it would else learn them by heart. On
# photos held back from a fit, 4 points more of the choices stayed as they were, for .4 points of IoU on objects.
_NEAR_WEIGHT = 0.03
# Kept photos need no annotation, and what is to be kept is more than what is learnt: clicks on them for each object.
_KEPT_TIMES = 4


class KeptPhoto(NamedTuple):
    """A photo on which answers should stay.

    Attributes:
        size: Pixels.
        now: [1, E, S, S] by the encoder as it is.
        before: The same by the encoder as it was.
    """

    size: Size
    now: Tensor
    before: Tensor


class Evidence(NamedTuple):
    """What the head sees, and what it should say.

    Attributes:
        tokens: [N, E] float32, its input.
        scores: [N, 4] float32, the masks' IoU with the truth, or what the model before said.
    """

    tokens: Tensor
    scores: Tensor


def object_evidence(
    model: Sam, samples: Sequence[Sample], embed: Callable[[Sample, int], Tensor], config: TrainConfig
) -> Evidence | None:
    """Click and box objects of the training side, about `refit_objects` of them, and measure all four masks.

    Args:
        model: As it is now.
        samples: The side.
        embed: From a sample and its place to [1, E, S, S] on the model's device.
        config: Says how many, and which are too small.

    Returns:
        None where no object is large enough.
    """
    shares = np.array([len(sample.annotations) ** config.count_power for sample in samples])
    counts = np.ceil(config.refit_objects * shares / shares.sum()).astype(int)
    found: list[Evidence] = []
    for place, (sample, count) in enumerate(zip(samples, counts.tolist(), strict=True)):
        rng = np.random.default_rng((config.seed, 7, place))
        order = rng.permutation(len(sample.annotations))[:count]
        chosen = [sample.annotations[int(one)] for one in order]
        targets = make_targets(sample.entry.record, chosen, View(), model.config, rng, min_cells=config.min_cells)
        if targets is None:
            continue
        embedding = embed(sample, place)
        targets = targets.to(embedding.device)
        prompts = _prompts(targets, model.config.input_side / targets.masks.shape[-1], rng)
        for start in range(0, len(targets), _CHUNK):
            part = slice(start, start + _CHUNK)
            tokens, logits, _ = _decoded(model, embedding, Prompts(prompts.coords[part], prompts.labels[part]))
            ious = mask_ious(logits.flatten(2), targets.masks[part].flatten(1), targets.valid.flatten())
            found.append(Evidence(tokens, ious))
    return _joined(found)


def kept_evidence(
    model: Sam, teacher: Teacher, photos: Sequence[Callable[[], KeptPhoto]], config: TrainConfig
) -> Evidence | None:
    """Click photos, four times as often in all as there are objects; the teacher says what the scores should stay.

    Half of the clicks lie anywhere, the other half in the middle of what the teacher sees there: where people click.

    Args:
        model: As it is now.
        teacher: The model before.
        photos: Each reads one.
        config: As in `object_evidence`.
    """
    found: list[Evidence] = []
    count = -(-_KEPT_TIMES * config.refit_objects // (2 * max(len(photos), 1)))
    for place, read in enumerate(photos):
        photo = read()
        rng = np.random.default_rng((config.seed, 8, place))
        frame = Frame.longest_side(photo.size, model.config.input_side)
        cells = rng.random((count, 2)) * (frame.model.width, frame.model.height)
        for start in range(0, count, _CHUNK):
            anywhere = _lone(cells[start : start + _CHUNK], photo.now.device)
            seen = _decoded(teacher, photo.before, anywhere)
            found.append(Evidence(_decoded(model, photo.now, anywhere).tokens, seen.scores))
            middles = _middles(seen, frame)
            if len(middles):
                inside = _lone(middles, photo.now.device)
                wanted = _decoded(teacher, photo.before, inside).scores
                found.append(Evidence(_decoded(model, photo.now, inside).tokens, wanted))
    return _joined(found)


def fit_head(model: Sam, objects: Evidence, kept: Evidence | None) -> None:
    """Fit the IoU head; nothing else of the model changes, and the head stays near what it was (arXiv 1802.01483).

    Args:
        model: Its head is changed.
        objects: Of `object_evidence`.
        kept: Of `kept_evidence`, if there is any.
    """
    head = model.mask_decoder.iou_prediction_head
    parameters = list(head.parameters())
    learnt = [parameter.requires_grad for parameter in parameters]
    head.requires_grad_(True)
    former = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, weight_decay=0.0)
    for number in range(_PASSES):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - number / _PASSES)
        away = [(now - then).square().sum() for now, then in zip(parameters, former, strict=True)]
        loss = (head(objects.tokens) - objects.scores).square().mean() + _NEAR_WEIGHT * torch.stack(away).sum()
        if kept is not None:
            loss = loss + _KEPT_WEIGHT * (head(kept.tokens) - kept.scores).square().mean()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for parameter, learns in zip(parameters, learnt, strict=True):
        parameter.requires_grad_(learns)


class _Decoded(NamedTuple):
    tokens: Tensor
    logits: Tensor
    scores: Tensor


def _decoded(model: Decoding, embedding: Tensor, prompts: Prompts) -> _Decoded:
    """Four masks of each prompt, and what the IoU head read."""
    read: list[Tensor] = []
    handle = model.mask_decoder.iou_prediction_head.register_forward_pre_hook(
        lambda _, given: read.append(given[0].detach().float())
    )
    try:
        with torch.no_grad():
            answers = decode(model, embedding, prompts, _ALL)
    finally:
        handle.remove()
    return _Decoded(read[0], answers.logits, answers.scores)


def _lone(places: NDArray[np.float64], device: torch.device) -> Prompts:
    """A click at each place, [N, 2] x and y in the model's input."""
    coords = [[(float(x), float(y)), (0.0, 0.0)] for x, y in places]
    return _as_tensors(coords, [[POSITIVE, PADDING]] * len(coords), device)


def _middles(seen: _Decoded, frame: Frame) -> NDArray[np.float64]:
    """The deepest point of each answer's best mask, [N, 2] x and y in the model's input; none of an empty mask."""
    side = seen.logits.shape[-1]
    step = frame.padded.width / side
    height, width = (max(1, round(length / step)) for length in frame.model)
    best = seen.scores[:, 1:].argmax(dim=1) + 1
    masks = (seen.logits[torch.arange(len(best)), best] > 0).cpu().numpy()[:, :height, :width]
    deepest = [first_click(mask) for mask in masks if mask.any()]
    return (np.array(deepest, dtype=np.float64).reshape(-1, 2) + 0.5) * step - 0.5


def _prompts(targets: Targets, step: float, rng: np.random.Generator) -> Prompts:
    """A click for each object, at its deepest point or anywhere on it in turn; for every fourth a box instead."""
    masks = ((targets.masks * targets.valid).cpu().numpy()) > 0
    boxes = targets.boxes.cpu().numpy()
    coords, labels = [], []
    for place, (mask, box) in enumerate(zip(masks, boxes, strict=True)):
        seed = int(rng.integers(2**31))
        if place % _BOX_EVERY == _BOX_EVERY - 1:
            coords.append([(float(x), float(y)) for x, y in box.reshape(2, 2)])
            labels.append([*BOX_CORNERS])
            continue
        x, y = random_click(mask, seed) if place % 2 else first_click(mask)
        coords.append([((x + 0.5) * step - 0.5, (y + 0.5) * step - 0.5), (0.0, 0.0)])
        labels.append([POSITIVE, PADDING])
    return _as_tensors(coords, labels, targets.masks.device)


def _as_tensors(coords: list[list[tuple[float, float]]], labels: list[list[int]], device: torch.device) -> Prompts:
    return Prompts(
        torch.tensor(coords, dtype=torch.float32, device=device), torch.tensor(labels, dtype=torch.int32, device=device)
    )


def _joined(found: Sequence[Evidence]) -> Evidence | None:
    if not found:
        return None
    tokens, scores = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Evidence(tokens, scores)
