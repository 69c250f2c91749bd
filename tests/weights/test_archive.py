"""Archives made to do harm, and damaged ones."""

import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from segany.weights import _archive
from segany.weights._archive import member_chunks
from segany.weights._http import SourceError

CONTENT = bytes(range(256)) * 2_000
MEMBER = "pkg/model.pt"


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in members:
            bundle.writestr(name, data, zipfile.ZIP_DEFLATED)
    return buffer


def tarred(*members: tuple[str, bytes | tarfile.TarInfo]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as bundle:
        for name, data in members:
            if isinstance(data, bytes):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                bundle.addfile(info, io.BytesIO(data))
            else:
                bundle.addfile(data)
    buffer.seek(0)
    return buffer


def taken(archive: io.BytesIO, *, is_zip: bool, size: int = len(CONTENT)) -> bytes:
    return b"".join(member_chunks(archive, MEMBER, size, is_zip=is_zip))


def link(kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(MEMBER)
    info.type, info.linkname = kind, target
    return info


class TestZip:
    def test_takes_the_member(self) -> None:
        assert taken(zipped(("pkg/a.py", b"1/0"), (MEMBER, CONTENT)), is_zip=True) == CONTENT

    def test_other_names_are_never_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        inside = tmp_path / "a" / "b"
        inside.mkdir(parents=True)
        monkeypatch.chdir(inside)
        assert taken(zipped(("../../evil.py", b"1/0"), ("/evil.py", b"1/0"), (MEMBER, CONTENT)), is_zip=True) == CONTENT
        assert list(tmp_path.rglob("*.py")) == []

    def test_missing(self) -> None:
        with pytest.raises(SourceError, match=r"^the archive has no pkg/model\.pt$"):
            taken(zipped(("other.pt", CONTENT)), is_zip=True)

    def test_symbolic_link(self) -> None:
        info = zipfile.ZipInfo(MEMBER)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        with pytest.raises(SourceError, match=r"^pkg/model\.pt is no regular file in the archive$"):
            taken(zipped((info, b"/etc/passwd")), is_zip=True, size=11)

    def test_bomb_that_says_so(self) -> None:
        bomb = zipped((MEMBER, bytes(50_000_000)))
        assert bomb.getbuffer().nbytes < 100_000
        with pytest.raises(SourceError, match=r"is 50,000,000 bytes in the archive, 512,000 were expected$"):
            taken(bomb, is_zip=True)

    def test_bomb_that_lies(self) -> None:
        bomb = zipped((MEMBER, bytes(50_000_000)))
        lying = bomb.getvalue().replace(struct.pack("<L", 50_000_000), struct.pack("<L", len(CONTENT)))
        with pytest.raises(SourceError, match=r"^the archive is damaged$"):
            taken(io.BytesIO(lying), is_zip=True)

    @pytest.mark.parametrize("keep", [0, 100, 1_000])
    def test_cut_short(self, keep: int) -> None:
        with pytest.raises(SourceError, match=r"^the archive is damaged$"):
            taken(io.BytesIO(zipped((MEMBER, CONTENT)).getvalue()[:keep]), is_zip=True)

    def test_flipped_byte(self) -> None:
        data = bytearray(zipped((MEMBER, CONTENT)).getvalue())
        data[200] ^= 0xFF
        with pytest.raises(SourceError, match=r"^the archive is damaged$"):
            taken(io.BytesIO(data), is_zip=True)


class TestTar:
    def test_takes_the_member(self) -> None:
        assert taken(tarred(("pkg/setup.py", b"1/0"), (MEMBER, CONTENT)), is_zip=False) == CONTENT

    def test_other_names_are_never_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        inside = tmp_path / "a" / "b"
        inside.mkdir(parents=True)
        monkeypatch.chdir(inside)
        archive = tarred(("../../evil.py", b"1/0"), ("/evil.py", b"1/0"), (MEMBER, CONTENT))
        assert taken(archive, is_zip=False) == CONTENT
        assert list(tmp_path.rglob("*.py")) == []

    def test_missing(self) -> None:
        with pytest.raises(SourceError, match=r"^the archive has no pkg/model\.pt$"):
            taken(tarred(("other.pt", CONTENT)), is_zip=False)

    @pytest.mark.parametrize(
        "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
    )
    def test_no_regular_file(self, kind: bytes) -> None:
        archive = tarred(("secret", CONTENT), (MEMBER, link(kind, "secret")))
        with pytest.raises(SourceError, match=r"^pkg/model\.pt is no regular file in the archive$"):
            taken(archive, is_zip=False)

    def test_bomb_in_the_member(self) -> None:
        with pytest.raises(SourceError, match=r"is 50,000,000 bytes in the archive, 512,000 were expected$"):
            taken(tarred((MEMBER, bytes(50_000_000))), is_zip=False)

    def test_bomb_before_the_member(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_archive, "MAX_SKIPPED_BYTES", 1_000_000)
        with pytest.raises(SourceError, match=r"^the archive unpacks to far more than it should$"):
            taken(tarred(("pkg/bomb", bytes(5_000_000)), (MEMBER, CONTENT)), is_zip=False)

    @pytest.mark.parametrize("keep", [0, 15, 100, 1_000])
    def test_cut_short(self, keep: int) -> None:
        with pytest.raises(SourceError, match=r"^(the archive is damaged|pkg/model\.pt is cut short in the archive)$"):
            taken(io.BytesIO(tarred((MEMBER, CONTENT)).getvalue()[:keep]), is_zip=False)

    def test_no_gzip(self) -> None:
        with pytest.raises(SourceError, match=r"^the archive is damaged$"):
            taken(io.BytesIO(b"<html>sign in first</html>"), is_zip=False)
