"""Item: one annotated image, as protocols get it; EvaluationSet: where they come from."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from segany.masks import RLE
from segany.schema import Annotation, Image, Record
from segany.sources import open_image

__all__ = ["EvaluationSet", "Item"]


@dataclass(frozen=True, eq=False)
class Item:
    """One annotated image of a set.

    Attributes:
        set_name: The set's name in reports.
        record: What people drew.
        image_path: The image's file.
        ignore: Pixels that count for nothing (an unknown band, a void border), or None.
        metadata: Columns that results may be sliced by: column -> value.
        chosen: Ids of the annotations to measure, or None for all.
        extra: What a format has beside masks, for the protocols that ask for it.
    """

    set_name: str
    record: Record
    image_path: Path
    ignore: RLE | None = None
    metadata: Mapping[str, str | float] = field(default_factory=lambda: MappingProxyType({}))
    chosen: frozenset[int | str] | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def key(self) -> str:
        """The image's name within its set."""
        return self.record.image.file_name

    @property
    def objects(self) -> tuple[Annotation, ...]:
        """The annotations to measure: no crowds, none without a pixel, and only chosen ones."""
        return tuple(
            annotation
            for annotation in self.record.annotations
            if not annotation.iscrowd and annotation.area > 0 and (self.chosen is None or annotation.id in self.chosen)
        )

    def open(self) -> Image:
        """Read the image.

        Raises:
            ImageError: It cannot be read.
        """
        return open_image(self.image_path)

    @cached_property
    def digest(self) -> str:
        """sha256 of the image's file and of everything people drew in it, hexadecimal."""
        with self.image_path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        drawn = [
            [str(a.id), a.segmentation.counts.decode("ascii"), a.category, a.iscrowd] for a in self.record.annotations
        ]
        ignored = None if self.ignore is None else self.ignore.counts.decode("ascii")
        digest.update(json.dumps([self.key, list(self.record.image.size), drawn, ignored]).encode())
        return digest.hexdigest()


class EvaluationSet(Protocol):
    """Annotated images under one name.

    Attributes:
        name: In reports.
    """

    name: str

    def items(self) -> Iterator[Item]:
        """The images, one after the other, always in the same order."""
        ...

    def problems(self) -> tuple[str, ...]:
        """What could not be read so far, each with its file and line or key."""
        ...
