"""WorkPool: threads for blocking work, with a bounded queue in front; the event loop itself never waits."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from segany.errors import BusyError

__all__ = ["WorkPool"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
# Share of the newest piece of work in the average time.
_NEWEST = 0.1
_LONGEST_WAIT = 60.0
# How long a piece of work gives way to another pool: a crowd that never pauses must not stop it for good.
_LONGEST_YIELD = 0.1


class WorkPool:
    """A number of threads and a number of places to wait for them; whoever finds no place is sent away.

    Used from one event loop.

    Attributes:
        name: For people and metrics.
    """

    def __init__(self, name: str, threads: int, max_waiting: int, *, after: "WorkPool | None" = None) -> None:
        """Start no thread yet.

        Args:
            name: For people and metrics.
            threads: Pieces of work at once.
            max_waiting: Pieces of work that may wait.
            after: No piece is begun while this one works, for a while: processors are few, and somebody waits there.
        """
        self.name = name
        self._threads, self._places = threads, threads + max_waiting
        self._inside = 0
        self._seconds = 0.0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"segany-{name}")
        self._after = after
        self._turns = asyncio.Semaphore(threads)
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for a thread."""
        return max(0, self._inside - self._threads)

    @property
    def retry_after(self) -> float:
        """Seconds until about half of what waits is done."""
        return min(max(1.0, self._inside * self._seconds / self._threads / 2), _LONGEST_WAIT)

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Do it in a thread.

        Raises:
            BusyError: There is no place to wait.
        """
        if self._inside >= self._places:
            raise BusyError(f"too much is waiting for {self.name}; try again later.", self.retry_after)
        self._enter()

        def timed() -> _T:
            begin = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                taken = time.perf_counter() - begin
                self._seconds += _NEWEST * (taken - self._seconds)

        if self._after is not None:
            return await self._run_after(self._after, timed)
        return await self._submit(timed)

    def close(self) -> None:
        """Finish what runs; what waits is not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def idle(self, most_seconds: float) -> None:
        """Wait until nothing is done here, or for so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), most_seconds)

    async def _run_after(self, other: "WorkPool", timed: Callable[[], _T]) -> _T:
        """As `_submit`, when the other one is idle: looked at once it is this piece's turn, not all at once before."""
        begun = False
        try:
            async with self._turns:
                await other.idle(_LONGEST_YIELD)
                future, begun = self._submit(timed), True
                return await future
        finally:
            if not begun:
                self._leave()

    def _submit(self, timed: Callable[[], _T]) -> "asyncio.Future[_T]":
        future = asyncio.get_running_loop().run_in_executor(self._pool, timed)
        # Not in a `finally` round the await: whoever asked may go away, and the thread is busy nevertheless.
        future.add_done_callback(self._leave)
        return future

    def _enter(self) -> None:
        self._inside += 1
        self._idle.clear()

    def _leave(self, _: object = None) -> None:
        self._inside -= 1
        if not self._inside:
            self._idle.set()
