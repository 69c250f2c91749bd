"""Getting a file from its sources: one process at a time, checked, all or nothing."""

import hashlib
import io
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, cast

import requests
from filelock import FileLock

from segany.errors import DigestError, OutputError, WeightsNotFoundError
from segany.files import atomic_write
from segany.settings import Settings
from segany.weights import _index
from segany.weights._archive import member_chunks
from segany.weights._cache import cached, instruction, place, trust
from segany.weights._http import RangeFile, SourceError, chunks, new_session
from segany.weights._progress import Progress
from segany.weights._registry import Entry, PackageSource, Source, UrlSource

__all__ = ["fetch"]

_Report = Callable[[int, int], None]

MAX_ARCHIVE_BYTES = 4 << 30
MIN_BLOCK_BYTES = 1 << 17
MAX_BLOCK_BYTES = 1 << 23


class _WrongFileError(SourceError):
    """A source gave a file with another digest."""


def fetch(entry: Entry, settings: Settings, progress: Progress | None = None) -> Path:
    """Bring an entry's file into the cache from the first of its sources that gives it.

    Args:
        entry: What to get.
        settings: Where the cache is.
        progress: Told how far it is.

    Returns:
        The path in the cache.

    Raises:
        WeightsNotFoundError: No source gave the file.
        DigestError: No source gave the right file, and one gave a wrong one; nothing of it is kept.
        OutputError: The cache cannot be written.
    """
    target = place(entry, settings)

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(entry.name, done, total)

    with _alone(target):
        # Another process may have brought it while this one waited.
        if (path := cached(entry, settings)) is not None:
            return path
        failures: list[tuple[Source, SourceError]] = []
        for source in entry.sources:
            try:
                _store(entry, source, target, report)
            except SourceError as error:
                failures.append((source, error))
            else:
                trust(entry, target)
                return target
    raise _no_source(entry, settings, failures)


def _no_source(
    entry: Entry, settings: Settings, failures: list[tuple[Source, SourceError]]
) -> WeightsNotFoundError | DigestError:
    reasons = "; ".join(f"{source.label}: {error}" for source, error in failures) or "no source is known"
    kind = DigestError if any(isinstance(error, _WrongFileError) for _, error in failures) else WeightsNotFoundError
    return kind(f"{entry.name} could not be fetched ({reasons}). {instruction(entry, settings)}")


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the file's lock, so that two processes fetch it once."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_name(f".{target.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise OutputError(
            f"cannot write to {target.parent}: {error.strerror}. Set SEGANY_HOME to a folder that can be written."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    """Give a folder for the archive beside the target: the system's own may be small or in memory."""
    folder = target.with_name(f".{target.name}.partial")
    # A process that was killed leaves its folder; the lock says that nobody else uses it.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _store(entry: Entry, source: Source, target: Path, report: _Report) -> None:
    """Write the file of a source to `target` if it is the pinned one.

    Raises:
        SourceError: The source did not give the file, or gave another.
        OutputError: The file cannot be written.
    """
    with _workspace(target) as folder:
        if isinstance(source, PackageSource):
            content = _package_chunks(entry, source, folder, report)
        else:
            content = _url_chunks(entry, source, report)
        _write(content, target, entry.sha256)


def _url_chunks(entry: Entry, source: UrlSource, report: _Report) -> Generator[bytes]:
    with new_session() as session:
        yield from _counted(chunks(session, source.url, size=entry.size, limit=entry.size), entry.size, report)


def _package_chunks(entry: Entry, source: PackageSource, folder: Path, report: _Report) -> Generator[bytes]:
    is_zip = not source.file.endswith(".tar.gz")
    with new_session() as session:
        remote = _index.find_package(session, _index.read_pip_configuration(), source)
        parts = _parts(session, remote, entry.size) if is_zip else None
        if parts is not None:
            yield from _counted(member_chunks(parts, source.member, entry.size, is_zip=True), entry.size, report)
            return
        whole = folder / source.file
        content = chunks(session, remote.url, size=remote.size, limit=MAX_ARCHIVE_BYTES)
        _write(_counted(content, remote.size or 0, report), whole, source.sha256)
    with whole.open("rb") as archive:
        yield from member_chunks(archive, source.member, entry.size, is_zip=is_zip)


def _parts(session: requests.Session, remote: _index.Remote, wanted_bytes: int) -> IO[bytes] | None:
    """Open a remote archive for reading in parts, or None where downloading it whole is the better or the only way."""
    if remote.size is None or wanted_bytes > remote.size // 2:
        return None
    block_bytes = min(max(wanted_bytes // 4, MIN_BLOCK_BYTES), MAX_BLOCK_BYTES)
    parts = RangeFile(session, remote.url, remote.size, block_bytes=block_bytes)
    try:
        # A zip is read from its end; a server that gives no parts says so here.
        parts.seek(-1, io.SEEK_END)
        parts.read(1)
    except SourceError:
        return None
    return cast(IO[bytes], parts)


def _counted(content: Generator[bytes], total: int, report: _Report) -> Generator[bytes]:
    done = 0
    with closing(content):
        for chunk in content:
            done += len(chunk)
            report(done, total)
            yield chunk


def _write(content: Generator[bytes], path: Path, sha256: str) -> None:
    """Write a file whose digest is known; nothing is left of a wrong one."""
    state = hashlib.sha256()
    # Closing the generator ends its connection at once, also when the disk is full or the user stops.
    with closing(content), atomic_write(path) as file:
        for chunk in content:
            state.update(chunk)
            file.write(chunk)
        if state.hexdigest() != sha256:
            raise _WrongFileError(f"it gave a file with sha256 {state.hexdigest()} instead of {sha256}")
