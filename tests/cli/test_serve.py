"""`segany serve` and `segany users`: what they refuse, and what they tell."""

import json
from pathlib import Path

import pytest

from segany.cli.main import main
from segany.engine import open_store
from segany.serve.passwords import password_matches

PASSWORD = "correct horse battery"


@pytest.fixture
def place(tmp_path: Path) -> str:
    main(["store", "init", str(tmp_path / "store")])
    (tmp_path / "password").write_text(f"{PASSWORD}\nrest\n", encoding="utf-8")
    return str(tmp_path / "store")


def test_users(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ["--password-file", str(tmp_path / "password")]
    assert main(["users", "add", place, "ann", "--role", "admin", *file]) == 0
    assert "ann (admin) may sign in" in capsys.readouterr().out
    assert main(["users", "add", place, "ben", *file]) == 0
    assert main(["users", "change", place, "ben", "--role", "reviewer", "--disable"]) == 0
    capsys.readouterr()
    assert main(["users", "list", place]) == 0
    assert capsys.readouterr().out == "ann  admin\nben  reviewer  disabled\n"
    assert main(["users", "list", place, "--json"]) == 0
    assert [user["name"] for user in json.loads(capsys.readouterr().out)] == ["ann", "ben"]
    with open_store(place) as store:
        found = store.users.with_password("ann")
    assert found is not None
    assert password_matches(PASSWORD, found[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ann smith"], "a user's name has letters, digits and . _ @ -, got 'ann smith'"),
        (["ann", "--role", "king"], "a role must be one of annotator, reviewer, admin, got 'king'"),
    ],
)
def test_users_that_are_refused(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["users", "add", place, *arguments, "--password-file", str(tmp_path / "password")]) == 1
    assert message in capsys.readouterr().err


def test_passwords_that_are_refused(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "short").write_text("short", encoding="utf-8")
    assert main(["users", "add", place, "ann", "--password-file", str(tmp_path / "short")]) == 1
    assert "a password has at least 10 characters, got 5" in capsys.readouterr().err
    assert main(["users", "add", place, "ann", "--password-file", str(tmp_path / "nowhere")]) == 1
    assert "cannot read a password from" in capsys.readouterr().err


def test_nobody_serves_others_without_users(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--store", place, "--host", "0.0.0.0"]) == 1
    assert "0.0.0.0 can be reached from other machines, and the store has no users" in capsys.readouterr().err


def test_a_certificate_needs_its_key(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--store", place, "--certificate", "cert.pem"]) == 1
    assert "TLS needs a certificate and its private key" in capsys.readouterr().err
