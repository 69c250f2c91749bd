"""Tables are made and upgraded once, however many processes open the store; newer ones are refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import segany.store
from segany.errors import StoreError
from segany.store import Store, create_store
from segany.store.collection import put_value
from segany.store.database import Database, Location
from segany.store.models import Base
from segany.store.upgrade import NEWEST


def test_the_migrations_make_the_models_tables(store: Store) -> None:
    with store._database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_newest_is_the_last_migration() -> None:
    scripts = ScriptDirectory(str(Path(segany.store.__file__).parent / "migrations"))
    assert scripts.get_current_head() == NEWEST
    assert len(scripts.get_heads()) == 1


def test_a_newer_store_is_refused_and_left_alone(location: str, open_at: Any) -> None:
    store = open_at(location)
    with store._database.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    try:
        with pytest.raises(StoreError, match=r"was made by a newer segany \(its tables are of revision '9999'"):
            Store(location, steps={})
        with pytest.raises(StoreError, match="was made by a newer segany"):
            create_store(location, images="x")
    finally:
        with store._database.begin() as connection:
            connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{NEWEST}'")


def test_an_empty_database_is_no_store(empty_location: str, tmp_path: Path) -> None:
    if "://" not in empty_location:
        Path(empty_location).mkdir()
        (Path(empty_location) / "store.sqlite").touch()
    with pytest.raises(StoreError, match=r"holds no store; make one with: segany store init"):
        Store(empty_location, steps={})


def test_processes_that_make_it_at_once(empty_location: str, tmp_path: Path, open_at: Any) -> None:
    code = "import sys; from segany.store import create_store; create_store(sys.argv[1], images=sys.argv[2])"
    command = [sys.executable, "-c", code, empty_location, str(tmp_path / "images")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    store = open_at(empty_location)
    assert len(store.id) == 32
    assert not store.check().findings


def make_old(location: str, images: Path) -> None:
    """A store as the first version made it."""
    place = Location.of(location)
    if place.folder is not None:
        place.folder.mkdir()
    database = Database(place)
    config = Config()
    config.set_main_option("script_location", str(Path(segany.store.__file__).parent / "migrations"))
    with database.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with database.write() as writing:
        put_value(writing, "images", json.dumps(str(images)), is_there=False)
    database.close()


def test_processes_that_upgrade_it_at_once(empty_location: str, tmp_path: Path, open_at: Any) -> None:
    make_old(empty_location, tmp_path / "images")
    code = "import sys; from segany.store import Store; Store(sys.argv[1], steps={}).events.add('x', actor=sys.argv[2])"
    commands = [[sys.executable, "-c", code, empty_location, str(number)] for number in range(4)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    store = open_at(empty_location)
    assert sorted(event.actor for event in store.events.list()) == ["0", "1", "2", "3"]
    with store._database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert (context.get_current_revision(), compare_metadata(context, Base.metadata)) == (NEWEST, [])


def test_making_it_again_changes_nothing(empty_location: str, tmp_path: Path, open_at: Any) -> None:
    images = str(tmp_path / "images")
    create_store(empty_location, images=images)
    first = open_at(empty_location)
    create_store(empty_location, images=images)
    assert open_at(empty_location).id == first.id
    with pytest.raises(StoreError, match="already, which keeps its images in"):
        create_store(empty_location, images=str(tmp_path / "elsewhere"))


def test_the_audit_log_cannot_be_changed(store: Store) -> None:
    store.events.add("test", actor="ann")
    for statement in ("UPDATE events SET actor = 'eve'", "DELETE FROM events"):
        with pytest.raises(StoreError, match="events are append-only"), store._database.begin() as connection:
            connection.exec_driver_sql(statement)
    assert [event.actor for event in store.events.list()] == ["ann"]
