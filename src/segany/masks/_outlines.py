"""Rings along the edges of pixels, walked from turn to turn."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Outline", "corner_rings"]


class Outline(NamedTuple):
    """One ring of a mask.

    Attributes:
        part: A number that is the same for all rings of one 8-connected part.
        is_hole: Whether it is a hole of the part, or its exterior.
        ring: [N, 2] float64 (x, y), foreground on the right-hand side as seen on the screen: exteriors run clockwise,
            holes counter-clockwise.
    """

    part: int
    is_hole: bool
    ring: NDArray[np.float64]


def corner_rings(mask: NDArray[np.bool_]) -> list[Outline]:
    """All rings of a mask.

    An outline turns at pixel corners. Corners that follow each other along a row are the two ends of a horizontal
    edge, pair by pair, and along a column those of a vertical edge; so a ring is found by going from end to end, not
    from pixel to pixel.

    Args:
        mask: [H, W] bool.

    Returns:
        The rings, by their first corner in row order.
    """
    import cv2

    x, y, part_x, part_y, sideways, following = _turns(mask)
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    # Walking a permutation is a chain of look-ups; lists do it several times faster than arrays.
    steps = following.tolist()
    seen = bytearray(len(steps))
    walk: list[int] = []
    begins: list[int] = []
    for turn in range(len(steps)):
        if not seen[turn]:
            begins.append(len(walk))
        while not seen[turn]:
            seen[turn] = 1
            walk.append(turn)
            turn = steps[turn]
    first = np.array(walk)[begins]
    part_of = parts[part_y[first], part_x[first]].tolist()
    # At its first corner, the top left one, an exterior leaves along the row and a hole down the column.
    is_hole = (~sideways[first]).tolist()
    corners = np.stack([x[walk], y[walk]], axis=1).astype(np.float64)
    ends = [*begins[1:], len(walk)]
    return [
        Outline(part, hole, corners[begin:end])
        for part, hole, begin, end in zip(part_of, is_hole, begins, ends, strict=True)
    ]


def _turns(mask: NDArray[np.bool_]) -> tuple[NDArray[Any], ...]:
    """The turns of all outlines in row order.

    Each has its x and y, a foreground pixel beside it (x, then y), whether the outline leaves it along the row, and
    the index of the turn that follows.

    Where two pixels of foreground meet only at a corner, two outlines turn there. Both turn left, round the
    background: that keeps the two pixels one part.
    """
    padded = np.pad(mask, 1)
    nw, ne, sw, se = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    crossing = (nw == se) & (ne == sw) & (nw != ne)
    corners = np.flatnonzero((nw ^ ne ^ sw ^ se) | crossing)
    corners = np.repeat(corners, 1 + crossing.ravel()[corners])
    y, x = np.divmod(corners, mask.shape[1] + 1)
    nw, ne, se = nw[y, x], ne[y, x], se[y, x]
    second = np.zeros(len(corners), dtype=bool)
    second[1:] = corners[1:] == corners[:-1]
    crossing = crossing[y, x]
    # Of two turns at one corner the first takes the horizontal edge on the left, the second that on the right.
    on_right = np.where(crossing, second, ne != se)
    # Left turns join the right-hand edge to the upper one when the foreground is north-west and south-east.
    lower = crossing & (second != nw)

    leaves_sideways = np.where(on_right, se, nw)
    along_rows = np.arange(len(corners))
    along_columns = np.lexsort((lower, y, x))
    sideways, upright = _partners(along_rows), _partners(along_columns)
    fg_x = np.where(nw | ~(ne | se), x - 1, x)
    fg_y = np.where(nw | ne, y - 1, y)
    return x, y, fg_x, fg_y, leaves_sideways, np.where(leaves_sideways, sideways, upright)


def _partners(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The other end of each turn's edge, when the edges' ends stand two by two in `order`."""
    partner = np.empty_like(order)
    partner[order[0::2]] = order[1::2]
    partner[order[1::2]] = order[0::2]
    return partner
