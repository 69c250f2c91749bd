"""Threads with a bounded queue: full is full, and what nobody waits for gives way, but not for ever."""

import asyncio
import threading

import pytest

from segany.errors import BusyError
from segany.serve import _pools
from segany.serve._pools import WorkPool


def test_who_finds_no_place_is_sent_away_and_places_are_given_back() -> None:
    async def work() -> None:
        pool, gate = WorkPool("prompts", 1, 1), threading.Event()
        waiting = [asyncio.create_task(pool.run(gate.wait, 10)) for _ in range(2)]
        await asyncio.sleep(0)
        assert pool.waiting == 1
        with pytest.raises(BusyError, match="too much is waiting for prompts"):
            await pool.run(int)
        gate.set()
        assert await asyncio.gather(*waiting) == [True, True]
        assert await pool.run(int, "7") == 7
        pool.close()

    asyncio.run(work())


def test_work_begins_when_the_other_pool_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pools, "_LONGEST_YIELD", 60.0)
    order: list[str] = []

    async def work() -> None:
        people = WorkPool("prompts", 1, 9)
        behind, gate = WorkPool("embeddings", 2, 9, after=people), threading.Event()

        def answer() -> None:
            gate.wait(10)
            order.append("prompt")

        asked = asyncio.create_task(people.run(answer))
        await asyncio.sleep(0)
        made = [asyncio.create_task(behind.run(order.append, "embedding")) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert order == []
        gate.set()
        await asyncio.gather(asked, *made)
        assert (order, behind.waiting) == (["prompt", *["embedding"] * 3], 0)
        people.close()
        behind.close()

    asyncio.run(work())


def test_it_gives_way_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pools, "_LONGEST_YIELD", 0.01)

    async def work() -> None:
        people = WorkPool("prompts", 1, 9)
        behind, gate = WorkPool("embeddings", 1, 9, after=people), threading.Event()
        asked = asyncio.create_task(people.run(gate.wait, 10))
        assert await asyncio.wait_for(behind.run(int, "7"), 5) == 7
        gate.set()
        await asked
        people.close()
        behind.close()

    asyncio.run(work())


def test_who_goes_away_while_it_gives_way_leaves_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pools, "_LONGEST_YIELD", 60.0)

    async def work() -> None:
        people = WorkPool("prompts", 1, 9)
        behind, gate = WorkPool("embeddings", 1, 0, after=people), threading.Event()
        asked = asyncio.create_task(people.run(gate.wait, 10))
        gone = asyncio.create_task(behind.run(int, "7"))
        await asyncio.sleep(0.01)
        with pytest.raises(BusyError, match="embeddings"):
            await behind.run(int)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        gate.set()
        await asked
        assert await behind.run(int, "7") == 7
        people.close()
        behind.close()

    asyncio.run(work())
