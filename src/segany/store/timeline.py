"""timeline: how a collection's masks came about over time, and how long people took for each."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import select

from segany.store._reading import is_there
from segany.store.database import Database, to_time
from segany.store.models import AnnotationRow

__all__ = ["Span", "Timeline", "measure_timeline"]

SPANS = 40
_PAGE = 50_000
# Round lengths of time, in seconds: the shortest is taken of which `SPANS` reach from the first mask to the last.
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_LENGTHS = (
    *(_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY, 91 * _DAY, 364 * _DAY, 3640 * _DAY),
)


@dataclass(frozen=True)
class Span:
    """The masks that came about within a length of time.

    Attributes:
        start: When it begins.
        sources: "manual", "semi_automatic", "automatic" -> masks.
        accepted: Those of them that are accepted now.
        timed: Those of them of which the working time is known.
        seconds: Median working time of these, or None.
    """

    start: datetime
    sources: Mapping[str, int]
    accepted: int
    timed: int
    seconds: float | None


@dataclass(frozen=True)
class Timeline:
    """The live masks of a collection by when they came about.

    Attributes:
        seconds: Length of a span.
        spans: From the first mask to the last, at most 41; also those in which nothing came about.
        undated: Masks of which it is not known when they came about: imported ones.
        seconds_per_mask: Median working time of all masks of which it is known, or None.
    """

    seconds: int
    spans: tuple[Span, ...]
    undated: int
    seconds_per_mask: float | None


def measure_timeline(database: Database) -> Timeline:
    """Measure a collection.

    Args:
        database: Of the store.
    """
    asked = (
        select(
            AnnotationRow.id,
            AnnotationRow.created_at,
            AnnotationRow.source,
            AnnotationRow.review_state,
            AnnotationRow.seconds_spent,
        )
        .where(is_there(AnnotationRow, None))
        .order_by(AnnotationRow.id)
        .limit(_PAGE)
    )
    dated: list[tuple[int, str, bool, float | None]] = []
    undated, last = 0, -1
    with database.read() as connection:
        while rows := connection.execute(asked.where(AnnotationRow.id > last)).all():
            last = rows[-1].id
            for _, at, source, state, spent in rows:
                if at is None:
                    undated += 1
                else:
                    dated.append((at // 1_000_000, source, state == "accepted", spent))
    times = [spent for _, _, _, spent in dated if spent]
    median = float(np.median(times)) if times else None
    if not dated:
        return Timeline(_LENGTHS[0], (), undated, None)
    at_all = [at for at, *_ in dated]
    begin, end = min(at_all), max(at_all)
    length = next((each for each in _LENGTHS if end - begin < each * SPANS), _LENGTHS[-1])
    begin -= begin % length
    spans: list[list[tuple[str, bool, float | None]]] = [[] for _ in range((end - begin) // length + 1)]
    for at, source, accepted, spent in dated:
        spans[(at - begin) // length].append((source, accepted, spent))
    told = tuple(_span(begin + place * length, found) for place, found in enumerate(spans))
    return Timeline(length, told, undated, median)


def _span(start: int, found: list[tuple[str, bool, float | None]]) -> Span:
    times = [spent for _, _, spent in found if spent]
    return Span(
        start=to_time(start * 1_000_000),
        sources=dict(Counter(source for source, _, _ in found)),
        accepted=sum(accepted for _, accepted, _ in found),
        timed=len(times),
        seconds=float(np.median(times)) if times else None,
    )
