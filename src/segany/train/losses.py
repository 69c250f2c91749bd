"""The training losses: focal and dice for masks, squared error for predicted IoU (SAM paper, app. A)."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["MaskLosses", "dice_loss", "focal_loss", "mask_ious", "mask_losses"]

# Lin et al., "Focal loss for dense object detection" (arXiv 1708.02002), sec. 5: the best pair.
_ALPHA = 0.25
_GAMMA = 2.0


class MaskLosses(NamedTuple):
    """What a round of answers costs, before weights.

    Attributes:
        focal: [P] of the mask that counts.
        dice: [P] of the same.
        score: [P] squared error of predicted IoU: of that mask, or the mean of all candidates.
        best: [P] int64, which candidate counts.
    """

    focal: Tensor
    dice: Tensor
    score: Tensor
    best: Tensor


def focal_loss(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Cross entropy that heeds most what is not yet right, mean over the valid cells.

    Args:
        logits: [P, M, N] float32.
        targets: [P, N] float32, 0 or 1.
        valid: [N] float32, 1 where an answer counts.

    Returns:
        [P, M].
    """
    wanted = targets.unsqueeze(1).expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    # exp(-entropy) is the probability that the model gives to the truth.
    missing = -torch.expm1(-entropy)
    weight = _ALPHA * wanted + (1 - _ALPHA) * (1 - wanted)
    return (weight * missing**_GAMMA * entropy * valid).sum(-1) / valid.sum().clamp(min=1)


def dice_loss(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """1 less the overlap of soft masks (Milletari et al., arXiv 1606.04797), with one cell's worth of smoothing.

    Args:
        logits: [P, M, N] float32.
        targets: [P, N] float32, 0 or 1.
        valid: [N] float32.

    Returns:
        [P, M].
    """
    shares = logits.sigmoid() * valid
    wanted = (targets * valid).unsqueeze(1)
    return 1 - (2 * (shares * wanted).sum(-1) + 1) / (shares.sum(-1) + wanted.sum(-1) + 1)


def mask_ious(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """IoU of the masks with the truth, cut at 0: [P, M] without gradient. Arguments as `focal_loss`."""
    with torch.no_grad():
        drawn, wanted = (logits > 0) & (valid > 0), (targets * valid).unsqueeze(1) > 0
        both = (drawn & wanted).sum(-1)
        return both / (drawn | wanted).sum(-1).clamp(min=1)


def mask_losses(
    logits: Tensor,
    scores: Tensor,
    targets: Tensor,
    valid: Tensor,
    *,
    focal_weight: float,
    dice_weight: float,
    score_all: bool,
) -> MaskLosses:
    """Losses of the candidate that costs least: only it learns, so that candidates may differ (SAM paper, sec. 3).

    Args:
        logits: [P, M, N] float32, the candidates.
        scores: [P, M] float32, their predicted IoU.
        targets: [P, N] float32, 0 or 1.
        valid: [N] float32.
        focal_weight: For the choice.
        dice_weight: For the choice.
        score_all: Whether every candidate's score is taught.
    """
    focal, dice = focal_loss(logits, targets, valid), dice_loss(logits, targets, valid)
    best = (focal_weight * focal + dice_weight * dice).detach().argmin(dim=1, keepdim=True)
    errors = (scores - mask_ious(logits.detach(), targets, valid)) ** 2
    score = errors.mean(dim=1) if score_all else errors.gather(1, best)[:, 0]
    return MaskLosses(focal.gather(1, best)[:, 0], dice.gather(1, best)[:, 0], score, best[:, 0])
