"""Services: what the routes of one server share. Of its own it keeps nothing but caches."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segany.errors import BusyError, ConfigError, SeganyError
from segany.predict import EmbeddingCache, Predictor
from segany.predict.choose import MaskChooser
from segany.schema import Prompt
from segany.serve._accounts import Accounts
from segany.serve._answers import Answers
from segany.serve._browser import BrowserDecoder
from segany.serve._embeddings import Embedder
from segany.serve._everything import Runs
from segany.serve._exports import EXPORT, Exports, ServerStopsError
from segany.serve._images import Images, Recent
from segany.serve._metrics import Metrics
from segany.serve._naming import Names
from segany.serve._pictures import Picture
from segany.serve._pools import WorkPool
from segany.serve._teaching import Teacher
from segany.serve.settings import ServeSettings
from segany.settings import Settings
from segany.store import JobRunner, Store, StoredRecord

__all__ = ["CHOOSER", "ModelServices", "Services"]

_log = logging.getLogger("segany.serve")

CHOOSER = "engine.chooser"
_CHOOSER_SECONDS = 2.0
_STORE_THREADS = 8
_IDLE_SECONDS = 0.5
_THUMBNAILS = 2000


@dataclass(frozen=True)
class ModelServices:
    """What needs the model.

    Attributes:
        predictor: The model.
        embedder: Embeddings, once for each image.
        answers: Prompts.
        runs: Everything.
        browser: Graphs for pages that decode by themselves.
        teacher: Learns from what people keep.
        names: Learns from what people name.
    """

    predictor: Predictor
    embedder: Embedder
    answers: Answers
    runs: Runs
    browser: BrowserDecoder
    teacher: Teacher
    names: Names


class Services:
    """What the routes share.

    Attributes:
        settings: Of the server.
        store: Whose content is served.
        accounts: Who asks.
        metrics: What Prometheus reads.
        exports: Files of exports.
        images: What prompts need to know of records.
        thumbnails: Made lately, by digest and side.
        reading: Threads for the store and files.
        predicting: Threads for prompts.
        encoding: The thread that embeds images.
        warming: The thread that reads saved embeddings.
        generating: The thread that finds everything.
        planning: The thread that says what exports would lose.
        stopping: Set when the server begins to stop.
    """

    def __init__(self, store: Store, settings: ServeSettings, *, predictor: Predictor | None = None) -> None:
        """Set up; nothing runs before `start`.

        Args:
            store: An open store; closed by whoever opened it.
            settings: Of the server.
            predictor: Use this one instead of loading the settings' model.

        Raises:
            ConfigError: Others than this machine could ask, and there are no users.
        """
        cores = Settings.from_environment().threads or os.cpu_count() or 1
        self.settings, self.store = settings, store
        self.metrics = Metrics()
        self.stopping = threading.Event()
        self.reading = WorkPool("the store", _STORE_THREADS, 4 * settings.max_waiting)
        self.predicting = WorkPool("prompts", cores, settings.max_waiting)
        self.encoding = WorkPool("embeddings", 1, settings.max_waiting_images, after=self.predicting)
        self.warming = WorkPool("saved embeddings", 1, 4 * settings.max_waiting, after=self.predicting)
        self.generating = WorkPool("everything", 1, settings.max_waiting_images)
        self.planning = WorkPool("plans of exports", 1, settings.max_waiting_images)
        self._hashing = WorkPool("sign-ins", 1, 16)
        self._naming = WorkPool("names", 1, 1, after=self.predicting)
        self.pools = (
            *(self.reading, self.predicting, self.encoding, self.warming),
            *(self.generating, self.planning, self._hashing, self._naming),
        )
        self.accounts = Accounts(store, settings, self.reading, self._hashing)
        folder = Settings.from_environment().home / "exports" / store.id
        self.exports = Exports(store, folder, self.stopping)
        self.images = Images(store, self.reading)
        self.thumbnails: Recent[tuple[str, int], Picture] = Recent(_THUMBNAILS)
        self._given = predictor
        self._model: ModelServices | None = None
        self._loading: asyncio.Task[None] | None = None
        self._learning: list[asyncio.Task[None]] = []
        self._failed: str | None = None
        self._runner = threading.Thread(target=self._run_jobs, name="segany-jobs", daemon=True)
        self._chooser: tuple[float, MaskChooser | None] = (-_CHOOSER_SECONDS, None)

    async def start(self) -> None:
        """Load the model, beside the first requests; begin with jobs."""
        self._loading = asyncio.create_task(self._load())
        self._runner.start()

    async def stop(self) -> None:
        """Finish what runs, give jobs back."""
        self.stopping.set()
        if self._loading is not None:
            await self._loading
        for task in self._learning:
            task.cancel()
        await asyncio.gather(*self._learning, return_exceptions=True)
        if self._model is not None:
            await self._model.names.close()
            await self._model.runs.close()
            await self._model.browser.close()
            await self._model.embedder.close()
        await asyncio.to_thread(self._runner.join, self.settings.shutdown_seconds)
        for pool in self.pools:
            await asyncio.to_thread(pool.close)

    @property
    def is_loaded(self) -> bool:
        """Whether the model can be asked."""
        return self._model is not None

    def saw(self, record: StoredRecord, put: Sequence[int | str], removed: Sequence[int | str]) -> None:
        """A record was changed, which may teach something.

        Args:
            record: As it is now.
            put: Ids of the annotations that were put.
            removed: Ids of those that were taken out.
        """
        if self._model is not None:
            names = set(put)
            new = [each for each in record.record.annotations if each.id in names]
            self._model.teacher.saw(record.id, new, removed)
            self._model.names.saw(record)

    def model(self) -> ModelServices:
        """What needs the model.

        Raises:
            SeganyError: It could not be loaded.
            BusyError: It is being loaded.
        """
        if self._model is not None:
            return self._model
        if self._failed is not None:
            raise SeganyError(self._failed)
        raise BusyError("the model is being loaded.", 1.0)

    async def loaded(self) -> None:
        """Wait until the model is loaded, or failed to."""
        if self._loading is not None:
            await asyncio.shield(self._loading)

    async def chooser(self) -> MaskChooser | None:
        """What ranks the masks of a lone click: the store's, or a new one."""
        read_at, chooser = self._chooser
        if time.monotonic() - read_at < _CHOOSER_SECONDS:
            return chooser
        # Before it is read, so that requests meanwhile do not all read it.
        self._chooser = (time.monotonic(), chooser)
        kept = await self.reading.run(self.store.collection.value, CHOOSER)
        try:
            chooser = MaskChooser() if kept is None else MaskChooser.from_dict(kept)
        except ConfigError as error:
            # Of another version: ranking begins anew, and clicks are answered.
            _log.warning("%s", error)
            chooser = MaskChooser()
        self._chooser = (time.monotonic(), chooser)
        return chooser

    async def _load(self) -> None:
        try:
            predictor = await asyncio.to_thread(self._predictor) if self._given is None else self._given
        except SeganyError as error:
            _log.error("the model cannot be loaded: %s", error)
            self._failed = f"the model cannot be loaded: {error}"
            return
        cache = None if self._given is not None else EmbeddingCache.default()
        embedder = Embedder(
            self.store,
            predictor,
            cache,
            encoding=self.encoding,
            warming=self.warming,
            hot_images=self.settings.hot_images,
            max_pixels=self.settings.max_pixels,
            metrics=self.metrics,
        )
        answers = Answers(predictor, self.settings.logits_bytes)
        runs = Runs(self.store, predictor, embedder, self.generating)
        browser = BrowserDecoder(self.settings.model, predictor.backend, Settings.from_environment().home)
        teacher = Teacher(
            self.store,
            predictor,
            embedder,
            self.images,
            predicting=self.predicting,
            reading=self.reading,
            after_seconds=self.settings.learn_after_seconds,
        )
        names = Names(
            self.store,
            predictor,
            embedder,
            cache,
            working=self._naming,
            reading=self.reading,
            after_seconds=self.settings.learn_names_after_seconds,
        )
        self._model = ModelServices(predictor, embedder, answers, runs, browser, teacher, names)
        self._learning = [asyncio.create_task(each.run()) for each in (teacher, names)]

    def _predictor(self) -> Predictor:
        settings = self.settings
        predictor = Predictor(
            settings.model,
            device=settings.device,
            precision=settings.precision,
            runtime=settings.runtime,
            cache=EmbeddingCache.default(),
        )
        _warm_up(predictor)
        return predictor

    def _run_jobs(self) -> None:
        runner = JobRunner(self.store.jobs, {EXPORT: self.exports.run})
        while not self.stopping.is_set():
            try:
                runner.run(self.stopping, idle_seconds=_IDLE_SECONDS)
            except ServerStopsError:
                return
            except SeganyError as error:
                # The database may answer again.
                _log.error("jobs wait: %s", error)
                self.stopping.wait(5.0)


def _warm_up(predictor: Predictor) -> None:
    """Have compiled whatever the first person would wait for: the encoder, a click, a correction, a box."""
    side = predictor.backend.config.preprocess.input_side
    pixels = np.zeros((side, side, 3), dtype=np.uint8)
    # Without the cache: this is nobody's image.
    bare = Predictor(backend=predictor.backend)
    embedding = bare.embed(pixels)
    first = bare.predict(embedding, Prompt(points=[[1, 1]]))
    bare.predict(embedding, Prompt(points=[[1, 1], [2, 2]], labels=[1, 0], mask_logits=first.low_res_logits[0]))
    bare.predict(embedding, Prompt(box=[1, 1, 9, 9]))
