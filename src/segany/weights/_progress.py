"""How a download tells the caller how far it is; what is drawn is the caller's business."""

from collections.abc import Callable

__all__ = ["Progress"]

# Called with the entry's name, the bytes done and the bytes in all (0 if unknown).
Progress = Callable[[str, int, int], None]
