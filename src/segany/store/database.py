"""Database: connections, transactions and revisions, the same for SQLite and PostgreSQL."""

import io
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from segany.errors import ConfigError, MissingExtraError, StoreError
from segany.store._failures import explained
from segany.store.models import Base, CounterRow

__all__ = ["Database", "Location", "Writing", "to_micros", "to_time"]

FILE_NAME = "store.sqlite"
_BUSY_SECONDS = 60
# Any number; it names the lock among the advisory locks of one PostgreSQL database.
_ADVISORY = {"upgrade": 7_366_001, "maintenance": 7_366_002, "jobs": 7_366_003}


@dataclass(frozen=True)
class Location:
    """Where a store is.

    Attributes:
        url: Of its database.
        folder: The folder of an embedded store, or None for one on a server.
    """

    url: URL
    folder: Path | None

    @classmethod
    def of(cls, given: str | os.PathLike[str]) -> "Location":
        """Read what a person wrote: a folder, or postgresql://USER:PASSWORD@HOST/DATABASE.

        Raises:
            ConfigError: It is a URL, but not one of PostgreSQL.
        """
        words = os.fspath(given)
        if "://" not in words:
            folder = Path(words)
            return cls(URL.create("sqlite", database=str(folder.absolute() / FILE_NAME)), folder)
        try:
            url = make_url(words)
        except (ArgumentError, ValueError) as error:
            raise ConfigError("a store's URL must read postgresql://USER:PASSWORD@HOST/DATABASE.") from error
        if url.get_backend_name() != "postgresql":
            raise ConfigError(
                f"a store is a folder or a postgresql:// URL, got one of {url.drivername}; give a folder for SQLite."
            )
        return cls(url.set(drivername="postgresql+pg8000"), None)

    def __str__(self) -> str:
        """As a person reads it, without the password."""
        return str(self.folder) if self.folder is not None else self.url.render_as_string(hide_password=True)


class Writing:
    """A transaction that makes one revision.

    Attributes:
        connection: To read and write on.
        revision: Its number.
        at: When it began, microseconds since 1970.
    """

    def __init__(self, connection: Connection) -> None:
        """Wait for the revision before to end, and go on from the numbers it gave out."""
        asked = select(CounterRow.revision, CounterRow.image, CounterRow.mask, CounterRow.annotation)
        revision, *given_out = connection.execute(asked.with_for_update()).one()
        self.connection = connection
        self.revision = int(revision) + 1
        self.at = to_micros(datetime.now(UTC))
        self._next = dict(zip(("image", "mask", "annotation"), given_out, strict=True))

    def new_id(self, table: str) -> int:
        """The next free id of "image", "mask" or "annotation"."""
        self._next[table] += 1
        return self._next[table]

    def insert(self, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows of all columns, by the way that is quickest for the database."""
        if not rows:
            return
        if self.connection.dialect.name == "postgresql" and len(rows) > 1:
            _copy_in(self.connection, model, rows)
        else:
            self.connection.execute(insert(model), list(rows))

    def close(self) -> None:
        """Write the numbers given out."""
        self.connection.execute(update(CounterRow).values(revision=self.revision, **self._next))


class Database:
    """The database of one store; may be used by several threads."""

    def __init__(self, location: Location) -> None:
        """Nothing is opened yet.

        Args:
            location: Where it is.
        """
        self.location = location
        self.engine = _engine(location)
        if hasattr(os, "register_at_fork"):
            # A child must not speak on its parent's connections.
            engine = weakref.ref(self.engine)
            os.register_at_fork(after_in_child=lambda: _forget_connections(engine()))
        self._writer = threading.RLock()

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.location.folder is not None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with explained(str(self.location)), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes, without a revision: for what is not content."""
        with explained(str(self.location)), self._one_writer(), self.engine.connect() as plain:
            connection = plain.execution_options(segany_writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Writing]:
        """A transaction that makes a revision; they come one after another, in every process."""
        with self.begin() as connection:
            writing = Writing(connection)
            yield writing
            writing.close()

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Keep other processes from the same thing ("upgrade" or "maintenance") meanwhile.

        Raises:
            StoreError: Another process has been at it for too long.
        """
        if self.location.folder is not None:
            from filelock import FileLock, Timeout

            try:
                with FileLock(self.location.folder / f".{what}.lock", timeout=_BUSY_SECONDS * 10):
                    yield
            except Timeout as error:
                raise StoreError(
                    f"another process has been at the {what} of {self.location} for ten minutes."
                ) from error
            return
        with explained(str(self.location)), self.engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY[what]})
            connection.commit()
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY[what]})
                connection.commit()

    def now(self, connection: Connection) -> int:
        """Microseconds since 1970 by the one clock that all workers share: the server's, or this machine's."""
        if self.is_sqlite:
            return to_micros(datetime.now(UTC))
        return int(connection.execute(text("SELECT extract(epoch FROM clock_timestamp()) * 1000000")).scalar_one())

    def gather_statistics(self) -> None:
        """Have the database look at how its rows are distributed, which it plans queries by; after large additions."""
        with self.begin() as connection:
            connection.execute(text("PRAGMA optimize" if self.is_sqlite else "ANALYZE"))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        # Threads of one process queue here in order, instead of polling SQLite's lock.
        if self.is_sqlite:
            with self._writer:
                yield
        else:
            yield


def to_micros(time: datetime) -> int:
    """Whole microseconds since 1970."""
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def to_time(micros: int) -> datetime:
    """The inverse of `to_micros`, in UTC."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)


def _forget_connections(engine: Engine | None) -> None:
    if engine is not None:
        engine.dispose(close=False)


def _engine(location: Location) -> Engine:
    if location.folder is None:
        try:
            return create_engine(location.url, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise MissingExtraError("A store on PostgreSQL", "postgres") from error
    engine = create_engine(location.url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # Python's own handling begins transactions too late for BEGIN IMMEDIATE; see _begin.
        connection.isolation_level = None
        for pragma in ("foreign_keys = ON", "synchronous = FULL", "cache_size = -65536", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail when another writes in between.
        writes = connection.get_execution_options().get("segany_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _copy_in(connection: Connection, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """COPY: twenty times quicker than one INSERT for each row."""
    columns = list(rows[0])
    names = ", ".join(f'"{column}"' for column in columns)
    lines = "".join("\t".join([_copy_text(row[column]) for column in columns]) + "\n" for row in rows)
    driver = connection.connection.driver_connection
    assert driver is not None
    cursor = driver.cursor()
    cursor.execute(f'COPY "{model.__tablename__}" ({names}) FROM STDIN', stream=io.BytesIO(lines.encode("utf-8")))
    cursor.close()


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copy_text(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        return f"\\\\x{value.hex()}"
    if isinstance(value, str):
        return value.translate(_ESCAPES) if not value.isalnum() else value
    if value is True or value is False:
        return "t" if value else "f"
    return repr(value)
