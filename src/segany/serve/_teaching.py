"""Teacher: what people keep teaches the project's chooser which mask of a click they mean, as the data engine does."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from segany.engine.stages import ENGINE
from segany.engine.tasks import learn_choices
from segany.errors import SeganyError
from segany.masks import RLE
from segany.predict import Predictor
from segany.schema import Annotation, Prediction, Prompt
from segany.serve._embeddings import Embedder
from segany.serve._images import Images, Recent
from segany.serve._pools import WorkPool
from segany.store import Store

__all__ = ["Teacher"]

_log = logging.getLogger("segany.serve")

_EVERY_SECONDS = 5.0
_MOST_WAITING = 1000
_MOST_KNOWN = 20_000
# Of one image at a time, so that the lessons of a busy minute do not hold up those who click.
_LESSONS_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class _Lesson:
    record: int
    prompt: Prompt
    mask: RLE
    ready_at: float


class Teacher:
    """Learns from each mask once, when nobody has changed it for a while: until then it may be corrected.

    Nothing of it is kept: what waits when the server ends is not learned. Used from one event loop.
    """

    def __init__(
        self,
        store: Store,
        predictor: Predictor,
        embedder: Embedder,
        images: Images,
        *,
        predicting: WorkPool,
        reading: WorkPool,
        after_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know nothing yet.

        Args:
            store: Whose chooser.
            predictor: Who answered the clicks.
            embedder: Of the images.
            images: Of the store.
            predicting: Where clicks are answered.
            reading: Where the chooser is read and written.
            after_seconds: A mask is learned from when it was left alone for so long.
            clock: Seconds.
        """
        self._store, self._predictor, self._embedder, self._images = store, predictor, embedder, images
        self._predicting, self._reading = predicting, reading
        self._after, self._clock = after_seconds, clock
        self._waiting: OrderedDict[tuple[int, int | str], _Lesson] = OrderedDict()
        self._known: Recent[tuple[int, int | str], bool] = Recent(_MOST_KNOWN)

    def saw(self, record: int, put: Sequence[Annotation], removed: Sequence[int | str]) -> None:
        """An edit was saved.

        Args:
            record: Of which record.
            put: The annotations that were put, as they are now.
            removed: Ids of those that were taken out.
        """
        for name in removed:
            self._waiting.pop((record, name), None)
        for annotation in put:
            key = (record, annotation.id)
            prompt = _first_click(annotation)
            earlier = self._waiting.pop(key, None)
            if prompt is None or annotation.area == 0 or self._known.get(key):
                continue
            same = earlier is not None and earlier.mask == annotation.segmentation
            at = earlier.ready_at if earlier is not None and same else self._clock() + self._after
            self._waiting[key] = _Lesson(record, prompt, annotation.segmentation, at)
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    async def run(self) -> None:
        """Learn now and then, until cancelled."""
        while True:
            await asyncio.sleep(min(_EVERY_SECONDS, self._after))
            try:
                await self.learn()
            except SeganyError as error:
                # Too busy, or an image that is gone: it is only advice.
                _log.info("nothing was learned of masks: %s", error)
            except Exception:
                _log.exception("nothing was learned of masks")

    async def learn(self) -> int:
        """Learn from what is ready.

        Returns:
            From how many masks.
        """
        now = self._clock()
        ready = [key for key, lesson in self._waiting.items() if lesson.ready_at <= now][:_LESSONS_AT_ONCE]
        seen: list[tuple[Prediction, Prompt, RLE]] = []
        for key in ready:
            lesson = self._waiting.pop(key)
            self._known.put(key, True)
            try:
                embedding = await self._embedder.embedding(await self._images.get(lesson.record))
                first = await self._predicting.run(self._predictor.predict, embedding, lesson.prompt)
            except SeganyError as error:
                # Too busy, or an image that is gone: the other masks teach as well.
                _log.info("nothing was learned of a mask of record %d: %s", lesson.record, error)
                continue
            seen.append((first, lesson.prompt, lesson.mask))
        if seen:
            await self._reading.run(learn_choices, self._store, seen, actor=ENGINE)
        return len(seen)


def _first_click(annotation: Annotation) -> Prompt | None:
    """The click that a mask began with; None when it began otherwise."""
    if annotation.source == "automatic" or not annotation.prompts:
        return None
    prompt = annotation.prompts[0]
    if prompt.points is None or prompt.labels is None or prompt.box is not None or prompt.labels[0] != 1:
        return None
    return Prompt(points=prompt.points[:1], labels=prompt.labels[:1])
