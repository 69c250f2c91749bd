"""Which found masks match which objects, by the rule of COCO's evaluation."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["IOU_THRESHOLDS", "Matches", "match_masks"]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)


class Matches(NamedTuple):
    """What became of each found mask.

    Attributes:
        hits: [N] bool: it matches a wanted object.
        ignored: [N] bool: it matches something that does not count, and so does not count itself.
    """

    hits: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


def match_masks(
    ious: NDArray[np.float64], wanted: NDArray[np.bool_], crowd: NDArray[np.bool_], threshold: float
) -> Matches:
    """Each mask in turn chooses the object that it overlaps most and that is not taken yet.

    An object that is not wanted is taken only by a mask that no wanted one is left for. Of objects that overlap a mask
    equally the last one is taken, as COCO's evaluation does.

    Args:
        ious: [N, M] masks, the best-ranked first, by objects.
        wanted: [M] objects that count.
        crowd: [M] regions that any number of masks may take.
        threshold: Least IoU.
    """
    hits, ignored = np.zeros(len(ious), dtype=np.bool_), np.zeros(len(ious), dtype=np.bool_)
    free = np.ones(len(wanted), dtype=np.bool_)
    # COCO's evaluation lets an IoU of exactly 1 pass whatever the threshold.
    least = min(threshold, 1 - 1e-10)
    for row, overlaps in enumerate(ious):
        near = overlaps >= least
        for candidates in (near & free & wanted, near & (free | crowd) & ~wanted):
            places = np.flatnonzero(candidates)
            if len(places) == 0:
                continue
            best = places[len(places) - 1 - int(np.argmax(overlaps[places][::-1]))]
            free[best] = False
            hits[row], ignored[row] = wanted[best], not wanted[best]
            break
    return Matches(hits, ignored)
