"""Work done ahead of time: while one group's answers are sorted out, the next ones are computed."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    work: Callable[[T], R], items: Iterable[T], count: int, pool: ThreadPoolExecutor | None
) -> Generator[R, None, None]:
    """`map` in the order of the items, with up to `count` of the next results on their way in threads.

    Close it if not all results are taken: what was not begun is left undone, and what was is waited for.

    Args:
        work: May run in several threads at once.
        items: What to work on; read as results are taken.
        count: Results on their way.
        pool: Whose threads; None to do everything in the caller's thread, when it is asked for.
    """
    if pool is None:
        yield from map(work, items)
        return
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        wait([one for one in pending if not one.cancel()])
