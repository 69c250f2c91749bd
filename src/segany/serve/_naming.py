"""Names: what people called things, learned as they do so, and suggested for the next ones."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.engine.classes import ClassNames, Suggestion
from segany.engine.features import mask_features
from segany.engine.models import CLASSES, class_names, keep
from segany.engine.reviews import NAMED_IMAGES, named_masks
from segany.engine.stages import ENGINE
from segany.errors import BusyError, NotInStoreError, SeganyError
from segany.masks import RLE
from segany.predict import EmbeddingCache, ImageEmbedding, Predictor
from segany.schema import Annotation
from segany.serve._embeddings import Embedder
from segany.serve._images import StoredImage
from segany.serve._pools import WorkPool
from segany.store import Store, StoredRecord

__all__ = ["Names"]

_log = logging.getLogger("segany.serve")

_LIMIT = 3
# Of one image, and of each class in it: more of the same photo say little more.
_OF_IMAGE, _OF_IMAGE_AND_CLASS = 50, 10
# Of all images, the newest of each class, so that what is rare is not forgotten.
_MOST = 4000
_OF_CLASS = range(10, 200)
# People who never pause are waited for no longer than so many quiet times.
_PATIENCE = 5
# Learning may take a tenth of one thread; but after the first time, which reads many images, nobody waits long.
_REST, _LONGEST_REST = 9.0, 15.0
_EVERY_SECONDS = 1.0
# Every value is in the audit log for good: it is written now and then, and made again from the masks when it is lost.
_SAVE_SECONDS = 600.0


class _Examples(NamedTuple):
    """What one record teaches.

    Attributes:
        image: Its image.
        revision: Of the record.
        names: N classes.
        features: [N, C] float32; None while the image has no embedding.
    """

    image: StoredImage
    revision: int
    names: tuple[str, ...]
    features: NDArray[np.float32] | None


class Names:
    """Learns anew when nobody has named anything for a moment; no image is embedded for it. Used from one event loop.

    Of a record that did not change since, features are remembered, so that to learn again is to read what is new.
    """

    def __init__(
        self,
        store: Store,
        predictor: Predictor,
        embedder: Embedder,
        cache: EmbeddingCache | None,
        *,
        working: WorkPool,
        reading: WorkPool,
        after_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know nothing yet.

        Args:
            store: Whose masks.
            predictor: Whose embeddings.
            embedder: Has those of the images that are worked on.
            cache: Has the others, or None.
            working: Where features are pooled and names learned.
            reading: Where the store is read and written.
            after_seconds: Learned is when nothing was named for so long.
            clock: Seconds.
        """
        self._store, self._predictor, self._embedder, self._cache = store, predictor, embedder, cache
        self._working, self._reading = working, reading
        self._after, self._clock = after_seconds, clock
        self._known: dict[int, _Examples] = {}
        self._fitted: dict[int, _Examples] = {}
        self._learned: ClassNames | None = None
        self._first: float | None = None
        self._last = clock()
        self._not_before = -np.inf
        self._saved_at, self._unsaved = -np.inf, False

    @property
    def learned(self) -> ClassNames | None:
        """What was learned, where it can tell one name from another."""
        found = self._learned
        return found if found is not None and len(found.names) > 1 else None

    def saw(self, record: StoredRecord) -> None:
        """A record was edited, restored or reviewed.

        Args:
            record: As it is now.
        """
        if record.id in self._known or named_masks(record.record):
            self._last = self._clock()
            self._first = self._last if self._first is None else self._first

    def suggest(self, embedding: ImageEmbedding, mask: RLE) -> list[Suggestion]:
        """Names for an object, the likeliest first; in a thread.

        Args:
            embedding: Of its image.
            mask: Original pixels.
        """
        learned = self.learned
        if learned is None or mask.area == 0:
            return []
        return learned.suggest(mask_features(embedding, [mask]), _LIMIT)[0]

    async def run(self) -> None:
        """Learn now and then, until cancelled."""
        await self._begin()
        while True:
            await asyncio.sleep(min(_EVERY_SECONDS, self._after))
            if not self._is_due():
                continue
            try:
                await self.learn()
            except BusyError as error:
                _log.info("no names were learned: %s", error)
                self._first = self._last = self._clock()
            except SeganyError as error:
                # A model without such features, or a damaged store: it is only advice.
                _log.info("no names were learned: %s", error)
            except Exception:
                _log.exception("no names were learned")

    async def learn(self) -> ClassNames | None:
        """Learn from what was named by now.

        Returns:
            What is known now.

        Raises:
            BusyError: Too much waits.
            EmbeddingError: The model gives no features.
        """
        begin, self._first = self._clock(), None
        rows = await self._reading.run(self._store.records.named, limit=NAMED_IMAGES)
        now = dict[int, _Examples]()
        for number, revision in rows:
            # Of what was removed meanwhile nothing is learned.
            with contextlib.suppress(NotInStoreError):
                self._known[number] = now[number] = await self._look(number, revision)
        self._known, before = now, self._fitted
        if now.keys() != before.keys() or not all(_alike(now[number], before[number]) for number in now):
            self._learned = await self._working.run(_fit, list(now.values()), self._predictor.backend.encoder_digest)
            self._fitted, self._unsaved = dict(now), True
        self._not_before = self._clock() + min(_REST * (self._clock() - begin), _LONGEST_REST)
        if self._unsaved and self._clock() - self._saved_at >= _SAVE_SECONDS:
            await self._save()
        return self._learned

    async def close(self) -> None:
        """Keep what was learned, if the store can be written."""
        try:
            if self._unsaved:
                await self._save()
        except SeganyError as error:
            _log.info("the names are not kept, and will be learned anew: %s", error)

    def _is_due(self) -> bool:
        if self._first is None:
            return False
        now = self._clock()
        is_quiet = now - self._last >= self._after or now - self._first >= _PATIENCE * self._after
        return is_quiet and now >= self._not_before

    async def _begin(self) -> None:
        """Go on from what is kept, until the masks were looked at."""
        try:
            kept = await self._reading.run(class_names, self._store)
        except SeganyError as error:
            # Of another version, mostly: learned anew.
            _log.info("%s", error)
            kept = None
        if kept is not None and kept.encoder_digest == self._predictor.backend.encoder_digest:
            self._learned = kept
        else:
            self._first = self._clock()

    async def _look(self, number: int, revision: int) -> _Examples:
        """What a record teaches; looked at again when it changed, or has its embedding now."""
        known = self._known.get(number)
        same = known is not None and known.revision == revision
        if known is not None and same and (known.features is not None or self._embedder.state(known.image)[2] is None):
            return known
        stored = await self._reading.run(self._store.records.get, number)
        return await self._working.run(self._examples, stored, self._embedder.state(_image(stored))[2])

    def _examples(self, stored: StoredRecord, embedding: ImageEmbedding | None) -> _Examples:
        """In a thread."""
        image, taken = _image(stored), _newest(stored)
        if taken and embedding is None and self._cache is not None:
            embedding = self._cache.load(image.digest, self._predictor.backend)
        if embedding is None or not taken:
            return _Examples(image, stored.revision, (), None if taken else np.zeros((0, 0), dtype=np.float32))
        features = mask_features(embedding, [one.segmentation for one in taken])
        return _Examples(image, stored.revision, tuple(str(one.category) for one in taken), features)

    async def _save(self) -> None:
        self._unsaved, self._saved_at = False, self._clock()
        await self._reading.run(keep, self._store, self._learned, CLASSES, actor=ENGINE)


