"""kill -9 at any moment: nothing is half-written, and doing it again loses and doubles nothing."""

import hashlib
import math
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segany.formats import open_dataset, sa1b
from segany.store import Store, create_store

VICTIM = Path(__file__).parent / "victim.py"
ACTIONS = ["add", "freeze", "edit"]
TARGETS = ["coco", "sa1b", "parquet"]
# On each database, over all that is done to a store.
SOAK_KILLS = 200
SOAK_EACH = -(-SOAK_KILLS // (len(ACTIONS) + 1))


@pytest.fixture
def folder(tmp_path: Path, samples: Any) -> Path:
    """20 photos, three of which have masks, and 12 records without photos."""
    for seed in range(20):
        samples.photo(tmp_path / "in" / "photos" / f"photo-{seed}.png", seed)
    for number in range(30, 42):
        sa1b.write_record(samples.record(number, masks=5), tmp_path / "in" / "records" / f"photo-{number}.json")
    return tmp_path / "in"


def start(action: str, location: str, folder: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(VICTIM), action, location, str(folder), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def run_to_the_end(action: str, location: str, folder: Path, *more: str) -> float:
    """Seconds that it took, from where it can be killed."""
    process = start(action, location, folder, *more)
    began = time.perf_counter()
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return time.perf_counter() - began


def kill_within(seconds: float, action: str, location: str, folder: Path, *more: str) -> list[str]:
    """What it said was done before it was killed."""
    process = start(action, location, folder, *more)
    time.sleep(random.uniform(0, seconds))
    process.kill()
    return process.communicate()[0].split()


def content(store: Store) -> tuple[str, int, int]:
    """Digest, records and masks of what is there."""
    with store._database.read() as connection:
        revision = connection.exec_driver_sql("SELECT revision FROM counters").scalar_one()
    return store.versions.measure(revision)


def sound(location: str, open_at: Callable[..., Store]) -> Store:
    store = open_at(location)
    assert store.check().findings == []
    return store


def check_kills(
    action: str, location: str, folder: Path, kills: int, open_at: Callable[..., Store], make_again: Callable[[], str]
) -> None:
    prepared = action != "add"

    def fresh() -> str:
        made = make_again()
        if prepared:
            with Store(made, steps={}) as store:
                store.add(folder / "records", actor="test")
        return made

    # The quicker of two: a machine that stood still for a while says nothing of when to kill.
    seconds = math.inf
    for _ in range(2):
        where = fresh()
        seconds = min(seconds, run_to_the_end(action, where, folder))
    wanted = content(sound(where, open_at))
    frozen = {version.name: version.digest for version in open_at(where).versions.log()}
    unfinished = 0
    for _ in range(kills):
        where = fresh()
        told = kill_within(seconds, action, where, folder)
        store = sound(where, open_at)
        unfinished += content(store) != wanted or len(store.versions.log()) < len(frozen)
        if action == "edit":
            kept = {event.key for event in store.events.list(kind="record.edited")}
            assert {f"edit-{number}" for number in told} <= kept, "an edit that was acknowledged is lost"
        if action == "freeze":
            assert {f"v{number}" for number in told} <= {version.name for version in store.versions.log()}
        run_to_the_end(action, where, folder)
        store = sound(where, open_at)
        assert content(store) == wanted
        assert {version.name: version.digest for version in store.versions.log()} == frozen
        edits = [event.key for event in store.events.list(kind="record.edited")]
        assert len(edits) == len(set(edits)) == (20 if action == "edit" else 0)
        names = [event.record_id for event in store.events.list(kind="record.added")]
        assert len(names) == len(set(names)) == wanted[1]
        store.close()
    check_share(action, kills, unfinished)


def check_share(what: str, kills: int, unfinished: int) -> None:
    print(f"{what}: {kills} kills, {unfinished} of them before the end")
    if kills >= 15:
        assert unfinished > kills / 10, "the kills came too late to show anything"


def files(folder: Path) -> dict[str, str]:
    """Digests by path."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def check_conversion_kills(
    to: str, location: str, folder: Path, kills: int, open_at: Callable[..., Store], make_again: Callable[[], str]
) -> None:
    """The folder is whole or not there, the store is not touched, and doing it again completes it."""
    where = make_again()
    with Store(where, steps={}) as store:
        store.add([folder / "photos", folder / "records"], actor="test")
    before = content(sound(where, open_at))
    target = folder.with_name("converted")
    seconds = math.inf
    for _ in range(2):
        shutil.rmtree(target, ignore_errors=True)
        seconds = min(seconds, run_to_the_end("convert", where, folder, to))
    wanted = files(target)
    assert len(list(open_dataset(target, require_images=False).records())) == before[1]
    unfinished = 0
    for _ in range(kills):
        shutil.rmtree(target)
        told = kill_within(seconds, "convert", where, folder, to)
        store = sound(where, open_at)
        assert content(store) == before
        store.close()
        assert target.exists() or not told, "a conversion that was acknowledged is lost"
        if not target.exists():
            unfinished += 1
            run_to_the_end("convert", where, folder, to)
            assert list(folder.parent.glob(".*partial*")) == []
        assert files(target) == wanted
    check_share(f"convert to {to}", kills, unfinished)


@pytest.fixture
def make_again(request: pytest.FixtureRequest, location: str, tmp_path: Path) -> Callable[[], str]:
    """Makes the store at `location` empty again."""

    def make() -> str:
        if "://" in location:
            request.getfixturevalue("empty_server_store")(location, tmp_path / "images")
        else:
            shutil.rmtree(location)
            create_store(location)
        return location

    return make


@pytest.mark.parametrize("action", ACTIONS)
def test_a_few_kills(
    action: str, location: str, folder: Path, open_at: Callable[..., Store], make_again: Callable[[], str]
) -> None:
    check_kills(action, location, folder, 1 if "://" in location else 2, open_at, make_again)


def test_a_few_kills_of_a_conversion(
    location: str, folder: Path, open_at: Callable[..., Store], make_again: Callable[[], str]
) -> None:
    check_conversion_kills(TARGETS[0], location, folder, 1, open_at, make_again)


@pytest.mark.soak
@pytest.mark.parametrize("action", ACTIONS)
def test_many_kills(
    action: str, location: str, folder: Path, open_at: Callable[..., Store], make_again: Callable[[], str]
) -> None:
    check_kills(action, location, folder, SOAK_EACH, open_at, make_again)


@pytest.mark.soak
@pytest.mark.parametrize("to", TARGETS)
def test_many_kills_of_a_conversion(
    to: str, location: str, folder: Path, open_at: Callable[..., Store], make_again: Callable[[], str]
) -> None:
    check_conversion_kills(to, location, folder, -(-SOAK_EACH // len(TARGETS)), open_at, make_again)
