"""Category: a class of objects as a data set names it."""

from dataclasses import dataclass

__all__ = ["Category"]


@dataclass(frozen=True)
class Category:
    """A class of objects.

    Attributes:
        id: Its number in the files.
        name: Its name, which annotations carry.
        supercategory: What it is a kind of, or None.
        frequency: LVIS: "r", "c" or "f" for rare, common and frequent; or None.
    """

    id: int
    name: str
    supercategory: str | None = None
    frequency: str | None = None
