"""Locations, and what databases say when they cannot go on."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segany.errors import ConfigError, StoreError
from segany.store import Store, create_store
from segany.store.database import Location, Writing, to_micros, to_time


def test_a_folder(tmp_path: Path) -> None:
    place = Location.of(tmp_path / "a b")
    assert (place.folder, place.url.get_backend_name()) == (tmp_path / "a b", "sqlite")


def test_a_server_without_its_password() -> None:
    place = Location.of("postgresql://ann:secret@db.example/masks")
    assert place.folder is None
    assert place.url.drivername == "postgresql+pg8000"
    assert "secret" not in str(place)
    assert place.url.password == "secret"


@pytest.mark.parametrize("url", ["mysql://a@b/c", "sqlite:///x.db", "s3://bucket/store"])
def test_other_urls(url: str) -> None:
    with pytest.raises(ConfigError, match=r"a store is a folder or a postgresql:// URL, got one of"):
        Location.of(url)


def test_a_server_that_does_not_answer() -> None:
    with pytest.raises(StoreError, match="the server does not answer; check its address") as error:
        Store("postgresql://ann:secret@127.0.0.1:1/masks", steps={})
    assert "secret" not in str(error.value)


def test_a_database_that_is_not_there(server: Any) -> None:
    with pytest.raises(StoreError, match="there is no such database on the server; make it first: createdb"):
        Store(server.url("nowhere"), steps={})


def test_a_store_on_a_server_must_say_where_images_go(server: Any) -> None:
    with pytest.raises(StoreError, match="say where images go, with --images"):
        create_store(server.new_database())


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"not a database, but long enough to look like one " * 100)
    with pytest.raises(StoreError, match=r"store.sqlite is no database; restore it from a backup"):
        Store(tmp_path, steps={})


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))])))
def test_times_survive(time: datetime) -> None:
    assert to_time(to_micros(time)) == time


def test_a_failed_transaction_leaves_nothing(store: Store, samples: Any) -> None:
    def fail(writing: Writing) -> None:
        writing.connection.exec_driver_sql("INSERT INTO categories (name, position) VALUES ('x', 0)")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), store._database.write() as writing:
        fail(writing)
    assert store.collection.categories() == []


def test_text_of_every_kind_is_copied_in(store: Store, samples: Any) -> None:
    """PostgreSQL takes many rows by COPY, whose text has escapes of its own."""
    names = ["\\N", "\\.", "a\tb\nc\rd", "\\x41", "'\"", "ü🌳", " ", "\b\f\v", "null"]
    put = [samples.annotation(number, number, category=name, annotator=name) for number, name in enumerate(names, 10)]
    (record_id,) = store.add_records(samples.incoming(1), actor="ann").record_ids
    stored = store.records.get(record_id)
    after = store.records.save(record_id, put=put, expected=stored.revision, actor="ann")
    assert [each.category for each in after.record.annotations if int(each.id) >= 10] == names
    assert not store.check().findings
