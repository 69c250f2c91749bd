"""Users, their keys and the server's secrets, on either database."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from segany.errors import ConfigError, NotInStoreError
from segany.store import Store, create_store
from segany.store.models import Base
from segany.store.upgrade import NEWEST, upgrade


def digest(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()


def test_add_and_change(store: Store) -> None:
    assert not store.users.are_there()
    added = store.users.add("ann", "admin", "hash-1", actor="local")
    assert (added.name, added.role, added.disabled) == ("ann", "admin", False)
    assert store.users.are_there()
    assert store.users.with_password("ann") == (added, "hash-1")
    assert store.users.with_password("eve") is None
    store.users.add("ben", "annotator", "hash-2", actor="ann")
    assert [user.name for user in store.users.list()] == ["ann", "ben"]
    changed = store.users.change("ben", actor="ann", role="reviewer", password_hash="hash-3")
    assert changed.role == "reviewer"
    assert store.users.with_password("ben") == (changed, "hash-3")
    assert store.users.change("ben", actor="ann") == changed


def test_the_audit_log_tells_of_users_but_not_their_hashes(store: Store) -> None:
    store.users.add("ann", "admin", "hash-1", actor="local")
    store.users.change("ann", actor="ann", password_hash="hash-2")
    store.users.secret("signing")
    told = [(event.kind, event.actor, event.details) for event in store.events.list()]
    assert told == [
        ("user.added", "local", {"name": "ann", "role": "admin"}),
        ("user.changed", "ann", {"name": "ann", "password": True}),
    ]
    assert "hash" not in json.dumps([dict(details) for *_, details in told])


def test_what_is_refused(store: Store) -> None:
    store.users.add("ann", "admin", "x", actor="local")
    with pytest.raises(ConfigError, match="there is a user 'ann' already"):
        store.users.add("ann", "annotator", "y", actor="local")
    with pytest.raises(ConfigError, match="a role must be one of annotator, reviewer, admin, got 'king'"):
        store.users.add("ben", "king", "y", actor="local")  # type: ignore[arg-type]
    with pytest.raises(NotInStoreError, match="has no user 'eve'"):
        store.users.change("eve", actor="ann", role="admin")
    with pytest.raises(NotInStoreError, match="has no user 'eve'"):
        store.users.give_key("eve", "token", digest("a"), seconds=1)


def test_the_last_admin_stays(store: Store) -> None:
    store.users.add("ann", "admin", "x", actor="local")
    for change in ({"role": "reviewer"}, {"disabled": True}):
        with pytest.raises(ConfigError, match="ann is the only admin"):
            store.users.change("ann", actor="ann", **change)
    store.users.add("ben", "admin", "x", actor="ann")
    assert store.users.change("ann", actor="ben", disabled=True).disabled
    with pytest.raises(ConfigError, match="ben is the only admin"):
        store.users.change("ben", actor="ben", role="annotator")


def test_keys(store: Store) -> None:
    store.users.add("ann", "annotator", "x", actor="local")
    given = store.users.give_key("ann", "token", digest("word"), seconds=60, label="export")
    assert given.used_at is None
    found = store.users.by_key(digest("word"), "token")
    assert found is not None
    assert (found[0].name, found[1].id, found[1].label) == ("ann", given.id, "export")
    assert store.users.by_key(digest("word"), "session") is None
    assert store.users.by_key(digest("other"), "token") is None
    (kept,) = store.users.keys("ann", "token")
    assert kept.used_at is not None
    with pytest.raises(NotInStoreError, match="ben has no token"):
        store.users.take_key("ben", given.id)
    store.users.take_key("ann", given.id)
    assert store.users.by_key(digest("word"), "token") is None


def test_keys_end(store: Store) -> None:
    store.users.add("ann", "admin", "x", actor="local")
    store.users.add("ben", "annotator", "x", actor="local")
    store.users.give_key("ben", "session", digest("old"), seconds=-1)
    assert store.users.by_key(digest("old"), "session") is None
    store.users.give_key("ben", "session", digest("1"), seconds=60)
    assert [key.kind for key in store.users.keys("ben", "session")] == ["session"]
    store.users.change("ben", actor="ann", password_hash="new")
    assert store.users.by_key(digest("1"), "session") is None
    store.users.give_key("ben", "session", digest("2"), seconds=60)
    store.users.change("ben", actor="ann", disabled=True)
    assert store.users.by_key(digest("2"), "session") is None


def test_a_secret_stays_the_same(store: Store, location: str, open_at: Any) -> None:
    secret = store.users.secret("signing")
    assert len(secret) == 32
    assert open_at(location).users.secret("signing") == secret
    assert store.users.secret("other") != secret


def test_a_store_without_these_tables_gets_them(tmp_path: Path, open_at: Any) -> None:
    create_store(tmp_path / "store")
    old = open_at(tmp_path / "store")
    with old._database.begin() as connection:
        for table in ("access_keys", "people", "secrets"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    upgraded = Store(tmp_path / "store", steps={})
    upgraded.users.add("ann", "admin", "x", actor="local")
    upgraded.close()
    upgrade(old._database)
    with old._database.read() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == NEWEST
    assert {"people", "access_keys", "secrets"} <= set(Base.metadata.tables)
