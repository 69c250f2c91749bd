"""Atomic writes: a file is either wholly there or not there at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from segany.errors import OutputError

__all__ = ["atomic_path", "atomic_write", "write_bytes", "write_text"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# Read once: reading it means setting it, which other threads would notice.
_UMASK = _umask()


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it to `path` when the block succeeds.

    The folder is made if it is missing. The data is flushed to the disk before the rename. When the
    block raises (Ctrl-C included), the temporary file is removed and `path` stays as it was.

    Args:
        path: The file to write.

    Yields:
        The temporary path, with the same suffix as `path`, to write to.

    Raises:
        OutputError: The file cannot be written (no space, no permission, a folder in its place).
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
        os.close(handle)
    except OSError as error:
        raise _output_error(target, error) from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a result gets what the umask gives to any new file.
        temporary.chmod(0o666 & ~_UMASK)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OutputError:
        raise
    except OSError as error:
        raise _output_error(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a binary file that appears as `path` only when the block succeeds.

    Args:
        path: The file to write.

    Yields:
        The open file.

    Raises:
        OutputError: As `atomic_path`.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        yield file


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` atomically. Raises OutputError as `atomic_path`."""
    with atomic_write(path) as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8 atomically. Raises OutputError as `atomic_path`."""
    write_bytes(path, text.encode("utf-8"))


def _output_error(target: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(
        f"cannot write {target}: {reason}. Nothing was left half-written; "
        "free some space or choose another output folder, then run it again."
    )
