"""timeline: how a collection's masks came about over time, and how long people took for each."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import func, or_, select

from segany.store._reading import is_there
from segany.store.database import Database, to_time
from segany.store.models import AnnotationRow

__all__ = ["Span", "Timeline", "measure_timeline"]

SPANS = 40
_MICROS = 1_000_000
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
    at, live = AnnotationRow.created_at, is_there(AnnotationRow, None)
    with database.read() as connection:
        extent = select(func.count(), func.count(at), func.min(at), func.max(at)).where(live)
        masks, dated, first, last = connection.execute(extent).one()
        begin, length, count = (0, _LENGTHS[0], 0) if first is None or last is None else _spans(first, last)
        # In the database: of millions of masks only those that somebody spent time on are read one by one. A subquery,
        # for what is grouped by must be the same expression, and two with parameters are not.
        placed = (
            select(
                ((at - begin * _MICROS) // (length * _MICROS)).label("span"),
                AnnotationRow.source,
                AnnotationRow.review_state,
                AnnotationRow.seconds_spent,
            )
            # Not those that came since the extent was asked for.
            .where(live, or_(at.is_(None), at.between(first or 0, last or 0)))
            .subquery()
        ).c
        kinds = (placed.span, placed.source, placed.review_state)
        counted = connection.execute(
            select(*kinds, func.count()).where(placed.span.is_not(None)).group_by(*kinds)
        ).all()
        timed = connection.execute(select(placed.span, placed.seconds_spent).where(placed.seconds_spent > 0)).all()
    sources: list[Counter[str]] = [Counter() for _ in range(count)]
    accepted = [0] * count
    for span, source, state, number in counted:
        sources[span][source] += number
        accepted[span] += number if state == "accepted" else 0
    times: dict[int | None, list[float]] = defaultdict(list)
    for span, spent in timed:
        times[span].append(spent)
    spans = tuple(
        Span(
            start=to_time((begin + place * length) * _MICROS),
            sources=dict(sources[place]),
            accepted=accepted[place],
            timed=len(times[place]),
            seconds=_median(times[place]),
        )
        for place in range(count)
    )
    return Timeline(length, spans, masks - dated, _median([spent for _, spent in timed]))


def _spans(first: int, last: int) -> tuple[int, int, int]:
    """When spans begin, how long each is, and how many reach from the first microsecond to the last; in seconds."""
    begin, end = first // _MICROS, last // _MICROS
    length = next((each for each in _LENGTHS if end - begin < each * SPANS), _LENGTHS[-1])
    begin -= begin % length
    return begin, length, (end - begin) // length + 1


def _median(times: list[float]) -> float | None:
    return float(np.median(times)) if times else None
