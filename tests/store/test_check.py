"""check finds what is wrong, and only that."""

from pathlib import Path
from typing import Any

import pytest

from segany.store import Store


@pytest.fixture
def filled(store: Store, samples: Any, tmp_path: Path) -> Store:
    """Two photos, records with masks, an edit, a version."""
    for seed in range(2):
        samples.photo(tmp_path / "in" / f"{seed}.png", seed)
    store.add(tmp_path / "in", actor="ann")
    store.add_records(samples.incoming(2), actor="ann")
    store.versions.freeze("v1", actor="ann")
    stored = store.records.get(3)
    store.records.save(3, put=[samples.annotation(1, 77)], expected=stored.revision, actor="bob")
    return store


def blobs_of(tmp_path: Path) -> list[Path]:
    return sorted(path for path in tmp_path.rglob("*/*.png") if len(path.parent.name) == 2 and path.parent.name != "in")


def test_a_sound_store(filled: Store) -> None:
    calls: list[int] = []
    report = filled.check(progress=lambda so_far: calls.append(so_far.versions))
    assert (report.files, report.masks, report.versions, report.findings, report.unused_files) == (2, 5, 1, [], 0)
    assert calls


def test_a_file_that_was_changed_cut_or_lost(filled: Store, tmp_path: Path) -> None:
    changed, lost = blobs_of(tmp_path)
    changed.write_bytes(changed.read_bytes()[:-20])
    lost.unlink()
    findings = filled.check().findings
    assert [finding.kind for finding in findings] == ["file", "file"]
    whats = sorted(finding.what.partition(": ")[2] for finding in findings)
    assert whats[0].startswith("cannot read")
    assert whats[1] == "its bytes are not those that were written; restore it from a backup"


def test_a_mask_that_was_changed(filled: Store) -> None:
    with filled._database.begin() as connection:
        value = "x'3131'" if filled._database.is_sqlite else r"'\x3131'"
        connection.exec_driver_sql(f"UPDATE masks SET counts = {value} WHERE id = 2")
    (finding,) = filled.check().findings
    assert (finding.kind, finding.place) == ("mask", "record 3")
    assert "run lengths must sum to the 768 pixels" in finding.what


def test_a_field_that_was_changed(filled: Store) -> None:
    with filled._database.begin() as connection:
        connection.exec_driver_sql("UPDATE annotations SET category = 'other' WHERE id = 3")
    (finding,) = filled.check().findings
    assert finding.what == "annotation 1 is not what was written; restore it from a backup"


def test_doubles(filled: Store) -> None:
    with filled._database.begin() as connection:
        connection.exec_driver_sql("UPDATE annotations SET until = NULL WHERE until IS NOT NULL")
        connection.exec_driver_sql(
            "UPDATE images SET origin_key = (SELECT origin_key FROM images WHERE id = 3) WHERE id = 4"
        )
        connection.exec_driver_sql(
            "UPDATE images SET file_name = (SELECT file_name FROM images WHERE id = 3) WHERE id = 4"
        )
    whats = {finding.what for finding in filled.check().findings if finding.kind == "double"}
    assert len(whats) == 2
    assert "there are 2 records of it" in whats
    assert any("is there twice at revision" in what for what in whats)


def test_counters_that_fell_behind(filled: Store) -> None:
    with filled._database.begin() as connection:
        connection.exec_driver_sql("UPDATE counters SET mask = 0, revision = 0")
    places = {finding.place for finding in filled.check().findings}
    assert {"counter mask", "counter revision"} <= places


def test_what_an_interrupted_add_left_is_no_fault(filled: Store, tmp_path: Path) -> None:
    folder = blobs_of(tmp_path)[0].parent
    (folder / ".half-written.png").write_bytes(b"x")
    (folder / "whole-but-unused.png").write_bytes(b"x")
    report = filled.check()
    assert (report.findings, report.unused_files) == ([], 2)
