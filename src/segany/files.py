"""Atomic writes: a file, or a folder, is either wholly there or not there at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from segany.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from filelock import FileLock

__all__ = ["atomic_path", "atomic_write", "check_folder", "new_folder", "write_bytes", "write_text"]

_LOCK = ".lock"
# Another process that has just ended is still tidying up.
_PATIENCE_SECONDS = 0.5
_ATTEMPTS = 10


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


def check_folder(target: Path, replaces: Callable[[Path], bool] | None = None) -> None:
    """Refuse a place where `new_folder` cannot put a folder.

    Args:
        target: The place.
        replaces: As in `new_folder`.

    Raises:
        ConfigError: There is a file, a link, or a folder that holds something and may not be replaced.
    """
    if target.is_symlink():
        raise ConfigError(f"{target} is a link; give the folder itself.")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if replaces is None or not target.is_dir() or not replaces(target):
        raise ConfigError(f"{target} is there already and not empty; give a new folder.")


@contextmanager
def new_folder(
    target: Path,
    *,
    replaces: Callable[[Path], bool] | None = None,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> Iterator[Path]:
    """Give a folder hidden beside the target, which becomes the target when the block succeeds.

    When the block raises, the hidden folder is deleted. When the process is killed it stays, and the next call for the
    same target deletes it and begins anew.

    Args:
        target: Must not be there, be an empty folder, or one that may be replaced.
        replaces: Whether a folder that holds something may be replaced; none may when left out.
        patience_seconds: How long to wait for another process that writes the same folder.

    Yields:
        The hidden folder, empty.

    Raises:
        ConfigError: As `check_folder`; or another process is writing the same folder.
        OutputError: It cannot be written.
    """
    from filelock import FileLock, Timeout

    check_folder(target, replaces)
    # The lock lies beside what becomes the target: it is held until the name is given, and Windows moves no folder
    # in which a file is open.
    around = target.absolute().with_name(f".{target.absolute().name}.partial")
    lock = FileLock(around / _LOCK, timeout=patience_seconds)
    try:
        _acquire(lock, around)
    except Timeout as error:
        raise ConfigError(f"another process is writing {target}; wait for it, or give another folder.") from error
    except OSError as error:
        raise _output_error(target, error) from error
    try:
        _put_back(around, target)
        _clear(around)
        check_folder(target, replaces)
        hidden = around / "new"
        hidden.mkdir()
        yield hidden
        # Everything must be on the disk before the name is: one flush for all files costs less than one for each.
        if hasattr(os, "sync"):
            os.sync()
        check_folder(target, replaces)
        if target.exists():
            target.rename(around / "old")
        hidden.rename(target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise _output_error(target, error) from error
    finally:
        _put_back(around, target)
        _leave(lock, around)


def _acquire(lock: "FileLock", around: Path) -> None:
    """Lock the folder around, made if need be; whoever held it before may delete it in the meantime."""
    from filelock import Timeout

    if around.is_symlink():
        around.unlink()
    for attempt in range(_ATTEMPTS):
        try:
            around.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        if (around / _LOCK).exists():
            return
        lock.release()
    raise Timeout(str(around / _LOCK))


def _put_back(around: Path, target: Path) -> None:
    """What was to be replaced, and was not: the new folder could not take its name, or the process was killed."""
    with suppress(OSError):
        if not target.exists() and (around / "old").is_dir():
            (around / "old").rename(target)


def _clear(around: Path) -> None:
    for old in around.iterdir():
        if old.name != _LOCK:
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()


def _leave(lock: "FileLock", around: Path) -> None:
    """Delete the folder around. Its lock goes last and while it is held, where the system lets an open file go."""
    with suppress(OSError):
        _clear(around)
    if os.name == "nt":
        lock.release()
    with suppress(OSError):
        (around / _LOCK).unlink()
    lock.release()
    with suppress(OSError):
        around.rmdir()


def _output_error(target: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(
        f"cannot write {target}: {reason}. Nothing was left half-written; "
        "free some space or choose another output folder, then run it again."
    )