def _image(stored: StoredRecord) -> StoredImage:
    info = stored.record.image
    return StoredImage(stored.id, info.digest or "", info.size)


def _newest(stored: StoredRecord) -> list[Annotation]:
    """Some of the masks that teach names, the newest first."""
    counts, taken = Counter[str](), list[Annotation]()
    for one in reversed(named_masks(stored.record)):
        counts[str(one.category)] += 1
        if counts[str(one.category)] <= _OF_IMAGE_AND_CLASS:
            taken.append(one)
    return taken[:_OF_IMAGE]


def _fit(known: Sequence[_Examples], encoder_digest: str) -> ClassNames | None:
    """Learn from examples, the newest first; in a thread."""
    able = [each for each in known if each.names and each.features is not None]
    names = [name for each in able for name in each.names]
    if not names:
        return None
    most = min(max(_MOST // len(set(names)), _OF_CLASS.start), _OF_CLASS.stop)
    counts, kept = Counter[str](), list[int]()
    for place, name in enumerate(names):
        counts[name] += 1
        if counts[name] <= most:
            kept.append(place)
    features = np.concatenate([each.features for each in able if each.features is not None])[kept]
    return ClassNames.learn(features, [names[place] for place in kept], encoder_digest=encoder_digest)


def _alike(one: _Examples, other: _Examples) -> bool:
    if one.names != other.names or (one.features is None) != (other.features is None):
        return False
    return one.features is None or other.features is None or np.array_equal(one.features, other.features)
