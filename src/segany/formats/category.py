"""What a data set calls its objects, and what segany calls the formats."""

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["FORMAT_NAMES", "Category", "FormatName"]

FormatName = Literal[
    "binary_masks",
    "bsds",
    "coco",
    "davis",
    "geojson",
    "label_maps",
    "labelme",
    "lvis",
    "parquet",
    "sa1b",
    "sa1b_shards",
    "sav",
    "voc",
    "yolo",
]
FORMAT_NAMES: tuple[FormatName, ...] = get_args(FormatName)


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
