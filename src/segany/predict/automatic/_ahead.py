"""Work done ahead of time: while one group's answers are sorted out, the next ones are computed."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], items: Iterable[T], count: int) -> Generator[R, None, None]:
    """`map` in the order of the items, with up to `count` of the next results on their way in threads.

    Close it if not all results are taken: what was not begun is left undone.

    Args:
        work: May run in several threads at once.
        items: What to work on; read as results are taken.
        count: 0 to do everything in the caller's thread, when it is asked for.
    """
    if count == 0:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(count, thread_name_prefix="segany-ahead") as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for one in pending:
                one.cancel()
