"""Agreement of two records of one image: does each find what the other found?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segany.errors import InputError
from segany.masks import rle_iou_matrix
from segany.schema import Record

__all__ = ["MaskAgreement", "mask_agreement", "pooled_agreement"]


@dataclass(frozen=True)
class MaskAgreement:
    """How far two sets of masks agree, A and B, in both directions.

    A share or mean over no masks is NaN; so that sums over many images count every mask once, the counts are here too.

    Attributes:
        masks_a: Masks of A.
        masks_b: Masks of B.
        found_a: Masks of A that have one of B's at the IoU asked for.
        found_b: Masks of B that have one of A's.
        best_iou_a: Mean over A's masks of the best IoU with any of B's; 0 for each where B is empty.
        best_iou_b: The other way round.
    """

    masks_a: int
    masks_b: int
    found_a: int
    found_b: int
    best_iou_a: float
    best_iou_b: float

    @property
    def share_a(self) -> float:
        """Share of A's masks that B has too."""
        return self.found_a / self.masks_a if self.masks_a else float("nan")

    @property
    def share_b(self) -> float:
        """Share of B's masks that A has too."""
        return self.found_b / self.masks_b if self.masks_b else float("nan")


def mask_agreement(a: Record, b: Record, min_iou: float = 0.9) -> MaskAgreement:
    """Compare the masks of two records, however they are ordered. Several masks may find the same one.

    Args:
        a: One record.
        b: Another of the same image.
        min_iou: From which IoU on a mask counts as found, above 0 and up to 1.

    Raises:
        InputError: The images' sizes differ, or `min_iou` is out of range.
    """
    if a.image.size != b.image.size:
        raise InputError(f"two records must be of one image to be compared, got {a.image.size} and {b.image.size}.")
    if not 0 < min_iou <= 1:
        raise InputError(f"min_iou must be above 0 and at most 1, got {min_iou}.")
    rles_a, rles_b = ([annotation.segmentation for annotation in record.annotations] for record in (a, b))
    iou = rle_iou_matrix(rles_a, rles_b)
    best_a, best_b = iou.max(axis=1, initial=0), iou.max(axis=0, initial=0)
    return MaskAgreement(
        masks_a=len(rles_a),
        masks_b=len(rles_b),
        found_a=int(np.count_nonzero(best_a >= min_iou)),
        found_b=int(np.count_nonzero(best_b >= min_iou)),
        best_iou_a=float(best_a.mean()) if len(best_a) else float("nan"),
        best_iou_b=float(best_b.mean()) if len(best_b) else float("nan"),
    )


def pooled_agreement(parts: Sequence[MaskAgreement]) -> MaskAgreement:
    """Agreements of many images as one, every mask counted once.

    Args:
        parts: One for each image.
    """
    masks_a, masks_b = (sum(counts) for counts in ([p.masks_a for p in parts], [p.masks_b for p in parts]))
    # An image without masks has no mean, and nothing to add.
    best_a = sum(part.best_iou_a * part.masks_a for part in parts if part.masks_a)
    best_b = sum(part.best_iou_b * part.masks_b for part in parts if part.masks_b)
    return MaskAgreement(
        masks_a=masks_a,
        masks_b=masks_b,
        found_a=sum(part.found_a for part in parts),
        found_b=sum(part.found_b for part in parts),
        best_iou_a=best_a / masks_a if masks_a else float("nan"),
        best_iou_b=best_b / masks_b if masks_b else float("nan"),
    )
