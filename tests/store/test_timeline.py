"""Masks over time: each in its span, whatever the length of the whole."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from segany.schema import Record
from segany.store import Incoming, Store

BEGIN = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


def test_an_empty_store_has_no_spans(store: Store) -> None:
    found = store.timeline()
    assert (found.spans, found.undated, found.seconds_per_mask) == ((), 0, None)


def test_each_mask_is_in_its_span(store: Store, samples: Any) -> None:
    def made(number: int, minutes: float, **other: Any) -> Any:
        at = BEGIN + timedelta(minutes=minutes)
        return replace(samples.annotation(number), created_at=at, **other)

    annotations = (
        made(1, 0, source="manual", seconds_spent=4.0, review_state="accepted"),
        made(2, 0.2, source="manual", seconds_spent=8.0),
        made(3, 2.9, source="automatic"),
        # At the same second: nothing but the time may be compared.
        made(5, 2.9, source="automatic", seconds_spent=None),
        made(6, 2.9, source="automatic", seconds_spent=6.0),
        replace(samples.annotation(4), created_at=None, seconds_spent=10.0),
    )
    store.add_records([Incoming(Record(samples.record(1).image, annotations))], actor="ann")
    found = store.timeline()
    assert (found.seconds, found.undated, found.seconds_per_mask) == (60, 1, 7.0)
    assert [dict(each.sources) for each in found.spans] == [{"manual": 2}, {}, {}, {"automatic": 3}]
    first = found.spans[0]
    assert (first.start, first.accepted, first.timed, first.seconds) == (BEGIN.replace(second=0), 1, 2, 6.0)
    assert found.spans[1].seconds is None


@pytest.mark.parametrize("days", [0.5, 30, 2000])
def test_spans_are_few_however_long_it_took(embedded: Store, samples: Any, days: float) -> None:
    annotations = tuple(
        replace(samples.annotation(number), created_at=BEGIN + timedelta(days=days * number / 3)) for number in range(4)
    )
    embedded.add_records([Incoming(Record(samples.record(1).image, annotations))], actor="ann")
    found = embedded.timeline()
    assert 2 <= len(found.spans) <= 41
    assert sum(sum(each.sources.values()) for each in found.spans) == 4
