"""Where the time of one image goes: each stage's seconds, without those of the stages inside it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.predict.backends.base import Backend, Features, Scored
from segany.predict.cache import EmbeddingCache
from segany.predict.embedding import ImageEmbedding
from segany.predict.image import Predictor
from segany.schema import PromptBatch

__all__ = ["STAGES", "StageClock", "TimedPredictor"]

STAGES = ("read", "embed", "click", "select", "write")


class StageClock:
    """A stop-watch for stages that may lie within each other."""

    def __init__(self) -> None:
        """Start with every stage at 0 seconds."""
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of a block as this stage's; an outer stage's clock stands still meanwhile."""
        self._book()
        self._running.append(name)
        try:
            yield
        finally:
            self._book()
            self._running.pop()

    def _book(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


class _TimedBackend:
    """A backend whose encoding is counted as embedding; everything else is the backend's own."""

    def __init__(self, backend: Backend, clock: StageClock) -> None:
        self._backend, self._clock = backend, clock
        self.key = backend.key
        self.config = backend.config
        self.model_digest = backend.model_digest
        self.encoder_digest = backend.encoder_digest
        self.encode_batch = backend.encode_batch
        self.score_batch = backend.score_batch
        self.score_least = backend.score_least
        self.score_ahead = backend.score_ahead

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Features]:
        with self._clock.stage("embed"):
            return self._backend.encode(images)

    def score(self, features: Features, batch: PromptBatch) -> Scored:
        return self._backend.score(features, batch)

    def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
        return self._backend.low_res(scored, index, near)

    def sample(self, scored: Scored, index: NDArray[np.int64]) -> NDArray[np.float32] | None:
        return self._backend.sample(scored, index)

    def features_from_numpy(self, arrays: Mapping[str, NDArray[Any]]) -> Features:
        return self._backend.features_from_numpy(arrays)


class TimedPredictor(Predictor):
    """A predictor that counts embedding, the cache's part of it included, on a stage clock."""

    def __init__(self, backend: Backend, cache: EmbeddingCache | None, clock: StageClock) -> None:
        """Wrap a backend.

        Args:
            backend: Who computes.
            cache: As in `Predictor`.
            clock: Where to count.
        """
        super().__init__(backend=_TimedBackend(backend, clock), cache=cache)
        self._clock = clock

    def embed(self, image: Any) -> ImageEmbedding:
        """As `Predictor.embed`."""
        with self._clock.stage("embed"):
            return super().embed(image)
