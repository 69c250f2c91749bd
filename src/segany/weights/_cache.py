"""The cache folder: where a file lies, and whether it is the one that the registry pins."""

import contextlib
import hashlib
from pathlib import Path

from segany.errors import DigestError, OutputError
from segany.files import write_text
from segany.settings import Settings
from segany.weights._registry import Entry

__all__ = ["cached", "check", "instruction", "place", "set_aside", "trust"]


def place(entry: Entry, settings: Settings) -> Path:
    """Give the path that the entry's file has in the cache; it need not be there."""
    return settings.home / entry.folder / entry.file_name


def instruction(entry: Entry, settings: Settings) -> str:
    """Say in a sentence which file to put where by hand, and where it can be had."""
    where = " or ".join(source.description for source in entry.sources) or entry.description
    what = f"{entry.file_name} ({entry.size:,} bytes, sha256 {entry.sha256})"
    return f"Put {what} at {place(entry, settings)}; it is {where}."


def check(entry: Entry, path: Path) -> None:
    """Compare a file with what the registry pins.

    Raises:
        DigestError: It is another file.
    """
    size = path.stat().st_size
    came = None
    if size == entry.size:
        with path.open("rb") as file:
            came = hashlib.file_digest(file, "sha256").hexdigest()
    if came != entry.sha256:
        what = f"has {size:,} bytes instead of {entry.size:,}" if came is None else f"has sha256 {came}"
        raise DigestError(f"{path} is not {entry.name} (sha256 {entry.sha256}): it {what}.")


def cached(entry: Entry, settings: Settings, *, again: bool = False) -> Path | None:
    """Give the entry's file if the cache has it.

    A file is hashed when it is first seen and again whenever its length or time has changed.

    Args:
        entry: What to look for.
        settings: Where the cache is.
        again: Hash it in any case.

    Raises:
        DigestError: A file of that name is there but is another one; it was moved aside.
    """
    path = place(entry, settings)
    if not path.is_file():
        return None
    if again or not _is_trusted(entry, path):
        try:
            check(entry, path)
        except DigestError as error:
            bad = set_aside(path)
            raise DigestError(
                f"{error} It was moved to {bad.name}; run the command again to get the right one."
            ) from None
        trust(entry, path)
    return path


def set_aside(path: Path) -> Path:
    """Rename a file that is not what it should be, so that it is never used; gives its new path.

    Raises:
        OutputError: It cannot be renamed.
    """
    bad = path.with_name(path.name + ".bad")
    try:
        path.replace(bad)
    except OSError as error:
        raise OutputError(
            f"cannot move {path} aside: {error.strerror}. Remove it by hand; it is not the right file."
        ) from error
    return bad


def trust(entry: Entry, path: Path) -> None:
    """Note that the file was hashed and found right."""
    # A cache that cannot be written is still good to read; it is then hashed every time.
    with contextlib.suppress(OutputError):
        write_text(_note(path), _stamp(entry, path))


def _is_trusted(entry: Entry, path: Path) -> bool:
    try:
        return _note(path).read_text(encoding="utf-8") == _stamp(entry, path)
    except (OSError, UnicodeDecodeError):
        return False


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.checked")


def _stamp(entry: Entry, path: Path) -> str:
    status = path.stat()
    return f"{entry.sha256} {status.st_size} {status.st_mtime_ns}\n"
