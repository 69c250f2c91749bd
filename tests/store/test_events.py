"""The audit log."""

from datetime import UTC, datetime
from typing import Any

import pytest

from segany.errors import ConfigError, RecordError
from segany.store import Store


def test_order_kinds_and_pages(store: Store, samples: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segany.store.events._PAGE", 3)
    began = datetime.now(UTC).replace(microsecond=0)
    ids = store.add_records(samples.incoming(7), actor="ann").record_ids
    store.events.add("engine.round", actor="engine", details={"round": 1})
    store.events.add("engine.asked", actor="engine", record_id=ids[2])
    everything = list(store.events.list())
    assert [event.kind for event in everything] == ["record.added"] * 7 + ["engine.round", "engine.asked"]
    assert list(store.events.list(newest_first=True)) == everything[::-1]
    assert list(store.events.list(after=everything[4].id)) == everything[5:]
    assert [event.details for event in store.events.list(kind="engine.")] == [{"round": 1}, {}]
    assert [event.kind for event in store.events.list(record_id=ids[2])] == ["record.added", "engine.asked"]
    assert all(began <= event.at <= datetime.now(UTC) for event in everything)


def test_what_is_refused(store: Store) -> None:
    with pytest.raises(RecordError, match="cannot be kept as JSON"):
        store.events.add("x", actor="ann", details={"x": object()})
    with pytest.raises(ConfigError, match="needs an actor"):
        store.events.add("x", actor="")
