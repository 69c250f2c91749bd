"""A folder that appears when it is whole, and images on their way into it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal, get_args

from filelock import FileLock, Timeout

from segany.errors import ConfigError, OutputError

__all__ = ["IMAGE_MODES", "ImageFile", "ImageMode", "check_target", "new_folder", "place_image"]

ImageFile = Path | IO[bytes] | None
ImageMode = Literal["copy", "link", "reference", "none"]
IMAGE_MODES: tuple[ImageMode, ...] = get_args(ImageMode)

_LOCK = ".lock"
# Another process that has just ended is still tidying up.
_PATIENCE_SECONDS = 0.5
_ATTEMPTS = 10


def check_target(target: Path) -> None:
    """Refuse a place where a folder cannot appear.

    Raises:
        ConfigError: There is a file, a link, or a folder that holds something.
    """
    if target.is_symlink():
        raise ConfigError(f"{target} is a link; give the folder itself.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} is there already and not empty; give a new folder.")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a folder hidden beside the target, which becomes the target when the block succeeds.

    When the block raises, the hidden folder is deleted. When the process is killed it stays, and the next call for the
    same target deletes it and begins anew.

    Args:
        target: Must not be there, or be an empty folder.

    Yields:
        The hidden folder, empty.

    Raises:
        ConfigError: As `check_target`; or another process is writing the same folder.
        OutputError: It cannot be written.
    """
    check_target(target)
    # The lock lies beside what becomes the target: it is held until the name is given, and Windows moves no folder
    # in which a file is open.
    around = target.absolute().with_name(f".{target.absolute().name}.partial")
    lock = FileLock(around / _LOCK, timeout=_PATIENCE_SECONDS)
    try:
        _acquire(lock, around)
    except Timeout as error:
        raise ConfigError(f"another process is writing {target}; wait for it, or give another folder.") from error
    except OSError as error:
        raise _output_error(target, error) from error
    try:
        _clear(around)
        check_target(target)
        hidden = around / "new"
        hidden.mkdir()
        yield hidden
        # Everything must be on the disk before the name is: one flush for all files costs less than one for each.
        if hasattr(os, "sync"):
            os.sync()
        check_target(target)
        if target.exists():
            target.rmdir()
        hidden.rename(target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise _output_error(target, error) from error
    finally:
        _leave(lock, around)


def _acquire(lock: FileLock, around: Path) -> None:
    """Lock the folder around, made if need be; whoever held it before may delete it in the meantime."""
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


def _clear(around: Path) -> None:
    for old in around.iterdir():
        if old.name != _LOCK:
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()


def _leave(lock: FileLock, around: Path) -> None:
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


def place_image(image: ImageFile, path: Path, mode: ImageMode) -> bool:
    """Bring an image to where it belongs in the new folder.

    Args:
        image: The file, or its bytes; None for one that is not there.
        path: Where to; its folder is made.
        mode: "copy"; "link": a hard link, or a copy where the disks differ; "reference": a symbolic link to the
            original, or a copy of bytes that are no file; "none": nothing.

    Returns:
        Whether there is an image now.
    """
    if image is None or mode == "none":
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(image, Path):
        with path.open("xb") as file:
            shutil.copyfileobj(image, file)
    elif mode == "reference":
        path.symlink_to(image.resolve())
    elif mode == "copy" or not _linked(image, path):
        shutil.copyfile(image, path)
    return True


def _linked(image: Path, path: Path) -> bool:
    try:
        path.hardlink_to(image.resolve())
    except OSError:
        # Another disk, or one that knows no links.
        return False
    return True


def _output_error(target: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {target}: {error.strerror or error}. Nothing was left half-written; free some space or choose "
        "another folder, then run it again."
    )
