"""gc deletes what nothing needs, and nothing else."""

import os
from pathlib import Path
from typing import Any

import pytest

from segany.errors import ConfigError
from segany.store import Store


def edited(store: Store, samples: Any, times: int) -> int:
    (record_id,) = store.add_records(samples.incoming(1), actor="ann").record_ids
    for number in range(times):
        stored = store.records.get(record_id)
        store.records.save(record_id, put=[samples.annotation(1, 50 + number)], expected=stored.revision, actor="bob")
    return record_id


def test_past_states_that_no_version_has(store: Store, samples: Any) -> None:
    record_id = edited(store, samples, 2)
    store.versions.freeze("v1", actor="ann")
    edited_now = store.records.get(record_id)
    for number in range(3):
        edited_now = store.records.save(
            record_id, put=[samples.annotation(1, 90 + number)], expected=edited_now.revision, actor="bob"
        )
    dry = store.gc(actor="ann", keep_days=0, dry_run=True)
    # Of six states of one mask the frozen and the present one stay.
    assert (dry.states, dry.masks, dry.records) == (4, 4, 0)
    assert len(store.records.history(record_id, 1)) == 6
    assert store.gc(actor="ann", keep_days=0) == dry
    assert len(store.records.history(record_id, 1)) == 2
    store.versions.verify("v1")
    assert not store.check().findings
    assert store.gc(actor="ann", keep_days=0).states == 0
    assert [event.kind for event in store.events.list(kind="store.gc")] == ["store.gc"] * 2


def test_young_history_stays_for_undo(store: Store, samples: Any) -> None:
    edited(store, samples, 3)
    assert store.gc(actor="ann").states == 0


def test_removed_records_and_their_files(store: Store, samples: Any, tmp_path: Path) -> None:
    photo = samples.photo(tmp_path / "a.png", 1)
    (one,) = store.add(photo, actor="ann").record_ids
    store.versions.freeze("v1", actor="ann")
    store.records.remove(one, expected=store.records.get(one).revision, actor="ann")
    kept = store.gc(actor="ann", keep_days=0, min_file_age_seconds=0)
    assert (kept.records, kept.files) == (0, 0)
    (two,) = store.add(samples.photo(tmp_path / "b.png", 2), actor="ann").record_ids
    store.records.remove(two, expected=store.records.get(two).revision, actor="ann")
    gone = store.gc(actor="ann", keep_days=0, min_file_age_seconds=0)
    assert (gone.records, gone.files) == (1, 1)
    assert gone.file_bytes > 0
    assert not store.check().findings
    # What is gone may come again.
    assert store.add(tmp_path / "b.png", actor="ann").records == 1
    assert "was removed" in store.add(photo, actor="ann").problems[0][1]


def test_a_review_shares_its_mask(store: Store, samples: Any) -> None:
    (record_id,) = store.add_records(samples.incoming(1), actor="ann").record_ids
    store.records.review(record_id, {1: "accept"}, expected=store.records.get(record_id).revision, actor="rev")
    report = store.gc(actor="ann", keep_days=0)
    assert (report.states, report.masks) == (1, 0)
    assert not store.check().findings


def test_unused_files_by_age(store: Store, samples: Any, tmp_path: Path) -> None:
    store.add(samples.photo(tmp_path / "a.png", 1), actor="ann")
    (blob,) = (path for path in tmp_path.rglob("*/*.png") if len(path.parent.name) == 2)
    for name in ("old.png", ".half.png", "young.png"):
        (blob.parent / name).write_bytes(b"x")
        if name != "young.png":
            os.utime(blob.parent / name, (0, 0))
    os.utime(blob, (0, 0))
    assert store.gc(actor="ann").files == 2
    assert blob.exists()
    assert (blob.parent / "young.png").exists()


def test_negative_times(embedded: Store) -> None:
    with pytest.raises(ConfigError, match="must not be negative"):
        embedded.gc(actor="ann", keep_days=-1)
    with pytest.raises(ConfigError, match="must not be negative"):
        embedded.gc(actor="ann", min_file_age_seconds=-1)
