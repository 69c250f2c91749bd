"""SA-1B as it is released: tar files, plain or gzipped, of JSON records with their images.

Nothing is unpacked under a name that an archive gives. Members that no record needs to be (links, devices, names that
lead out of the archive, sizes beyond any record) are refused one by one.
"""

import gzip
import io
import os
import tarfile
import tempfile
import weakref
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from segany.formats import sa1b
from segany.formats._json import MAX_FILE_BYTES, parse_json
from segany.formats.category import Category, FormatName
from segany.formats.problems import FlawError, Problem, ProblemLog
from segany.schema import Record
from segany.sources import IMAGE_SUFFIXES

__all__ = ["SHARD_SUFFIXES", "Sa1bShards", "is_shard"]

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_MAX_IMAGE_BYTES = 2**30
_MAX_MEMBERS = 5_000_000
# Photos hardly shrink and records shrink to a fifth: what grows beyond this was made to grow.
_MAX_GROWTH = 20
_ALWAYS_ALLOWED_BYTES = 2**28
_COPY_BYTES = 2**20
_BLOCK = 512


@dataclass(frozen=True)
class _Shard:
    """Where the members of an archive lie: name -> (first byte, length) in the unpacked tar."""

    path: Path
    records: dict[str, tuple[int, int]] = field(default_factory=dict)
    images: dict[str, tuple[int, int]] = field(default_factory=dict)


def is_shard(path: Path) -> bool:
    """Whether a file is named like an archive."""
    return path.name.lower().endswith(SHARD_SUFFIXES)


class Sa1bShards:
    """Records in archives; a reader of `segany.formats.open_dataset`.

    Of each archive that was read, the members' places are kept. A gzipped one is unpacked into a temporary file, one at
    a time, which goes with the reader.
    """

    categories: tuple[Category, ...] = ()
    notes: tuple[str, ...] = ()
    format: FormatName = "sa1b_shards"

    def __init__(self, paths: Sequence[Path], log: ProblemLog) -> None:
        """Take the archives; they are looked into one by one.

        Args:
            paths: Archives, in the order to read them.
            log: Takes the problems.
        """
        self._paths, self._log = tuple(paths), log
        self._shards: dict[Path, _Shard] = {}
        self._unpacked: tuple[Path, Path] | None = None
        self._forget: weakref.finalize[[Path], Sa1bShards] | None = None
        self._last: Path | None = None

    def __len__(self) -> int:
        return sum(len(self._index(path).records) for path in self._paths)

    def records(self) -> Iterator[Record]:
        """The records, archive by archive, in each by name."""
        for path in self._paths:
            for name in sorted(self._index(path).records):
                record = None
                self._last = path
                where = f"{path}: {name}"
                with self._log.watch(str(path), name):
                    document = parse_json(self._read(path, *self._shards[path].records[name]), where, allow_nan=True)
                    record = sa1b.record_from_json(document, where, self._log)
                if record is not None:
                    yield record

    def image_file(self, record: Record) -> io.BytesIO | None:
        """The image's bytes."""
        name = PurePosixPath(record.image.file_name).name
        # The archive that the last record came from has its image.
        for path in dict.fromkeys([*([self._last] if self._last else []), *self._shards]):
            place = self._shards[path].images.get(name)
            if place is not None:
                return io.BytesIO(self._read(path, *place))
        return None

    def annotation_path(self, record: Record) -> Path | None:
        """The archive."""
        name = PurePosixPath(record.image.file_name).name
        return next((path for path, shard in self._shards.items() if name in shard.images), None)

    def _index(self, path: Path) -> _Shard:
        if path not in self._shards:
            shard = self._shards[path] = _Shard(path)
            with self._log.watch(str(path), kind="truncated"):
                try:
                    self._list(shard)
                except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
                    raise FlawError(
                        "truncated", f"{path}: the archive is damaged or ends too early: {error}; fetch it again."
                    ) from error
        return self._shards[path]

    def _list(self, shard: _Shard) -> None:
        plain = self._plain(shard.path)
        length = plain.stat().st_size
        end = 0
        with tarfile.open(plain, "r:") as archive:
            for count, member in enumerate(archive, start=1):
                if count > _MAX_MEMBERS:
                    raise FlawError("refused", f"{shard.path}: it has more than {_MAX_MEMBERS:,} members; split it.")
                end = member.offset_data + member.size
                if end > length:
                    break
                self._add(shard, member)
                # Kept by tarfile for those who ask it for a member; with millions of them, that is most of the memory.
                archive.members.clear()  # type: ignore[attr-defined]
        if end + _BLOCK > length:
            raise FlawError("truncated", f"{shard.path}: the archive ends too early, at byte {length}; fetch it again.")

    def _add(self, shard: _Shard, member: tarfile.TarInfo) -> None:
        if member.isdir():
            return
        if (reason := _refusal(member)) is not None:
            self._log.add(Problem("refused", str(shard.path), member.name[:200], reason))
            return
        name = PurePosixPath(member.name)
        place = (member.offset_data, member.size)
        if name.suffix.lower() == ".json":
            if str(name) in shard.records:
                self._log.add(Problem("duplicate_id", str(shard.path), str(name), "the member is there twice."))
            shard.records.setdefault(str(name), place)
        elif name.suffix.lower() in IMAGE_SUFFIXES:
            shard.images.setdefault(name.name, place)

    def _read(self, path: Path, start: int, length: int) -> bytes:
        try:
            with self._plain(path).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise FlawError("unreadable", f"{path}: it cannot be read: {error.strerror or error}.") from error

    def _plain(self, path: Path) -> Path:
        """The archive as a plain tar: itself, or a temporary file that it was unpacked into."""
        if not path.name.lower().endswith(("gz",)):
            return path
        if self._unpacked is None or self._unpacked[0] != path:
            if self._forget is not None:
                self._forget()
            handle, name = tempfile.mkstemp(prefix="segany-", suffix=".tar")
            os.close(handle)
            self._unpacked = (path, Path(name))
            self._forget = weakref.finalize(self, Path.unlink, Path(name), True)
            self._unpack(path, Path(name))
        return self._unpacked[1]

    def _unpack(self, path: Path, target: Path) -> None:
        limit = max(_ALWAYS_ALLOWED_BYTES, _MAX_GROWTH * path.stat().st_size)
        written = 0
        with gzip.open(path, "rb") as packed, target.open("wb") as plain, self._log.watch(str(path)):
            while True:
                try:
                    chunk = packed.read(_COPY_BYTES)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    # What was unpacked so far is read.
                    raise FlawError(
                        "truncated", f"{path}: the archive is damaged or ends too early: {error}."
                    ) from error
                if not chunk:
                    return
                written += len(chunk)
                if written > limit:
                    raise FlawError(
                        "refused", f"{path}: it grows to more than {_MAX_GROWTH} times its size; unpack it yourself."
                    )
                plain.write(chunk)


def _refusal(member: tarfile.TarInfo) -> str | None:
    """Why a member is not read; None when it may be."""
    windows = PureWindowsPath(member.name)
    if windows.is_absolute() or windows.drive or member.name.startswith(("/", "\\")):
        return "its name is an absolute path; it is not read."
    if ".." in windows.parts:
        return "its name leads out of the archive; it is not read."
    if member.issym() or member.islnk():
        return "it is a link; links are not followed."
    if not member.isreg() or member.issparse():
        return "it is a device or another special file; it is not read."
    limit = MAX_FILE_BYTES if member.name.lower().endswith(".json") else _MAX_IMAGE_BYTES
    if member.size > limit:
        return f"it has {member.size:,} bytes; it may have {limit:,}."
    return None
