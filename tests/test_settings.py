"""Settings: defaults, every variable, and a clear no to what cannot be read."""

import dataclasses
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segany import settings
from segany.errors import ConfigError
from segany.settings import DEFAULT_MAX_PIXELS, Settings, limit_threads, share_cores

SOURCE = Path(settings.__file__).parent


def test_defaults() -> None:
    found = Settings.from_environment({})
    assert found.home.name == "segany"
    assert found == Settings(home=found.home, data=None, threads=None, max_pixels=DEFAULT_MAX_PIXELS, offline=False)


def test_every_variable() -> None:
    found = Settings.from_environment(
        {
            "SEGANY_HOME": "/cache",
            "SEGANY_DATA": "/data",
            "SEGANY_THREADS": "2",
            "SEGANY_MAX_PIXELS": "1000",
            "SEGANY_OFFLINE": "yes",
            "HOME": "not ours",
        }
    )
    assert found == Settings(home=Path("/cache"), data=Path("/data"), threads=2, max_pixels=1000, offline=True)


def test_an_empty_variable_is_an_unset_one() -> None:
    empty = {f"SEGANY_{name}": "" for name in ("HOME", "DATA", "THREADS", "MAX_PIXELS", "OFFLINE")}
    assert Settings.from_environment(empty) == Settings.from_environment({})


def test_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/people/me")
    monkeypatch.setenv("USERPROFILE", "/people/me")
    assert Settings.from_environment({"SEGANY_HOME": "~/models"}).home == Path("/people/me/models")


def test_the_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGANY_THREADS", "3")
    assert Settings.from_environment().threads == 3


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SEGANY_THREADS", "0", "SEGANY_THREADS must be a whole number of at least 1, got '0'; correct or unset it."),
        (
            "SEGANY_THREADS",
            "two",
            "SEGANY_THREADS must be a whole number of at least 1, got 'two'; correct or unset it.",
        ),
        (
            "SEGANY_MAX_PIXELS",
            "1e6",
            "SEGANY_MAX_PIXELS must be a whole number of at least 1, got '1e6'; correct or unset it.",
        ),
        ("SEGANY_OFFLINE", "perhaps", "SEGANY_OFFLINE must be 0 or 1, got 'perhaps'; correct or unset it."),
        (
            "SEGANY_HOM",
            "/x",
            "unknown environment variable SEGANY_HOM; segany reads SEGANY_CACHE, SEGANY_CACHE_BYTES, SEGANY_DATA, "
            "SEGANY_HOME, SEGANY_MAX_PIXELS, SEGANY_OFFLINE, SEGANY_THREADS.",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        Settings.from_environment({name: value})


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_a_config_error(text: str) -> None:
    try:
        threads = Settings.from_environment({"SEGANY_THREADS": text}).threads
    except ConfigError:
        return
    assert threads is None if not text else threads == int(text) >= 1


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings(home=Path()).threads = 1  # type: ignore[misc]


def test_the_table_names_every_variable() -> None:
    assert settings.__doc__ is not None
    table = set(re.findall(r"^\| (SEGANY_\w+) \|", settings.__doc__, re.MULTILINE))
    code = set(re.findall(r'"(SEGANY_\w+)"', Path(settings.__file__).read_text(encoding="utf-8")))
    assert table == code


def test_only_settings_reads_the_environment() -> None:
    readers = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(r"os\.environ|os\.getenv|getenv\(", path.read_text(encoding="utf-8"))
    ]
    assert readers == ["settings.py"]


def test_a_limit_of_threads_is_what_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGANY_THREADS", "7")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    limit_threads(3)
    assert Settings.from_environment().threads == 3
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_threads_share_their_cores_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
