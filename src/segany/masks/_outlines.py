"""Rings along the edges of pixels, walked from turn to turn."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["corner_rings"]


def corner_rings(mask: NDArray[np.bool_]) -> list[tuple[int, NDArray[np.float64]]]:
    """All rings of a mask, with the part that each belongs to.

    An outline turns at pixel corners. Corners that follow each other along a row are the two ends of a horizontal
    edge, pair by pair, and along a column those of a vertical edge; so a ring is found by going from end to end, not
    from pixel to pixel.

    Args:
        mask: [H, W] bool.

    Returns:
        (part, ring), by the ring's first corner in row order: a number that is the same for all rings of one
        8-connected part, and [N, 2] float64 (x, y) with foreground on the right-hand side as seen on the screen, so
        exteriors run clockwise and holes counter-clockwise.
    """
    import cv2

    x, y, part_x, part_y, following = _turns(mask)
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    part_of = parts[part_y, part_x]
    # Walking a permutation is a chain of look-ups; lists do it several times faster than arrays.
    steps = following.tolist()
    seen = bytearray(len(steps))
    rings = []
    for first in range(len(steps)):
        if seen[first]:
            continue
        walk = []
        turn = first
        while not seen[turn]:
            seen[turn] = 1
            walk.append(turn)
            turn = steps[turn]
        rings.append((int(part_of[first]), np.stack([x[walk], y[walk]], axis=1).astype(np.float64)))
    return rings


def _turns(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
    """The turns of all outlines in row order: x, y, a foreground pixel beside each (x, y), and the turn that follows.

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
    return x, y, fg_x, fg_y, np.where(leaves_sideways, sideways, upright)


def _partners(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The other end of each turn's edge, when the edges' ends stand two by two in `order`."""
    partner = np.empty_like(order)
    partner[order[0::2]] = order[1::2]
    partner[order[1::2]] = order[0::2]
    return partner
