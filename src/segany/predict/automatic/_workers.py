"""Worker processes for `run`: each loads the model itself, takes one item at a time, and may die without taking others.

A process pool of the standard library breaks as a whole when one process is killed, which the system does when an image
needs more memory than there is; and it cannot end a worker between two groups of clicks.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from typing import Any, TypeAlias, cast

from segany.errors import SeganyError
from segany.predict.automatic.folder import FolderProgress, Item, Outcome, Sink, do_item
from segany.predict.automatic.spec import EverythingSpec
from segany.settings import Settings, limit_threads

__all__ = ["work"]

# How long a worker may go on after it was told to stop: embedding one image with a large model takes that long.
_STOP_SECONDS = 20.0

_Pipe: TypeAlias = "Connection[Any, Any]"


class _Stopped(BaseException):
    """The caller wants no more; not an Exception, so that no item takes it for its own failure."""


def work(
    items: Iterator[Item], spec: EverythingSpec, sink: Sink, workers: int, report: FolderProgress
) -> Iterator[Outcome]:
    """Do items in processes, in any order; see `run`.

    Args:
        items: Taken as workers become free.
        spec: How to find.
        sink: Where results go.
        workers: How many processes.
        report: Told the share of clicks made.

    Raises:
        SeganyError: A worker could not load the model.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    threads = max(1, (Settings.from_environment().threads or os.cpu_count() or 1) // workers)
    running: dict[_Pipe, _Worker] = {}
    try:
        while True:
            while len(running) < workers and (item := next(items, None)) is not None:
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, spec, sink, threads, stop), daemon=True)
                process.start()
                theirs.close()
                running[ours] = _Worker(process, ours, item)
                running[ours].tell(item)
            if not running:
                return
            for connection in wait(list(running)):
                worker = running[cast(_Pipe, connection)]
                said = worker.hear()
                if isinstance(said, float):
                    report(worker.item, said, None)
                    continue
                following = next(items, None) if worker.process.is_alive() else None
                if following is None:
                    del running[worker.connection]
                    worker.end()
                yield said
                if following is not None:
                    worker.tell(following)
    finally:
        stop.set()
        for worker in running.values():
            worker.end()


@dataclass(eq=False)
class _Worker:
    """A worker process as its caller sees it: what it is told and what it says."""

    process: SpawnProcess
    connection: _Pipe
    item: Item

    def tell(self, item: Item) -> None:
        """Give it an item; that it has ended meanwhile is heard next."""
        self.item = item
        with suppress(OSError):
            self.connection.send(item)

    def hear(self) -> float | Outcome:
        """The share of clicks made, or the outcome; a process that ended is the item's outcome too."""
        try:
            said = self.connection.recv()
        except (EOFError, OSError):
            self.process.join(_STOP_SECONDS)
            return Outcome(
                self.item,
                error=f"its worker process ended (exit code {self.process.exitcode}), often for want of memory; use "
                "fewer workers or a smaller image.",
            )
        if isinstance(said, str):
            raise SeganyError(f"a worker process could not go on: {said}")
        assert isinstance(said, float | Outcome)
        return said

    def end(self) -> None:
        """Let it go: at once when it waits, else at its next group of clicks."""
        self.connection.close()
        self.process.join(_STOP_SECONDS)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()


def _serve(connection: _Pipe, spec: EverythingSpec, sink: Sink, threads: int, stop: Event) -> None:
    """What a worker does: items from the connection, until it is closed."""
    # Ctrl-C goes to every process of a terminal; the caller decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def report(share: float) -> None:
        if stop.is_set():
            raise _Stopped
        connection.send(share)

    with suppress(_Stopped, EOFError, OSError):
        _limit_threads(threads)
        while True:
            item = connection.recv()
            try:
                outcome = do_item(item, spec, sink, report)
            except SeganyError as error:
                connection.send(str(error))
                return
            connection.send(outcome)


def _limit_threads(threads: int) -> None:
    """Share the machine: without it each worker would take every core."""
    limit_threads(threads)
    import cv2

    cv2.setNumThreads(threads)
