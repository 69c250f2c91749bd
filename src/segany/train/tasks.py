"""Tasks: what one image contributes to a step. The trainer does not know what it trains; a task does."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segany.model.preprocess import normalize_image, resize_image
from segany.model.sam import Sam
from segany.sources import open_image
from segany.train.config import TrainConfig
from segany.train.data import Drawer, Sample
from segany.train.embeddings import Embeddings
from segany.train.interaction import interact
from segany.train.keep import Teacher, keep_losses
from segany.train.refit import Evidence, KeptPhoto, kept_evidence, object_evidence
from segany.train.targets import make_targets
from segany.train.views import View, draw_view

__all__ = ["Distilling", "Interactive", "Part", "Task", "as_input"]

_TRIES = 8


class Part(NamedTuple):
    """A piece of an image's loss; what it says beside the loss is for people.

    Attributes:
        loss: Scalar, with gradient; an image's parts sum to its loss.
        figures: Name -> value without gradient; likewise.
        image: Name of the image.
    """

    loss: Tensor
    figures: dict[str, Tensor]
    image: str


class Task(Protocol):
    """What a run learns."""

    def parts(self, number: int) -> Iterator[Part]:
        """Losses of the image that is drawn as number so and so, from 0.

        Whoever reads it calls `backward` on each before the next, and reads to the end.
        """
        ...

    def embed(self, sample: Sample, place: int) -> Tensor:
        """[1, E, S, S] of a validating sample by the model as it is now, on its device."""
        ...


class Interactive:
    """Learning true masks in simulated interactions, and keeping answers on other images."""

    def __init__(
        self,
        model: Sam,
        config: TrainConfig,
        samples: Sequence[Sample],
        embeddings: Embeddings,
        keep: Sequence[Path],
        device: torch.device,
    ) -> None:
        """Set up, before anything is learnt: the teacher is the model as it is now."""
        self._model, self._config, self._samples = model, config, samples
        self._embeddings, self._keep, self._device = embeddings, keep, device
        self._drawer = Drawer(samples, config.seed, config.count_power)
        self._teacher = Teacher.of(model) if keep and config.keep_weight else None

    def parts(self, number: int) -> Iterator[Part]:
        """See `Task.parts`."""
        config = self._config
        rng = np.random.default_rng((config.seed, 4, number))
        place = self._drawer.sample(number)
        sample = self._samples[place]
        for attempt in range(_TRIES):
            view, cached = self._view(place, number, attempt, rng)
            annotations = self._drawer.objects(sample, config.objects_per_image, rng)
            record = sample.entry.record
            targets = make_targets(record, annotations, view, self._model.config, rng, min_cells=config.min_cells)
            if targets is not None:
                break
        else:
            # Objects too small for the grid: nothing to learn from this image.
            return
        targets = targets.to(self._device)
        whole = self._embedding(sample, place, view, cached)
        embedding = whole.detach().requires_grad_(whole.requires_grad)
        if rng.random() < config.lone_share:
            config = replace(config, clicks=0, repeats=0)
        rounds = config.interactions
        for round_ in interact(self._model, embedding, targets, config, rng):
            figures = {"focal": round_.focal, "dice": round_.dice, "score": round_.score, "iou": round_.iou}
            yield Part(round_.loss / rounds, {key: value / rounds for key, value in figures.items()}, sample.name)
        if whole.requires_grad and embedding.grad is not None:
            torch.autograd.backward(whole, embedding.grad)
        if self._teacher is not None and number % config.keep_every == 0:
            yield from self._kept(number // config.keep_every, rng, self._teacher)

    def embed(self, sample: Sample, place: int) -> Tensor:
        """See `Task.embed`."""
        if self._config.trains_encoder:
            return _encode(self._model, sample.entry.open().pixels, self._device)
        return self._embeddings.of_sample(sample, -1 - place, 0).to(self._device)

    def evidence(self) -> tuple[Evidence | None, Evidence | None]:
        """What the IoU head can be fitted on once more: of the training side, and of the photos that are kept."""
        photos = [functools.partial(self._photo, path) for path in self._keep]
        kept = None if self._teacher is None else kept_evidence(self._model, self._teacher, photos, self._config)
        return object_evidence(self._model, self._samples, self._as_it_is, self._config), kept

    def _as_it_is(self, sample: Sample, place: int) -> Tensor:
        return self._embedding(sample, place, View(), 0)

    def _view(self, place: int, number: int, attempt: int, rng: np.random.Generator) -> tuple[View, int]:
        if self._config.trains_encoder:
            return (draw_view((self._config.seed, 5, number, attempt)), 0) if attempt < _TRIES - 1 else (View(), 0)
        cached = int(rng.integers(self._config.views)) if attempt < _TRIES - 1 else 0
        return self._embeddings.view(place, cached), cached

    def _embedding(self, sample: Sample, place: int, view: View, cached: int) -> Tensor:
        if self._config.trains_encoder:
            return _encode(self._model, view.of_image(sample.entry.open().pixels), self._device)
        return self._embeddings.of_sample(sample, place, cached).to(self._device)

    def _kept(self, number: int, rng: np.random.Generator, teacher: Teacher) -> Iterator[Part]:
        path = self._keep[number % len(self._keep)]
        size, whole, known = self._photo(path)
        embedding = whole.detach().requires_grad_(whole.requires_grad)
        for loss in keep_losses(self._model, teacher, embedding, known, size, self._config, rng):
            yield Part(loss, {"keep": loss.detach()}, str(path.name))
        if whole.requires_grad and embedding.grad is not None:
            torch.autograd.backward(whole, embedding.grad)

    def _photo(self, path: Path) -> KeptPhoto:
        image = open_image(path)
        known = self._embeddings.of_image(str(path), functools.partial(open_image, path)).to(self._device)
        now = _encode(self._model, image.pixels, self._device) if self._config.trains_encoder else known
        return KeptPhoto(image.size, now, known)


class Distilling:
    """A small encoder learns a large one's embeddings, and the masks that the decoder draws from them."""

    def __init__(
        self,
        model: Sam,
        config: TrainConfig,
        samples: Sequence[Sample],
        embeddings: Embeddings,
        device: torch.device,
    ) -> None:
        """Set up; the model has the small encoder and the large one's decoder."""
        self._model, self._config, self._samples = model, config, samples
        self._embeddings, self._device = embeddings, device
        self._drawer = Drawer(samples, config.seed, config.count_power)
        self._teacher = Teacher.of(model)

    def parts(self, number: int) -> Iterator[Part]:
        """See `Task.parts`."""
        config = self._config
        rng = np.random.default_rng((config.seed, 4, number))
        place = self._drawer.sample(number)
        sample = self._samples[place]
        cached = int(rng.integers(config.views))
        known = self._embeddings.of_sample(sample, place, cached).to(self._device)
        pixels = self._embeddings.view(place, cached).of_image(sample.entry.open().pixels)
        whole = _encode(self._model, pixels, self._device)
        embedding = whole.detach().requires_grad_(True)
        imitation = F.mse_loss(embedding, known) / known.var()
        yield Part(imitation, {"embedding": imitation.detach()}, sample.name)
        if config.mask_weight:
            size = open_image(pixels).size
            for loss in keep_losses(self._model, self._teacher, embedding, known, size, config, rng):
                yield Part(config.mask_weight * loss, {"masks": loss.detach()}, sample.name)
        torch.autograd.backward(whole, embedding.grad)

    def embed(self, sample: Sample, place: int) -> Tensor:
        """See `Task.embed`."""
        return _encode(self._model, sample.entry.open().pixels, self._device)


def as_input(model: Sam, pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """[1, 3, S, S]: pixels [H, W, 3] as the model's encoder takes them."""
    resized, _ = resize_image(pixels, model.config.preprocess)
    return torch.from_numpy(normalize_image(resized, model.config.preprocess))[None].to(device)


def _encode(model: Sam, pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    embedding: Tensor = model.image_encoder(as_input(model, pixels, device))
    return embedding.float()
