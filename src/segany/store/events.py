"""Events: the audit log, which is only ever added to."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from segany.errors import ConfigError
from segany.store._rows import checked_text, to_json
from segany.store.database import Database, Writing, to_time
from segany.store.models import EventRow

__all__ = ["Event", "Events", "event_row"]

_PAGE = 1000


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        id: Its number; rising.
        at: When.
        actor: Who: a person, a model or a program.
        kind: What, as "record.added", "record.edited", "version.frozen".
        record_id: Of which record, or None.
        revision: The revision it belongs to, or None.
        key: What makes it happen at most once, or None.
        details: JSON values.
    """

    id: int
    at: datetime
    actor: str
    kind: str
    record_id: int | None
    revision: int | None
    key: str | None
    details: Mapping[str, Any]


def event_row(
    writing: Writing,
    actor: str,
    kind: str,
    image_id: int | None = None,
    details: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> dict[str, Any]:
    """A row of `events`. Raises RecordError when a value cannot be kept, ConfigError when nobody is named."""
    if not actor:
        raise ConfigError("every change needs an actor: who makes it; got an empty name.")
    return {
        "at": writing.at,
        "actor": checked_text(actor, "an actor"),
        "kind": checked_text(kind, "an event's kind"),
        "image_id": image_id,
        "revision": writing.revision,
        "key": checked_text(key, "an event's key"),
        "details": to_json(dict(details), f"the event {kind}") if details else None,
    }


class Events:
    """The log of one store."""

    def __init__(self, database: Database) -> None:
        """Of a store's database."""
        self._database = database

    def add(
        self, kind: str, *, actor: str, record_id: int | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        """Add an event of one's own: "engine.promoted".

        Args:
            kind: What happened.
            actor: Who did it.
            record_id: Of which record, or None.
            details: JSON values.

        Raises:
            RecordError: The details are no JSON.
            OutputError: The database cannot be written.
        """
        with self._database.write() as writing:
            writing.connection.execute(insert(EventRow).values(event_row(writing, actor, kind, record_id, details)))

    def list(
        self, *, kind: str | None = None, record_id: int | None = None, after: int = 0, newest_first: bool = False
    ) -> Iterator[Event]:
        """Events in the order they happened.

        Args:
            kind: Only of this kind; "ingest." (ending in a point) means all that begin so.
            record_id: Only of this record.
            after: Only with an id above this.
            newest_first: The other way round.
        """
        last: int | None = None
        while True:
            asked = select(EventRow).where(EventRow.id > after)
            if kind is not None:
                of_kind = (
                    EventRow.kind.startswith(kind, autoescape=True) if kind.endswith(".") else EventRow.kind == kind
                )
                asked = asked.where(of_kind)
            if record_id is not None:
                asked = asked.where(EventRow.image_id == record_id)
            if last is not None:
                asked = asked.where(EventRow.id < last if newest_first else EventRow.id > last)
            order = EventRow.id.desc() if newest_first else EventRow.id
            with self._database.read() as connection:
                rows = connection.execute(asked.order_by(order).limit(_PAGE)).all()
            yield from (_event(row) for row in rows)
            if len(rows) < _PAGE:
                return
            last = rows[-1].id


def _event(row: Any) -> Event:
    return Event(
        id=row.id,
        at=to_time(row.at),
        actor=row.actor,
        kind=row.kind,
        record_id=row.image_id,
        revision=row.revision,
        key=row.key,
        details=json.loads(row.details) if row.details else {},
    )
