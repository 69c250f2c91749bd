"""Bringing a database to the tables of this version of segany, once, however many processes open it."""

from importlib.resources import files
from typing import Any

from sqlalchemy import Connection, inspect, text

from segany.errors import StoreError
from segany.store._failures import explained
from segany.store.database import Database

__all__ = ["NEWEST", "upgrade"]

# The last of migrations/versions; a constant, so that opening a store need not load Alembic.
NEWEST = "0002"


def upgrade(database: Database, *, create: bool = False) -> None:
    """Make or change the tables if they are not those of this version.

    Args:
        database: Of the store.
        create: Make the tables in an empty database; otherwise an empty one is no store.

    Raises:
        StoreError: The database is from a newer version, or has no tables and `create` was not asked for.
        OutputError: It has to be upgraded and cannot be written.
    """
    with database.read() as connection:
        found = _revision(connection)
    if found == NEWEST:
        return
    if found is None and not create:
        raise StoreError(f"{database.location} holds no store; make one with: segany store init {database.location}")
    with database.alone("upgrade"):
        # SQLite keeps this in the file, and changes it only while nobody else has the file open.
        if database.is_sqlite and found is None:
            with explained(str(database.location)), database.engine.connect() as plain:
                plain.connection.execute("PRAGMA journal_mode = WAL")
        with database.begin() as connection:
            # Another process may have been quicker.
            if _revision(connection) != NEWEST:
                _run(database, connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _run(database: Database, connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(files("segany.store") / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    known: set[str] = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found: Any = _revision(connection)
    if found is not None and found not in known:
        raise StoreError(
            f"the store {database.location} was made by a newer segany (its tables are of revision {found!r}, this "
            f"version knows up to {NEWEST}); upgrade segany: pip install --upgrade segany"
        )
    command.upgrade(config, "head")
