"""Memory: what there is, and whether the C library keeps the pages of freed arrays or gives them back."""

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

__all__ = ["container_limit", "give_back", "keep_memory", "left_in_container"]

# mallopt's names for how much freed memory is kept, from which size on an array gets pages of its own, and how many
# heaps there are.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 128 * 2**20
_MAPPED_FROM_BYTES = 32 * 2**20
_ARENAS = 2
# Of control groups, version 2 and 1: the folder, and the names of the most that a container may take, of what it has
# taken, and, in memory.stat, of what of this are copies of files that are given up when memory is short.
_GROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
# Version 1 says so of no limit, by a number that no machine has.
_NO_LIMIT = 2**60


def give_back() -> None:
    """Return freed memory to the system; takes milliseconds.

    Masks are arrays of many sizes, made and freed by several threads. The GNU C library keeps the gaps that they leave,
    which fit the next image's masks badly: without this, a loop over images grew by half its memory. Other libraries
    return memory by themselves, and nothing is done.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


def keep_memory() -> None:
    """Keep freed memory for the next array instead of giving it back and asking for it again.

    Drawing a mask takes and frees arrays of a megabyte; with glibc's usual settings their pages come from the system
    each time, which takes half as long again as the drawing. And each thread would have a heap of its own, with free
    memory that the others cannot use. Call it before threads are started; does nothing where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in (
            (_TRIM_THRESHOLD, _KEPT_BYTES),
            (_MMAP_THRESHOLD, _MAPPED_FROM_BYTES),
            (_ARENA_MAX, _ARENAS),
        ):
            mallopt(option, value)


def container_limit() -> int | None:
    """Bytes that the container of this process may take at most; None where nothing limits it.

    The machine may have much more, and says so to everybody in it.
    """
    found = _group()
    return None if found is None else found[0]


def left_in_container() -> int | None:
    """Bytes of `container_limit` that are left; None where nothing limits it."""
    found = _group()
    return None if found is None else max(0, found[0] - found[1])


def _group() -> tuple[int, int] | None:
    """The limit, and what is taken and would not be given up."""
    for folder, most, taken, files in _GROUPS:
        try:
            limit = Path(folder, most).read_text(encoding="ascii").strip()
            if limit == "max" or int(limit) >= _NO_LIMIT:
                return None
            used = int(Path(folder, taken).read_text(encoding="ascii"))
            said = dict(line.split() for line in Path(folder, "memory.stat").read_text(encoding="ascii").splitlines())
            return int(limit), used - int(said.get(files, 0))
        except (OSError, ValueError):
            continue
    return None


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    # Not in musl.
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
