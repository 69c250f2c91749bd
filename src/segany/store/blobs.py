"""Blobs: files named by the digest of their content, in a folder or behind an fsspec URL."""

import hashlib
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from segany.errors import OutputError, StoreError
from segany.files import write_bytes

__all__ = ["BlobInfo", "Blobs", "FolderBlobs", "RemoteBlobs", "blob_name", "open_blobs"]

_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oss", "oci"}


@dataclass(frozen=True)
class BlobInfo:
    """A file among the blobs.

    Attributes:
        name: Its name.
        size: Bytes.
        modified_at: Seconds since 1970.
        is_leftover: Something half-written that a crash left behind; never anyone's content.
    """

    name: str
    size: int
    modified_at: float
    is_leftover: bool


class Blobs(Protocol):
    """Where the stored files of images lie."""

    def has(self, name: str) -> bool:
        """Whether it is there."""
        ...

    def read(self, name: str) -> bytes:
        """All of it. Raises StoreError when it is not there."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write it whole or not at all. Raises OutputError."""
        ...

    def delete(self, name: str) -> None:
        """Delete it, if it is there."""
        ...

    def as_file(self, name: str) -> AbstractContextManager[Path]:
        """A file on this machine with its content, not to be written to. Raises StoreError as `read`."""
        ...

    def infos(self) -> Iterator[BlobInfo]:
        """All files, leftovers too."""
        ...


def blob_name(content: bytes, suffix: str) -> str:
    """The name of a content: its sha256, in a folder of the digest's first two characters.

    Args:
        content: The file.
        suffix: With the dot: ".jpg".
    """
    digest = hashlib.sha256(content).hexdigest()
    return f"{digest[:2]}/{digest}{suffix}"


def open_blobs(place: str, folder: Path | None) -> Blobs:
    """Blobs at a place.

    Args:
        place: A folder, absolute or relative to the store's, or an fsspec URL such as s3://bucket/images.
        folder: The store's folder, if it has one.

    Raises:
        StoreError: The URL's scheme needs a package that is not there, or is unknown.
    """
    if "://" in place:
        return RemoteBlobs(place)
    return FolderBlobs((folder or Path()) / place)


class FolderBlobs:
    """Blobs in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made with the first file."""
        self.folder = folder

    def has(self, name: str) -> bool:
        """See `Blobs`."""
        return (self.folder / name).is_file()

    def read(self, name: str) -> bytes:
        """See `Blobs`."""
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise StoreError(
                f"cannot read {self.folder / name}: {error.strerror}; restore it from a backup."
            ) from error

    def write(self, name: str, content: bytes) -> None:
        """See `Blobs`."""
        write_bytes(self.folder / name, content)

    def delete(self, name: str) -> None:
        """See `Blobs`."""
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot delete {self.folder / name}: {error.strerror}; check who owns it.") from error

    @contextmanager
    def as_file(self, name: str) -> Iterator[Path]:
        """See `Blobs`."""
        if not self.has(name):
            self.read(name)
        yield self.folder / name

    def infos(self) -> Iterator[BlobInfo]:
        """See `Blobs`."""
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):
                found = path.stat()
                name = path.relative_to(self.folder).as_posix()
                yield BlobInfo(name, found.st_size, found.st_mtime, path.name.startswith("."))


class RemoteBlobs:
    """Blobs behind an fsspec URL."""

    def __init__(self, url: str) -> None:
        """Connect.

        Args:
            url: Such as s3://bucket/images.

        Raises:
            StoreError: The URL's scheme needs a package that is not there, or is unknown.
        """
        import fsspec

        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StoreError(f"cannot use {url} for images: {error}") from error
        # Object stores show a file when all of it has arrived; a file system shows it as it grows.
        self._grows = not _OBJECT_STORES & {*_protocols(self._files.protocol)}

    def has(self, name: str) -> bool:
        """See `Blobs`."""
        return bool(self._files.isfile(self._path(name)))

    def read(self, name: str) -> bytes:
        """See `Blobs`."""
        try:
            content: bytes = self._files.cat_file(self._path(name))
        except OSError as error:
            raise StoreError(f"cannot read {self._path(name)}: {error}; restore it from a backup.") from error
        return content

    def write(self, name: str, content: bytes) -> None:
        """See `Blobs`."""
        path = self._path(name)
        folder, _, file = path.rpartition("/")
        temporary = f"{folder}/.{uuid.uuid4().hex}-{file}" if self._grows else path
        try:
            self._files.makedirs(folder, exist_ok=True)
            self._files.pipe_file(temporary, content)
            if temporary != path:
                self._files.mv(temporary, path)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error}. Nothing was left half-written; try again.") from error

    def delete(self, name: str) -> None:
        """See `Blobs`."""
        with suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    @contextmanager
    def as_file(self, name: str) -> Iterator[Path]:
        """See `Blobs`."""
        with tempfile.TemporaryDirectory(prefix="segany-blob-") as folder:
            path = Path(folder) / PurePosixPath(name).name
            path.write_bytes(self.read(name))
            yield path

    def infos(self) -> Iterator[BlobInfo]:
        """See `Blobs`."""
        with suppress(FileNotFoundError):
            for path, info in self._files.find(self._root, detail=True).items():
                name = path.removeprefix(self._root).lstrip("/")
                yield BlobInfo(name, int(info["size"]), _modified(info), PurePosixPath(name).name.startswith("."))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _protocols(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _modified(info: dict[str, Any]) -> float:
    """Seconds since 1970; now, where the file system does not say, so that nothing is taken for old."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(key)
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, datetime):
            return float(value.timestamp())
    return time.time()
