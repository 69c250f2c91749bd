"""keep_memory: glibc told that this process uses and frees arrays of megabytes all the time."""

import ctypes
import sys

__all__ = ["keep_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 128 * 2**20
_MAPPED_FROM_BYTES = 32 * 2**20
_ARENAS = 2


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
