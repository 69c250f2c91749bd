"""Blobs behave alike in a folder and behind a URL."""

import os
from pathlib import Path

import fsspec
import pytest

from segany.errors import OutputError, StoreError
from segany.store.blobs import Blobs, FolderBlobs, RemoteBlobs, blob_name, open_blobs


@pytest.fixture(params=["folder", "memory", "file"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
        return open_blobs("memory://bucket/images", None)
    if request.param == "file":
        return open_blobs((tmp_path / "url").as_uri(), None)
    return open_blobs("images", tmp_path)


def test_write_read_delete(blobs: Blobs) -> None:
    name = blob_name(b"content", ".jpg")
    assert name == "ed/ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73.jpg"
    assert not blobs.has(name)
    assert list(blobs.infos()) == []
    blobs.write(name, b"content")
    blobs.write(name, b"content")
    assert blobs.has(name)
    assert blobs.read(name) == b"content"
    with blobs.as_file(name) as path:
        assert path.read_bytes() == b"content"
        assert path.suffix == ".jpg"
    (info,) = blobs.infos()
    assert (info.name, info.size, info.is_leftover) == (name, 7, False)
    assert info.modified_at > 1_700_000_000
    blobs.delete(name)
    blobs.delete(name)
    assert not blobs.has(name)
    with pytest.raises(StoreError, match=r"cannot read .*; restore it from a backup"):
        blobs.read(name)
    with pytest.raises(StoreError, match="cannot read"), blobs.as_file(name):
        pass


def test_leftovers_are_told(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / ".abcd-x1y2.png").write_bytes(b"half")
    (info,) = blobs.infos()
    assert info.is_leftover


def test_a_remote_write_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = RemoteBlobs("memory://broken/images")
    monkeypatch.setattr(blobs._files, "mv", lambda *_: (_ for _ in ()).throw(OSError("no connection")))
    with pytest.raises(OutputError, match=r"no connection\. Nothing was left half-written"):
        blobs.write("ab/abcd.png", b"content")
    assert not blobs.has("ab/abcd.png")


def test_urls_that_nothing_reads() -> None:
    with pytest.raises(StoreError, match="cannot use nothing://x for images"):
        open_blobs("nothing://x", None)


@pytest.mark.skipif(os.name != "posix", reason="a file in the place of a folder is told differently elsewhere")
def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        open_blobs("images", tmp_path).write("ab/abcd.png", b"x")
