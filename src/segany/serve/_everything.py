"""Everything: runs of the automatic mask generator, remembered so that thresholds can be moved for free."""

import asyncio
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Literal

from segany.errors import GoneError, SeganyError, ServiceError
from segany.predict import Predictor
from segany.predict.automatic import AutomaticMaskGenerator, GridSettings, Proposals, Thresholds
from segany.predict.automatic.hierarchy import link_parts
from segany.schema import Annotation, Record
from segany.serve._embeddings import Embedder
from segany.serve._images import StoredImage
from segany.serve._pools import WorkPool
from segany.store import Store

__all__ = ["Run", "Runs"]

_KEPT = 8
_POLL_SECONDS = 0.1
_MASKS_AT_ONCE = 8
# Of one image; the kept runs together take so many times this at most.
_RUN_BYTES = 100_000_000


class _StoppedError(ServiceError):
    """Nobody wants it any more."""


class Run:
    """One run.

    Attributes:
        name: What it is named by.
        image: Of which image.
        grid: Where it clicks.
        state: Where it stands.
        clicks: Made so far.
        total: Clicks in all; 0 while unknown.
        proposals: When it is done.
        error: Why it failed, or None.
        stopped: Set by whoever ends it.
    """

    def __init__(self, name: str, image: StoredImage, grid: GridSettings) -> None:
        """A run that has not begun."""
        self.name, self.image, self.grid = name, image, grid
        self.state: Literal["queued", "running", "done", "failed"] = "queued"
        self.clicks = self.total = 0
        self.proposals: Proposals | None = None
        self.error: SeganyError | None = None
        self.stopped = threading.Event()
        # Proposals draw masks when they are first asked for.
        self._drawing = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "failed")

    def found(self) -> Proposals:
        """What was found.

        Raises:
            GoneError: It is not done.
            SeganyError: It failed.
        """
        if self.error is not None:
            raise self.error
        if self.proposals is None:
            raise GoneError("this run is not done; wait for it.")
        return self.proposals

    def select(self, thresholds: Thresholds, *, link: bool) -> Record:
        """The masks that pass. Raises as `found`, and ConfigError for thresholds below the grid's floor."""
        with self._drawing:
            record = self.found().select(thresholds)
        return link_parts(record) if link else record

    def some(self, masks: Iterator[Annotation]) -> list[Annotation]:
        """The next few of `found().iterate()`."""
        with self._drawing:
            return list(islice(masks, _MASKS_AT_ONCE))


class Runs:
    """The runs of one server. Used from one event loop."""

    def __init__(self, store: Store, predictor: Predictor, embedder: Embedder, pool: WorkPool) -> None:
        """None yet.

        Args:
            store: Whose images.
            predictor: Who is asked.
            embedder: Makes the embedding that a run begins with.
            pool: Threads for runs; reading thresholds goes through another.
        """
        self._store, self._predictor, self._embedder, self._pool = store, predictor, embedder, pool
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, image: StoredImage, grid: GridSettings) -> Run:
        """The run of that image and grid, begun if there is none.

        Raises:
            BusyError: Too many wait.
        """
        said = {**asdict(grid), "image": image.digest, "model": self._predictor.backend.model_digest}
        key = json.dumps([said, self._predictor.backend.key], sort_keys=True, default=str)
        name = hashlib.sha256(key.encode()).hexdigest()[:24]
        known = self._runs.get(name)
        if known is not None and known.state != "failed":
            self._runs.move_to_end(name)
            return known
        run = Run(name, image, grid)
        self._runs[name] = run
        task = asyncio.get_running_loop().create_task(self._do(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        over = [each for each in self._runs.values() if each.is_over]
        for old in over[: max(0, len(self._runs) - _KEPT)]:
            del self._runs[old.name]
        return run

    def get(self, record_id: int, name: str) -> Run:
        """A run. Raises GoneError when it was forgotten, or never was."""
        run = self._runs.get(name)
        if run is None or run.image.record_id != record_id:
            raise GoneError(f"record {record_id} has no run {name!r} any more; begin it again.")
        self._runs.move_to_end(name)
        return run

    def stop(self, record_id: int, name: str) -> None:
        """End a run and forget it. Raises as `get`."""
        self.get(record_id, name).stopped.set()
        self._runs.pop(name, None)

    async def progress(self, run: Run, stopping: threading.Event) -> AsyncIterator[tuple[int, int]]:
        """Clicks made and in all, whenever they change, until the run is over."""
        told = (-1, -1)
        while not run.is_over and not stopping.is_set():
            if (now := (run.clicks, run.total)) != told:
                told = now
                yield now
            await asyncio.sleep(_POLL_SECONDS)
        yield run.clicks, run.total

    async def close(self) -> None:
        """End all runs."""
        for run in self._runs.values():
            run.stopped.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _do(self, run: Run) -> None:
        try:
            await self._embedder.embedding(run.image)
            run.proposals = await self._pool.run(self._propose, run)
            run.state = "done"
        except SeganyError as error:
            run.error, run.state = error, "failed"
        except Exception as error:
            run.error, run.state = ServiceError("the server failed; its log says why."), "failed"
            raise error

    def _propose(self, run: Run) -> Proposals:
        run.state = "running"

        def report(clicks: int, total: int, _seconds: float) -> None:
            run.clicks, run.total = clicks, total
            if run.stopped.is_set():
                raise _StoppedError("it was stopped.")

        image = self._store.image(run.image.record_id)
        generator = AutomaticMaskGenerator(self._predictor, run.grid)
        return generator.propose(image, progress=report, max_bytes=_RUN_BYTES)
