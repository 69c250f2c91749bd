"""Taking one file out of a wheel or a source archive; nothing else is unpacked and no code is run.

Only the content of the member is handed on, never its name, so a name such as `../../x` has no meaning here. A member
must be a regular file of exactly the length that the registry pins: links, devices and decompression bombs are refused
before their content is read.
"""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import IO, cast

from segany.weights._http import SourceError

__all__ = ["member_chunks"]

CHUNK_BYTES = 1 << 18
# A source archive is read from its start, so what lies before the member is unpacked (and dropped) too.
MAX_SKIPPED_BYTES = 2 << 30


def member_chunks(archive: IO[bytes], member: str, size: int, *, is_zip: bool) -> Generator[bytes]:
    """Read one member of an archive.

    Args:
        archive: The open archive; a zip must be seekable.
        member: The exact name inside it.
        size: The unpacked length that it must have, in bytes.
        is_zip: A zip (a wheel is one), else a gzipped tar.

    Yields:
        The member's bytes, in pieces, never more than `size` in all.

    Raises:
        SourceError: There is no such regular file of that length, or the archive is damaged.
    """
    opened = _open_zip(archive, member, size) if is_zip else _open_tar(archive, member, size)
    with _archive_errors(), opened as file:
        left = size
        # One byte more than pinned is asked for: a header may understate what follows.
        while chunk := file.read(min(CHUNK_BYTES, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise SourceError(f"{member} unpacks to more than the {size:,} bytes expected")
            yield chunk
        if left:
            raise SourceError(f"{member} is cut short in the archive")


@contextmanager
def _archive_errors() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError):
        raise SourceError("the archive is damaged") from None


@contextmanager
def _open_zip(archive: IO[bytes], member: str, size: int) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(archive) as bundle:
        try:
            info = bundle.getinfo(member)
        except KeyError:
            raise SourceError(f"the archive has no {member}") from None
        mode = info.external_attr >> 16
        if info.is_dir() or info.flag_bits & 0x1 or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
            raise SourceError(f"{member} is no regular file in the archive")
        _check_size(member, info.file_size, size)
        with bundle.open(info) as file:
            yield file


@contextmanager
def _open_tar(archive: IO[bytes], member: str, size: int) -> Iterator[IO[bytes]]:
    with (
        gzip.GzipFile(fileobj=archive) as plain,
        tarfile.open(fileobj=cast(IO[bytes], _Limited(plain, size)), mode="r|") as bundle,
    ):
        for info in bundle:
            if info.name != member:
                continue
            if not info.isreg():
                raise SourceError(f"{member} is no regular file in the archive")
            _check_size(member, info.size, size)
            file = bundle.extractfile(info)
            if file is None:
                raise SourceError(f"{member} is no regular file in the archive")
            with file:
                yield file
            return
        raise SourceError(f"the archive has no {member}")


def _check_size(member: str, came: int, wanted: int) -> None:
    if came != wanted:
        raise SourceError(f"{member} is {came:,} bytes in the archive, {wanted:,} were expected")


class _Limited(io.RawIOBase):
    """A stream that refuses to give more than a fixed amount."""

    def __init__(self, stream: gzip.GzipFile, size: int) -> None:
        super().__init__()
        self._stream = stream
        self._left = size + MAX_SKIPPED_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise SourceError("the archive unpacks to far more than it should")
        return data
