"""Input that is meant to break things, and machines on which nothing can be written."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segany.formats import sa1b
from segany.schema import Record
from segany.store import Incoming, Store, create_store

POSIX = pytest.mark.skipif(os.name != "posix", reason="limits and users of this kind are POSIX's")


def sa1b_file(folder: Path, samples: Any, **segmentation: Any) -> Path:
    document = sa1b.record_to_json(samples.record(1, masks=2))
    document["annotations"][0]["segmentation"] |= segmentation
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "photo-1.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "segmentation",
    [
        {"counts": "PP" * 50},
        {"counts": [10**9, 10**9]},
        {"counts": [-5, 773]},
        {"counts": "`" * 30},
        {"counts": "\u00ff"},
        {"counts": [2**63, 1]},
        {"size": [-24, -32]},
        {"size": [24, 10**12]},
        {"size": [0, 0]},
        {"size": ["24", "32"]},
    ],
)
def test_masks_that_cannot_be(embedded: Store, samples: Any, tmp_path: Path, segmentation: dict[str, Any]) -> None:
    report = embedded.add(sa1b_file(tmp_path / "in", samples, **segmentation), actor="ann")
    assert report.problems
    assert report.masks <= 1
    assert not embedded.check().findings


def test_a_polygon_with_a_million_points(embedded: Store, samples: Any) -> None:
    angles = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    ring = np.stack([16 + 10 * np.cos(angles), 12 + 10 * np.sin(angles)], axis=1)
    record = Record(samples.record(1).image, (samples.annotation(1, outline=(ring,)),))
    (record_id,) = embedded.add_records([Incoming(record)], actor="ann").record_ids
    outline = embedded.records.get(record_id).record.annotations[0].outline
    assert outline is not None
    assert np.array_equal(outline[0], ring)
    assert not embedded.check().findings


def test_too_many_vertices_are_refused(embedded: Store, samples: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segany.store._rows._MAX_VERTICES", 9)
    record = Record(samples.record(1).image, (samples.annotation(1, outline=(np.zeros((10, 2)),)),))
    report = embedded.add_records([Incoming(record)], actor="ann")
    assert "an outline may have 9 vertices, got 10; simplify it" in report.problems[0][1]


@pytest.mark.parametrize(
    "name", ["../../evil.png", "/etc/passwd", "a\0b.png", "x'); DROP TABLE images; --", "C:\\x.png"]
)
def test_names_are_only_names(store: Store, samples: Any, tmp_path: Path, name: str) -> None:
    from dataclasses import replace

    from segany.store.checkout import write_checkout

    record = samples.record(1)
    record = replace(record, image=replace(record.image, file_name=name))
    photo = samples.photo(tmp_path / "p.png", 1)
    report = store.add_records([Incoming(record, photo)], actor="ann")
    if "\0" in name:
        assert "must not hold the character NUL" in report.problems[0][1]
        return
    store.versions.freeze("v", actor="ann")
    manifest = write_checkout(store, "v", tmp_path / "deep" / "er" / "out")
    written = [path for path in tmp_path.rglob("*") if path.suffix in (".png", ".json") and path != photo]
    inside = {path for path in written if path.is_relative_to(manifest.parent)}
    assert {path for path in written if path not in inside} <= {
        path for path in written if {"images", "store"} & set(path.relative_to(tmp_path).parts)
    }
    assert len(inside) == 3


# A program on its own, because its limits cannot be raised again.
LIMITED = """
import resource, signal, sys
from segany.errors import OutputError
from segany.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Store(sys.argv[1], steps={}) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
    try:
        store.add(sys.argv[2], actor="ann")
    except OutputError as error:
        print(error)
        sys.exit(7)
"""


@POSIX
@pytest.mark.parametrize("kilobytes", [1, 60])
def test_a_disk_that_is_full(embedded: Store, samples: Any, tmp_path: Path, kilobytes: int) -> None:
    """The files of images fit, or do not; the database does not."""
    for number in range(1, 60):
        sa1b.write_record(samples.record(number, masks=30), tmp_path / "in" / f"photo-{number}.json")
        samples.photo(tmp_path / "in" / f"photo-{number}.png", number)
    folder = str(embedded.location.folder)
    command = [sys.executable, "-c", LIMITED, folder, str(tmp_path / "in"), str(1024 * kilobytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert "annot write" in done.stdout
    assert "free some space" in done.stdout or "a file may not grow further" in done.stdout or "disk" in done.stdout
    assert embedded.check().findings == []
    report = embedded.add(tmp_path / "in", actor="ann")
    assert report.records + report.known == 59
    assert len(embedded.records.ids(has_pixels=True)) == 59
    assert embedded.check().findings == []


@pytest.fixture
def others_store(samples: Any) -> Iterator[Path]:
    """A store of ours that everyone may look at, in a folder that everyone may enter."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    folder = Path(tempfile.mkdtemp(prefix="segany-other-"))
    folder.chmod(0o755)
    create_store(folder / "store")
    with Store(folder / "store", steps={}) as store:
        store.add_records(samples.incoming(2), actor="ann")
    (folder / "store").chmod(0o755)
    yield folder / "store"
    shutil.rmtree(folder)


AS_ANOTHER = """
import os, sys, tempfile
from segany.errors import SeganyError
from segany.store import Store, create_store

def write(folder):
    with Store(folder, steps={}) as store:
        store.events.add("x", actor="eve")

with tempfile.TemporaryDirectory() as mine:
    # Loads all that is needed: another user may not be able to read our Python.
    create_store(mine)
    write(mine)
os.setgid(65534)
os.setuid(65534)
for work in (write, lambda folder: create_store(folder + "/new")):
    try:
        work(sys.argv[1])
    except SeganyError as error:
        print(error)
"""


def test_another_users_store(others_store: Path) -> None:
    command = [sys.executable, "-c", AS_ANOTHER, str(others_store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith(f"cannot write to the store {others_store}: ")
    assert second.startswith(f"cannot make the folder {others_store}/new: Permission denied")
    with Store(others_store, steps={}) as store:
        assert not store.check().findings
