"""Memory: freed arrays go back to the system, where the C library would keep their pages."""

import ctypes
import sys
from collections.abc import Callable
from functools import cache

__all__ = ["give_back"]


def give_back() -> None:
    """Return freed memory to the system; takes milliseconds.

    Masks are arrays of many sizes, made and freed by several threads. The GNU C library keeps the gaps that they leave,
    which fit the next image's masks badly: without this, a loop over images grew by half its memory. Other libraries
    return memory by themselves, and nothing is done.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    # Not in musl.
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
