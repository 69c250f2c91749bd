"""Priority: which image a person should look at next, and why.

Three reasons to ask, each from 0 to 1 (active learning's usual ones; the SAM paper, sec. 4, says only that annotators
worked on what the model was not sure of): the model is *uncertain* of its masks; it *disagrees* with itself when it is
asked in another way; the image is *unlike* those that people have seen, in the embedding's space.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["REASONS", "Priority", "ranked", "self_disagreement", "uncertainty"]

REASONS = ("uncertain", "disagrees", "unlike")


@dataclass(frozen=True)
class Priority:
    """How much an image is worth a person's time.

    Attributes:
        record_id: Which image.
        value: Mean of the reasons, 0 to 1.
        reasons: Reason -> its part, 0 to 1.
    """

    record_id: int
    value: float
    reasons: Mapping[str, float]

    def says(self) -> str:
        """The reasons in words, the strongest first."""
        words = {
            "uncertain": "the model is unsure of its masks",
            "disagrees": "the model disagrees with itself",
            "unlike": "unlike what was seen before",
        }
        order = sorted(self.reasons, key=lambda name: -self.reasons[name])
        return ", ".join(f"{words[name]} ({self.reasons[name]:.2f})" for name in order)


def uncertainty(chances: Sequence[float]) -> float:
    """How unsure masks are on average: 1 at a probability of one half, 0 at none and at one; 1 without a mask.

    Args:
        chances: Probability of each mask of an image.
    """
    if not len(chances):
        return 1.0
    return float(np.mean(1 - np.abs(2 * np.asarray(chances, dtype=np.float64) - 1)))


def self_disagreement(ious: Sequence[float]) -> float:
    """How far a model's masks are from those that it gives for their boxes; 1 without a mask.

    Args:
        ious: Of each mask of an image with the mask of its box.
    """
    return 1.0 if not len(ious) else float(1 - np.mean(ious))


def ranked(
    records: Sequence[int],
    uncertain: Sequence[float],
    disagrees: Sequence[float],
    features: NDArray[np.floating],
    seen: NDArray[np.floating],
) -> list[Priority]:
    """Images in the order in which they should be looked at: each choice makes images like it less worth a look.

    Args:
        records: N numbers.
        uncertain: N of `uncertainty`.
        disagrees: N of `self_disagreement`.
        features: [N, C] of `image_feature`.
        seen: [S, C] of the images that people have seen; may be empty.

    Returns:
        The most valuable first.
    """
    given = np.asarray(features, dtype=np.float64)
    away = np.ones(len(given))
    if len(seen):
        away = 1 - (given @ np.asarray(seen, dtype=np.float64).T).max(axis=1)
    # In units of how far the images of this collection are apart: most are alike in all that is no matter here.
    spread = max(_spread(given), 1e-6)
    order: list[Priority] = []
    waiting = list(range(len(given)))
    while waiting:
        unlike = np.clip(away / spread, 0, 1)
        values = [(uncertain[k] + disagrees[k] + float(unlike[k])) / len(REASONS) for k in waiting]
        chosen = waiting.pop(int(np.argmax(values)))
        parts = (uncertain[chosen], disagrees[chosen], float(unlike[chosen]))
        reasons = {name: round(float(part), 4) for name, part in zip(REASONS, parts, strict=True)}
        order.append(Priority(records[chosen], round(float(np.mean(parts)), 4), reasons))
        away = np.minimum(away, 1 - given @ given[chosen])
    return order


def _spread(features: NDArray[np.float64]) -> float:
    """Mean distance of two images."""
    if len(features) < 2:
        return 1.0
    close = features @ features.T
    return float(1 - (close.sum() - np.trace(close)) / (len(features) * (len(features) - 1)))
