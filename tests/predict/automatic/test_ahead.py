import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from segany.predict.automatic import _ahead


def ahead(work: Callable[[int], Any], items: Iterable[int], count: int) -> Generator[Any, None, None]:
    if count == 0:
        yield from _ahead.ahead(work, items, 0, None)
        return
    with ThreadPoolExecutor(count) as pool:
        yield from _ahead.ahead(work, items, count, pool)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    assert list(ahead(lambda item: item * item, iter(range(20)), count)) == [item * item for item in range(20)]


@pytest.mark.parametrize("count", [0, 2])
def test_no_more_is_begun_than_was_said(count: int) -> None:
    begun: list[int] = []
    results = ahead(lambda item: begun.append(item), range(100), count)
    for _ in range(3):
        next(results)
    results.close()
    assert 3 <= len(begun) <= 3 + count


def test_work_goes_on_while_a_result_is_looked_at() -> None:
    second = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            second.set()
        return item

    results = ahead(work, range(2), 1)
    assert next(results) == 0
    assert second.wait(10)
    results.close()


@pytest.mark.parametrize("count", [0, 2])
def test_an_error_reaches_the_caller_in_its_turn(count: int) -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ValueError("the third")
        return item

    results = ahead(work, range(5), count)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)
