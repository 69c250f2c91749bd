"""Confidence: how likely a person is to accept an automatic mask, learned from those that people accepted and rejected.

A model's own scores tell whether a mask is a good outline of something, not whether that something is wanted. Reviews
tell both. Where the line is drawn between masks that are kept and masks that are shown to people is found from reviews,
too: at the lowest confidence from which on enough were accepted, surely enough.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.engine.linear import LinearHead
from segany.errors import ConfigError

__all__ = ["LEAST_REVIEWS", "Confidence", "mask_evidence", "surely_above"]

LEAST_REVIEWS = 30
# Of each kind at least: nothing is learned from masks that were all accepted.
_LEAST_OF_KIND = 5
# Of .0003 to .1 what told best, in four rounds of nuclei and leaves, what would be accepted in the next round.
_PENALTY = 0.05
_FOLDS = 5
# One-sided 90 %: the share of a small sample must be higher.
_Z = 1.2816
_FORMAT = "segany-confidence-1"


@dataclass(frozen=True, eq=False)
class Confidence:
    """Probability that a mask would be accepted. A value: learn anew after every review, it takes a moment.

    Attributes:
        head: From `mask_evidence` to probabilities (rejected, accepted).
        keep_from: Masks of this probability and above need no look; above 1 where no line holds.
        precision: What the line is drawn for: the share accepted among the kept.
        reviews: How many reviews it was learned from.
        model_digest: Whose features these are.
        replayed: How many of the reviews are masks that the model proposes in finished images. Without them it knows
            only masks that were worth showing to people, and says nothing of others.
    """

    head: LinearHead
    keep_from: float
    precision: float
    reviews: int
    model_digest: str
    replayed: int = 0

    @property
    def knows_all(self) -> bool:
        """Whether it can tell of any mask, and not only of those that the model itself thinks well of."""
        return self.replayed >= LEAST_REVIEWS

    @classmethod
    def learn(
        cls,
        evidence: NDArray[np.floating],
        accepted: Sequence[bool],
        groups: Sequence[int],
        *,
        model_digest: str,
        precision: float = 0.9,
        replayed: int = 0,
    ) -> "Confidence | None":
        """Learn from reviews.

        The line is drawn on probabilities that each image's masks got from the other images' reviews.

        Args:
            evidence: [N, C] of `mask_evidence`.
            accepted: What people decided.
            groups: N images.
            model_digest: Of the model whose features these are.
            precision: Share of accepted masks among the kept, below 1.
            replayed: How many of them are from finished images.

        Returns:
            None while there are too few reviews, or all are alike.

        Raises:
            ConfigError: The precision is not between 0 and 1.
        """
        if not 0 < precision < 1:
            raise ConfigError(f"precision must lie between 0 and 1, got {precision:g}.")
        labels, images = np.asarray(accepted, dtype=np.int64), np.asarray(groups)
        if len(labels) < LEAST_REVIEWS or np.bincount(labels, minlength=2).min() < _LEAST_OF_KIND:
            return None
        head = LinearHead.fit(evidence, labels.tolist(), count=2, penalty=_PENALTY, balanced=False)
        folds = np.searchsorted(np.unique(images), images) % _FOLDS
        chances = np.full(len(labels), np.nan)
        for fold in range(_FOLDS):
            held, rest = folds == fold, folds != fold
            if held.any() and len(np.unique(labels[rest])) == 2:
                other = LinearHead.fit(evidence[rest], labels[rest].tolist(), count=2, penalty=_PENALTY, balanced=False)
                chances[held] = other.probabilities(evidence[held])[:, 1]
        known = ~np.isnan(chances)
        line = _line(chances[known], labels[known], precision)
        return cls(head, line, precision, len(labels), model_digest, replayed)

    def of(self, evidence: NDArray[np.floating]) -> NDArray[np.float64]:
        """[N] float64: probability of each mask.

        Args:
            evidence: [N, C] of `mask_evidence`, of the same model.
        """
        return np.asarray(self.head.probabilities(evidence)[:, 1])

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "format": _FORMAT,
            "head": self.head.to_dict(),
            "keep_from": self.keep_from,
            "precision": self.precision,
            "reviews": self.reviews,
            "model_digest": self.model_digest,
            "replayed": self.replayed,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Confidence":
        """The inverse of `to_dict`.

        Raises:
            ConfigError: It is something else.
        """
        if values.get("format") != _FORMAT:
            raise ConfigError(f"a confidence has the format {_FORMAT}, got {values.get('format')!r}; learn it again.")
        return cls(
            LinearHead.from_dict(values["head"]),
            float(values["keep_from"]),
            float(values["precision"]),
            int(values["reviews"]),
            str(values["model_digest"]),
            int(values.get("replayed", 0)),
        )


def mask_evidence(
    features: NDArray[np.floating],
    predicted_iou: Sequence[float],
    stability: Sequence[float],
    shares: Sequence[float],
) -> NDArray[np.float64]:
    """What is known of automatic masks without asking anybody.

    Args:
        features: [N, C] of `mask_features`.
        predicted_iou: N scores.
        stability: N stability scores.
        shares: N shares of the image that the masks cover, above 0.

    Returns:
        [N, C + 4] float64.
    """
    size = np.log(np.maximum(np.asarray(shares, dtype=np.float64), 1e-9))
    scores = np.asarray(predicted_iou, dtype=np.float64)
    return np.column_stack([np.asarray(features, dtype=np.float64), scores, stability, size, size**2])


def surely_above(hits: int, tries: int) -> float:
    """A share that the true one is above with 90 % confidence (Wilson 1927); 0 for no tries."""
    if tries == 0:
        return 0.0
    share, z2 = hits / tries, _Z**2
    middle = share + z2 / (2 * tries)
    half = _Z * math.sqrt(share * (1 - share) / tries + z2 / (4 * tries**2))
    return (middle - half) / (1 + z2 / tries)


def _line(chances: NDArray[np.float64], labels: NDArray[np.int64], precision: float) -> float:
    """The lowest probability from which on the share accepted is surely high enough; above 1 if there is none."""
    order = np.argsort(-chances, kind="stable")
    hits = np.cumsum(labels[order])
    line = 1.01
    for tries, place in enumerate(order, 1):
        if surely_above(int(hits[tries - 1]), tries) >= precision:
            line = float(chances[place])
    return line
