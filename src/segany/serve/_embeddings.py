"""Embedder: one embedding for each image, however many ask for it at once."""

import asyncio
from typing import Any, Literal

from segany.predict import EmbeddingCache, ImageEmbedding, Predictor
from segany.serve._images import Recent, StoredImage
from segany.serve._metrics import Metrics
from segany.serve._pools import WorkPool
from segany.store import Store

__all__ = ["Embedder", "EmbeddingState"]

EmbeddingState = Literal["ready", "queued", "running", "missing"]


class Embedder:
    """Embeddings of a store's images: in memory, on disk in the cache that all parts share, or made now.

    Used from one event loop; what computes does so in threads.
    """

    def __init__(
        self,
        store: Store,
        predictor: Predictor,
        cache: EmbeddingCache | None,
        *,
        encoding: WorkPool,
        warming: WorkPool,
        hot_images: int,
        max_pixels: int | None,
        metrics: Metrics,
    ) -> None:
        """Begin with none.

        Args:
            store: Whose images.
            predictor: Who embeds; with the same cache.
            cache: Embeddings on disk, or None.
            encoding: Where images are embedded.
            warming: Where saved embeddings are read, and made ready for prompts.
            hot_images: Embeddings to keep in memory.
            max_pixels: Largest image.
            metrics: Where embeddings are counted.
        """
        self._store, self._predictor, self._cache = store, predictor, cache
        self._encoding, self._warming, self._metrics = encoding, warming, metrics
        self._max_pixels = max_pixels
        self._hot: Recent[str, ImageEmbedding] = Recent(hot_images)
        self._flying: dict[str, asyncio.Task[ImageEmbedding]] = {}
        self._encoding_now: list[str] = []

    async def embedding(self, image: StoredImage) -> ImageEmbedding:
        """The embedding of an image, from wherever it is quickest.

        Raises:
            BusyError: Too many images wait to be embedded.
            ImageError: The stored file is damaged.
        """
        found = self._hot.get(image.digest)
        if found is not None:
            self._metrics.embeddings.labels("memory").inc()
            return found
        # Whoever goes away leaves the others waiting for the same.
        return await asyncio.shield(self.start(image))

    def start(self, image: StoredImage) -> "asyncio.Task[ImageEmbedding]":
        """Begin to embed, unless that was begun already."""
        task = self._flying.get(image.digest)
        if task is None:
            task = asyncio.create_task(self._make(image))
            self._flying[image.digest] = task
            task.add_done_callback(lambda done: self._landed(image.digest, done))
        return task

    def state(self, image: StoredImage) -> tuple[EmbeddingState, int, ImageEmbedding | None]:
        """Where an embedding stands, how many images are before it, and itself when it is in memory."""
        found = self._hot.get(image.digest)
        if found is not None:
            return "ready", 0, found
        if image.digest not in self._flying:
            return "missing", 0, None
        place = self._encoding_now.index(image.digest) if image.digest in self._encoding_now else 0
        return ("queued" if place else "running"), place, None

    async def close(self) -> None:
        """Wait for nothing more."""
        for task in list(self._flying.values()):
            task.cancel()
        await asyncio.gather(*self._flying.values(), return_exceptions=True)

    async def _make(self, image: StoredImage) -> ImageEmbedding:
        found = await self._warming.run(self._from_disk, image)
        if found is None:
            self._encoding_now.append(image.digest)
            try:
                found = await self._encoding.run(self._encode, image)
            finally:
                self._encoding_now.remove(image.digest)
            self._metrics.embeddings.labels("made").inc()
        else:
            self._metrics.embeddings.labels("disk").inc()
        self._hot.put(image.digest, found)
        return found

    def _from_disk(self, image: StoredImage) -> ImageEmbedding | None:
        found = None if self._cache is None else self._cache.load(image.digest, self._predictor.backend)
        return None if found is None else _warmed(found)

    def _encode(self, image: StoredImage) -> ImageEmbedding:
        return _warmed(self._predictor.embed(self._store.image(image.record_id, max_pixels=self._max_pixels)))

    def _landed(self, digest: str, done: "asyncio.Task[Any]") -> None:
        self._flying.pop(digest, None)
        if not done.cancelled():
            # Looked at, so that a failure that nobody waits for is not told of by asyncio.
            done.exception()


def _warmed(embedding: ImageEmbedding) -> ImageEmbedding:
    """With what prompts share computed, where the backend does so when it is first asked: not at the first click."""
    getattr(embedding.features, "shared", None)
    return embedding
