"""Signing in and out, sessions, tokens, users; guessing is slow, and nothing is told."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from segany.errors import BusyError, ConfigError
from segany.serve import ServeSettings, create_app
from segany.serve.passwords import Throttle, hash_password, key_digest, new_key, password_matches
from segany.store import Store

API = "/api/v1"
PASSWORD = "correct horse battery"


def log_in(client: TestClient, name: str = "ann", password: str = PASSWORD) -> Any:
    return client.post(f"{API}/session", json={"name": name, "password": password})


@pytest.mark.parametrize("settings", [{"host": "0.0.0.0"}, {"host": "::"}, {"host": "box.lan"}, {"behind_proxy": True}])
def test_nobody_serves_others_without_users(store: Store, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"can be reached from other machines, and the store has no users: anyone"):
        create_app(store, ServeSettings(**settings))


def test_sign_in_and_out(server: Any, add_user: Any) -> None:
    add_user("ann", "admin")
    client = server.start()
    assert client.get(f"{API}/session").json() == {
        "user": None,
        "login_required": True,
        "csrf_token": None,
        "version": client.get(f"{API}/session").json()["version"],
    }
    answer = log_in(client)
    assert answer.json()["user"]["name"] == "ann"
    cookie = answer.headers["set-cookie"]
    assert re.match(r"segany_session=\S+; HttpOnly; Max-Age=43200; Path=/; SameSite=Strict$", cookie)
    assert client.get(f"{API}/users").status_code == 200
    kept = client.cookies["segany_session"]
    assert client.delete(f"{API}/session", headers={"X-CSRF-Token": answer.json()["csrf_token"]}).status_code == 204
    # Not only forgotten by the browser: whoever has a copy cannot use it either.
    client.cookies.set("segany_session", kept)
    assert client.get(f"{API}/users").status_code == 401


def test_the_cookie_is_for_https_only_where_that_is_used(server: Any, add_user: Any) -> None:
    add_user("ann", "admin")
    client = server.start()
    client.base_url = "https://127.0.0.1"
    assert "; Secure" in log_in(client).headers["set-cookie"]


def test_a_session_cannot_be_chosen_beforehand(server: Any, add_user: Any) -> None:
    add_user("ann", "admin")
    client = server.start()
    first = log_in(client).headers["set-cookie"]
    second = log_in(client).headers["set-cookie"]
    assert first != second
    client.cookies.clear()
    client.cookies.set("segany_session", "chosen-by-someone")
    assert client.get(f"{API}/users").status_code == 401
    assert "chosen-by-someone" not in log_in(client).headers["set-cookie"]


def test_a_changed_cookie_is_nobody_s(server: Any, add_user: Any) -> None:
    add_user("ann", "admin")
    client = server.start()
    log_in(client)
    cookie = client.cookies["segany_session"]
    client.cookies.clear()
    client.cookies.set("segany_session", cookie[:-2] + ("AA" if cookie[-2:] != "AA" else "BB"))
    assert client.get(f"{API}/users").status_code == 401


def test_changes_by_cookie_need_the_csrf_token(server: Any, add_user: Any) -> None:
    add_user("ann", "admin")
    client = server.start()
    token = log_in(client).json()["csrf_token"]
    body = {"supercategory": "animal"}
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": token[::-1]}):
        answer = client.put(f"{API}/categories/cat", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
    assert client.put(f"{API}/categories/cat", json=body, headers={"X-CSRF-Token": token}).status_code == 200


def test_wrong_and_unknown_are_answered_alike(server: Any, add_user: Any) -> None:
    add_user("ann", "admin")
    client = server.start()
    wrong, unknown = log_in(client, password="not this one"), log_in(client, "eve")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()


def test_guessing_is_slow(server: Any, add_user: Any) -> None:
    add_user("ann", "admin")
    client = server.start()
    codes = [log_in(client, password=f"guess number {k}").status_code for k in range(8)]
    assert codes[:5] == [401] * 5
    assert 429 in codes[5:]
    # The right password has to wait, too: otherwise an answer would tell.
    answer = log_in(client)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


def test_the_throttle_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    throttle, waits = Throttle(), []
    for _ in range(16):
        try:
            throttle.check("name:ann")
        except BusyError as error:
            waits.append(error.retry_after)
            now[0] += error.retry_after
        throttle.failed("name:ann")
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]
    throttle.succeeded("name:ann")
    throttle.check("name:ann")


def test_tokens(server: Any, add_user: Any, store: Store) -> None:
    add_user("ann", "annotator")
    client = server.start()
    csrf = server.sign_in(client, "ann")
    made = client.post(f"{API}/tokens", json={"label": "export", "days": 1}, headers=csrf).json()
    assert made["token"].startswith("sgy_")
    assert made["token"].encode() not in (Path(str(store.location.folder)) / "store.sqlite").read_bytes()
    (listed,) = client.get(f"{API}/tokens").json()["tokens"]
    assert (listed["label"], "token" in listed) == ("export", False)
    client.cookies.clear()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    # A program's requests carry no cookie, so nobody can borrow them: no CSRF token is needed.
    assert client.put(f"{API}/categories/cat", json={}, headers=bearer).status_code == 200
    for other in ("Bearer sgy_no", "Bearer ", "Basic YTpi", made["token"]):
        assert client.get(f"{API}/records", headers={"Authorization": other}).status_code == 401
    assert client.delete(f"{API}/tokens/{listed['id']}", headers=bearer).status_code == 204
    assert client.get(f"{API}/records", headers=bearer).status_code == 401


def test_one_s_tokens_are_one_s_own(server: Any, add_user: Any) -> None:
    add_user("ann", "admin")
    add_user("ben", "annotator")
    client = server.start()
    csrf = server.sign_in(client, "ann")
    made = client.post(f"{API}/tokens", json={"label": "x"}, headers=csrf).json()
    csrf = server.sign_in(client, "ben")
    assert client.get(f"{API}/tokens").json()["tokens"] == []
    assert client.delete(f"{API}/tokens/{made['id']}", headers=csrf).status_code == 404


def test_users_are_changed_at_once(server: Any, add_user: Any) -> None:
    add_user("ann", "admin")
    client = server.start()
    admin = server.sign_in(client, "ann")
    made = client.post(f"{API}/users", json={"name": "ben", "password": PASSWORD}, headers=admin)
    assert (made.status_code, made.json()["role"]) == (201, "annotator")
    again = client.post(f"{API}/users", json={"name": "ben", "password": PASSWORD}, headers=admin)
    assert (again.status_code, again.json()["code"]) == (422, "config")
    other = TestClient(client.app, base_url="http://127.0.0.1")
    log_in(other, "ben")
    assert other.get(f"{API}/records").status_code == 200
    assert client.patch(f"{API}/users/ben", json={"role": "reviewer"}, headers=admin).json()["role"] == "reviewer"
    assert other.get(f"{API}/events").status_code == 200
    assert client.patch(f"{API}/users/ben", json={"disabled": True}, headers=admin).status_code == 200
    assert other.get(f"{API}/records").status_code == 401
    assert log_in(other, "ben").status_code == 401
    last = client.patch(f"{API}/users/ann", json={"role": "annotator"}, headers=admin)
    assert (last.status_code, last.json()["message"][:21]) == (422, "ann is the only admin")


@pytest.mark.parametrize(
    "body", [{"name": "a b"}, {"name": "../x"}, {"name": "<b>"}, {"password": "short"}, {"role": "king"}]
)
def test_users_that_are_refused(server: Any, add_user: Any, body: dict[str, str]) -> None:
    add_user("ann", "admin")
    client = server.start()
    csrf = server.sign_in(client, "ann")
    answer = client.post(f"{API}/users", json={"name": "ben", "password": PASSWORD, **body}, headers=csrf)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation")
    assert "short" not in answer.json()["message"].replace("should", "")


def test_passwords() -> None:
    hashed = hash_password(PASSWORD)
    assert hashed.startswith("$argon2id$")
    assert password_matches(PASSWORD, hashed)
    assert not password_matches(PASSWORD + "!", hashed)
    assert not password_matches(PASSWORD, None)
    assert not password_matches(PASSWORD, "not a hash")
    assert len(key_digest(new_key())) == 32
