"""Hierarchy: which masks are parts of which (SAM paper, sec. 3: whole, part, subpart)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError, RecordError
from segany.masks import RLE, rle_iou_matrix
from segany.schema import Record

__all__ = ["LEVEL_NAMES", "find_parents", "levels", "link_parts"]

# Deeper levels are subparts too.
LEVEL_NAMES = ("whole", "part", "subpart")


def find_parents(rles: Sequence[RLE], min_inside: float = 0.9) -> list[int | None]:
    """For each mask, the smallest larger mask that holds nearly all of it, or None.

    Of masks with equal areas the earlier counts as the larger, so that no mask is its own ancestor.

    Args:
        rles: Masks of one size.
        min_inside: Least share of the part that lies inside its parent, above 0.5 and up to 1.

    Returns:
        An index into `rles` for each mask.

    Raises:
        ConfigError: `min_inside` is out of range.
        MaskError: The masks' sizes differ.
    """
    if not 0.5 < min_inside <= 1:
        raise ConfigError(f"min_inside must be above 0.5 and at most 1, got {min_inside}.")
    # With crowds, the ratio is over the first mask's own area: its share inside the second.
    inside = rle_iou_matrix(rles, rles, [True] * len(rles))
    areas: NDArray[np.int64] = np.array([rle.area for rle in rles], dtype=np.int64)
    by_size = sorted(range(len(rles)), key=lambda k: (areas[k], -k))
    parents: list[int | None] = [None] * len(rles)
    for rank, child in enumerate(by_size):
        if areas[child]:
            parents[child] = next((k for k in by_size[rank + 1 :] if inside[child, k] >= min_inside), None)
    return parents


def link_parts(record: Record, min_inside: float = 0.9) -> Record:
    """The record with `parent_id` set on each mask that is a part of another, and cleared on the others.

    Args:
        record: Any masks of one image.
        min_inside: As in `find_parents`.

    Raises:
        ConfigError: As in `find_parents`.
    """
    annotations = record.annotations
    parents = find_parents([annotation.segmentation for annotation in annotations], min_inside)
    linked = [
        replace(annotation, parent_id=None if parent is None else annotations[parent].id)
        for annotation, parent in zip(annotations, parents, strict=True)
    ]
    return replace(record, annotations=tuple(linked))


def levels(record: Record) -> list[int]:
    """How deep each mask lies below one that has no parent, from `parent_id`: 0 whole, 1 part, 2 subpart, and so on.

    Raises:
        RecordError: A parent is not in the record, or a mask is its own ancestor.
    """
    parent_of = {annotation.id: annotation.parent_id for annotation in record.annotations}
    found = []
    for annotation in record.annotations:
        depth, at = 0, annotation.parent_id
        while at is not None:
            if at not in parent_of:
                raise RecordError(f"annotation {annotation.id}: its parent {at} is not in the record.")
            depth += 1
            if depth > len(parent_of):
                raise RecordError(f"annotation {annotation.id} is its own ancestor; set parent_id anew.")
            at = parent_of[at]
        found.append(depth)
    return found
