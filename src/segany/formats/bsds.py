"""BSDS500: several people's segmentations and boundaries of each image, in MATLAB files.

Source: Arbeláez et al., "Contour detection and hierarchical image segmentation", PAMI 2011. `groundTruth/NAME.mat`
holds a cell for each person with `Segmentation`, numbers from 1, and `Boundaries`, 1 on pixels of an edge.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import RecordError
from segany.formats._folders import Layout, Pair
from segany.formats.category import Category, FormatName
from segany.formats.label_map import record_from_label_map
from segany.formats.problems import FlawError, Problem, ProblemLog
from segany.geometry import Size
from segany.schema import Annotation, ImageInfo, Record

__all__ = ["MAT", "BsdsFolder", "HumanSegmentation", "read_ground_truth"]

MAT = frozenset({".mat"})
_MAX_FILE_BYTES = 2**28
_DAMAGE = (
    *(OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, MemoryError),
    *(NotImplementedError, struct.error, zlib.error),
)


@dataclass(frozen=True, eq=False)
class HumanSegmentation:
    """What one person made of an image.

    Attributes:
        segmentation: [H, W] uint16: the region of each pixel, from 1; 0 is none.
        boundaries: [H, W] bool: pixels of an edge.
    """

    segmentation: NDArray[np.uint16]
    boundaries: NDArray[np.bool_]


def read_ground_truth(path: str | os.PathLike[str]) -> tuple[HumanSegmentation, ...]:
    """All people's segmentations of one image, in the file's order.

    Args:
        path: A .mat file of BSDS, in MATLAB's format up to version 7.

    Raises:
        RecordError: It cannot be read, or holds something else.
    """
    import scipy.io

    try:
        if Path(path).stat().st_size > _MAX_FILE_BYTES:
            raise FlawError("refused", f"{path} is larger than {_MAX_FILE_BYTES} bytes; it is no file of BSDS.")
        cells = np.ravel(scipy.io.loadmat(path, variable_names=["groundTruth"])["groundTruth"])
        people = tuple(_person(cell) for cell in cells)
    except RecordError:
        raise
    except _DAMAGE as error:
        raise FlawError("unreadable", f"{path} is no ground truth of BSDS, or is damaged: {error}.") from error
    if not people:
        raise RecordError(f"{path} holds no segmentation.")
    if len({person.segmentation.shape for person in people}) > 1:
        raise FlawError("wrong_size", f"{path}: its segmentations have different sizes.")
    return people


def _person(cell: Any) -> HumanSegmentation:
    fields = cell[0, 0]
    segmentation, boundaries = fields["Segmentation"], fields["Boundaries"]
    if segmentation.ndim != 2 or segmentation.shape != boundaries.shape or segmentation.dtype.kind not in "iuf":
        raise ValueError(f"Segmentation is {segmentation.dtype} of shape {segmentation.shape}")
    return HumanSegmentation(segmentation.astype(np.uint16), np.asarray(boundaries != 0))


class BsdsFolder:
    """BSDS images with their ground truth; a reader of `segany.formats.open_dataset`.

    A record has the regions of all people: their annotations overlap. `annotator` is the person's number, from 1.
    """

    categories: tuple[Category, ...] = ()
    notes = ("every region of every person is an object",)
    format: FormatName = "bsds"

    def __init__(self, layout: Layout, log: ProblemLog) -> None:
        """List the files.

        Args:
            layout: Folders of images and of .mat files.
            log: Takes the problems.
        """
        self._log = log
        self._pairs: dict[str, Pair] = {pair.name: pair for pair in layout.pairs(log)}

    def __len__(self) -> int:
        return len(self._pairs)

    def records(self) -> Iterator[Record]:
        """The records, by name."""
        for pair in self._pairs.values():
            if not pair.masks:
                self._log.add(Problem("missing_mask", str(pair.image), "", "no .mat file has its name."))
                continue
            record = None
            with self._log.watch(str(pair.masks[0])):
                record = _record(pair)
            if record is not None:
                yield record

    def image_file(self, record: Record) -> Path | None:
        """The image."""
        pair = self._pairs.get(record.image.file_name)
        return None if pair is None else pair.image

    def annotation_path(self, record: Record) -> Path | None:
        """The .mat file; `read_ground_truth` gives its boundaries."""
        pair = self._pairs.get(record.image.file_name)
        return pair.masks[0] if pair is not None and pair.masks else None


def _record(pair: Pair) -> Record:
    people = read_ground_truth(pair.masks[0])
    info = ImageInfo(Path(pair.name).stem, pair.name, Size(*people[0].segmentation.shape))
    annotations: list[Annotation] = []
    for number, person in enumerate(people, start=1):
        regions = record_from_label_map(person.segmentation, info).annotations
        annotations += [replace(each, id=f"{number}:{each.id}", annotator=str(number)) for each in regions]
    return Record(info, tuple(annotations))
