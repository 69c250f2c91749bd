"""A checked-out version is whole, and can be read by whoever reads SA-1B."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from segany.errors import ConfigError, NotInStoreError
from segany.formats import open_dataset, sa1b
from segany.store import Store
from segany.store.checkout import write_checkout


@pytest.fixture
def filled(store: Store, samples: Any, tmp_path: Path) -> Store:
    from segany.store import Incoming

    incoming = [Incoming(samples.record(n), samples.photo(tmp_path / "in" / f"photo-{n}.png", n)) for n in (1, 2, 3)]
    ids = store.add_records([*incoming, Incoming(samples.record(4))], actor="ann").record_ids
    store.splits.set({ids[0]: "test"}, actor="ann")
    store.versions.freeze("v1", actor="ann")
    return store


def test_files_and_manifest(filled: Store, samples: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    calls: list[tuple[int, int]] = []
    manifest = json.loads(
        write_checkout(filled, "v1", out, progress=lambda done, of: calls.append((done, of))).read_text(
            encoding="utf-8"
        )
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (manifest["version"], manifest["digest"]) == ("v1", filled.versions.get("v1").digest)
    assert [entry["split"] for entry in manifest["records"]] == ["test", None, None, None]
    for entry in manifest["records"]:
        for name in ("image", "annotations"):
            if name in entry:
                assert hashlib.sha256((out / entry[name]).read_bytes()).hexdigest() == entry[f"{name}_sha256"]
    record = sa1b.read_record(out / "photo-2.json")
    assert [each.segmentation for each in record.annotations] == [
        each.segmentation for each in samples.record(2).annotations
    ]
    assert len(list(open_dataset(out).records())) == 3


def test_again_and_after_an_interruption(filled: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = {path.name: path.read_bytes() for path in write_checkout(filled, "v1", out).parent.iterdir()}
    write_checkout(filled, "v1", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    (out / "manifest.json").unlink()
    (out / ".checkout").write_text(filled.versions.get("v1").digest, encoding="utf-8")
    (out / "photo-1.png").unlink()
    write_checkout(filled, "v1", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_foreign_folders_are_left_alone(filled: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds something else; give an empty or a new one"):
        write_checkout(filled, "v1", tmp_path / "in")
    with pytest.raises(NotInStoreError, match="no version 'v9'"):
        write_checkout(filled, "v9", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_two_photos_of_one_name(store: Store, samples: Any, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        samples.photo(tmp_path / "in" / folder / "photo.png", ord(folder))
    store.add(tmp_path / "in", actor="ann")
    store.versions.freeze("v1", actor="ann")
    out = write_checkout(store, "v1", tmp_path / "out").parent
    assert sorted(path.name for path in out.glob("*.png")) == ["photo-2.png", "photo.png"]
