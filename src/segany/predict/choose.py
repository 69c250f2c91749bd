"""MaskChooser: which of a click's three masks was meant, from where the click lies and from what was accepted before.

One click may mean a whole, a part or a subpart (SAM paper, sec. 3), and choosing among them by predicted IoU loses more
than anything else at one click. Three things are known beside the prediction: many people click well inside what they
mean, and within one project people mean things of one granularity, and of like size. How far each of the three can be
relied on differs from project to project, so it is found out: every accepted mask tells what each rule would have
chosen, and the rule that did best so far is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError
from segany.geometry import Frame, Size
from segany.masks import RLE, LogitWindow, rle_iou_matrix
from segany.schema import Prediction, Prompt

__all__ = ["CANDIDATES", "Candidates", "MaskChooser", "look_at"]

CANDIDATES = 3
_FORMAT = "segany-chooser-1"

# Weights of the click's depth, of what was learned of each candidate, and of its size: the rules to choose among.
_RULES = tuple(product((0.0, 0.3, 0.6), (0.0, 1.0, 2.0), (0.0, 0.05, 0.15)))
_FIRST_RULE = (0.3, 1.0, 0.0)
# IoU by which the first rule is ahead at the start, and by which one step away from it lags behind.
_HEAD_START = 0.2
# A mask that was corrected from a candidate is nearer to it than the truth is.
_SCALE = 0.92
_MEMORY = 60
# As many accepted masks of no surprise are taken for granted, so that the first few do not decide alone.
_PRIOR = 5.0
# What each accepted mask leaves of the rules' earlier gains.
_KEPT = 0.99
# Sizes are taken to differ by a factor of e^3 until a project shows that they differ less; _PRIOR says how soon.
_SPREAD = 3.0
_WORST_FIT = -4.0
# Longest side of a mask, in pixels, on which depths are measured: four times as many tell nothing more.
_LONGEST = 192


class Candidates(NamedTuple):
    """What there is to choose from after a click.

    Attributes:
        scores: [3] predicted IoUs.
        depths: [3] how deep inside each mask the click lies: its distance to the outside over the largest such distance
            of the mask; 1 at its deepest point, 0 outside it.
        shares: [3] how much of the image each mask covers.
    """

    scores: NDArray[np.floating]
    depths: NDArray[np.float64]
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class MaskChooser:
    """Ranks a click's candidates by predicted IoU + weights x (depth, what was learned of the candidate, its size).

    A value: `learned` gives a new one. One chooser belongs to one project, or one class of it: what is learned from a
    mixture of things is little.

    Attributes:
        surprises: For the last accepted masks and each candidate: .92 x its IoU with the accepted mask - its predicted
            IoU; at most 60.
        sizes: For the same masks: logarithm of the share of the image that they cover.
        gains: For each rule, the IoU that it would have won over the predicted IoU alone; old ones count less.
    """

    surprises: tuple[tuple[float, ...], ...] = ()
    sizes: tuple[float, ...] = ()
    gains: tuple[float, ...] = tuple(
        _HEAD_START * (1 - sum(abs(weight - first) for weight, first in zip(rule, _FIRST_RULE, strict=True)))
        for rule in _RULES
    )

    def __post_init__(self) -> None:
        """Refuse values that no chooser has."""
        if len(self.gains) != len(_RULES) or any(len(each) != CANDIDATES for each in self.surprises):
            raise ConfigError(
                f"a chooser has {CANDIDATES} surprises for each mask and {len(_RULES)} gains, got "
                f"{sorted({len(each) for each in self.surprises})} and {len(self.gains)}."
            )

    @property
    def rule(self) -> tuple[float, float, float]:
        """The rule in use: the weights of depth, bias and size."""
        return _RULES[int(np.argmax(self.gains))]

    @property
    def bias(self) -> NDArray[np.float64]:
        """[3] float64: what was learned of each candidate; zeros before anything was accepted."""
        total = np.sum(self.surprises, axis=0, dtype=np.float64) if self.surprises else np.zeros(CANDIDATES)
        return np.asarray(total / (len(self.surprises) + _PRIOR))

    def preferences(self, candidates: Candidates) -> NDArray[np.float32]:
        """[3] float32: what candidates are ranked by, the highest first."""
        return self._terms(candidates) @ np.array((1.0, *self.rule), dtype=np.float32)

    def applied(self, prediction: Prediction, prompt: Prompt) -> Prediction:
        """Rank the candidates of a lone click; any other prediction is returned as it is.

        From the second click on there is one candidate, and choosing is worth nothing.

        Args:
            prediction: The answer.
            prompt: What was asked, original pixels.
        """
        if not _is_choice(prediction, prompt):
            return prediction
        return replace(prediction, preferences=self.preferences(look_at(prediction, prompt)))

    def learned(self, first: Prediction, prompt: Prompt, accepted: RLE) -> "MaskChooser":
        """What is known after one more mask was accepted.

        Args:
            first: The answer to the first click on the object, its three candidates.
            prompt: That click.
            accepted: The mask that was accepted in the end, original pixels.

        Returns:
            Itself where there was nothing to choose from, or nothing was accepted.
        """
        if not _is_choice(first, prompt) or accepted.area == 0:
            return self
        ious = rle_iou_matrix(list(first.rles()), [accepted])[:, 0]
        return self.remembered(look_at(first, prompt), ious, accepted.area / accepted.size.area)

    def remembered(self, candidates: Candidates, ious: NDArray[np.floating], share: float) -> "MaskChooser":
        """As `learned`, from figures.

        Args:
            candidates: Of the first click.
            ious: [3] their IoUs with the accepted mask.
            share: How much of the image the accepted mask covers, above 0.
        """
        scores = candidates.scores
        rules = np.array([(1.0, *rule) for rule in _RULES], dtype=np.float32)
        won = ious[np.argmax(self._terms(candidates) @ rules.T, axis=0)] - ious[int(np.argmax(scores))]
        gains = tuple(float(_KEPT * gain + more) for gain, more in zip(self.gains, won, strict=True))
        surprise = tuple(float(value) for value in _SCALE * ious - scores)
        sizes = (*self.sizes, float(np.log(share)))[-_MEMORY:]
        return MaskChooser((*self.surprises, surprise)[-_MEMORY:], sizes, gains)

    def with_another_model(self) -> "MaskChooser":
        """What stays true when the model is replaced: the sizes that are meant, and which rules paid.

        By how much scores misjudged each candidate was the former model's; of the new one it is learned anew.
        """
        return replace(self, surprises=())

    def _terms(self, candidates: Candidates) -> NDArray[np.float32]:
        """[3, 4]: what the weights of a rule are multiplied by."""
        fit = np.zeros(CANDIDATES)
        if self.sizes:
            known = np.array(self.sizes)
            squares = ((known - known.mean()) ** 2).sum() + _PRIOR * _SPREAD**2
            away = np.log(np.maximum(candidates.shares, 1e-12)) - known.mean()
            fit = np.maximum(_WORST_FIT, -(away**2) * (len(known) + _PRIOR) / squares / 2)
        return np.stack([candidates.scores, candidates.depths, self.bias, fit], axis=1).astype(np.float32)

    def linear(self) -> dict[str, Any]:
        """What `preferences` computes, for programs in other languages: weights and what they are multiplied by.

        The preference of candidate i is its predicted IoU + depth x its depth + offsets[i] + size x max(floor,
        -sharpness x (log(share) - log_share)^2), with its depth and share as in `Candidates`.
        """
        depth, learned, size = self.rule
        known = np.array(self.sizes or (0.0,))
        squares = ((known - known.mean()) ** 2).sum() + _PRIOR * _SPREAD**2
        return {
            "depth": depth,
            "offsets": tuple(float(value) for value in learned * self.bias),
            # Nothing is known of sizes before one was accepted.
            "size": size if self.sizes else 0.0,
            "log_share": float(known.mean()),
            "sharpness": float((len(known) + _PRIOR) / squares / 2),
            "floor": _WORST_FIT,
        }

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "format": _FORMAT,
            "surprises": [list(each) for each in self.surprises],
            "sizes": list(self.sizes),
            "gains": list(self.gains),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MaskChooser":
        """The inverse of `to_dict`.

        Raises:
            ConfigError: It is something else.
        """
        if values.get("format") != _FORMAT or values.keys() != {"format", "surprises", "sizes", "gains"}:
            raise ConfigError(
                f"a chooser has the format {_FORMAT} with surprises, sizes and gains, got {sorted(values)}; "
                "begin a new one."
            )
        surprises = tuple(tuple(float(value) for value in each) for each in values["surprises"])
        return cls(surprises, tuple(map(float, values["sizes"])), tuple(map(float, values["gains"])))


def look_at(prediction: Prediction, prompt: Prompt) -> Candidates:
    """What there is to choose from.

    Args:
        prediction: The answer to one click.
        prompt: That click, original pixels.
    """
    import cv2

    assert prompt.points is not None
    frame = prediction.frame
    at = frame.to_model(prompt.points[:1])[0]
    depths, shares = np.zeros(len(prediction)), np.zeros(len(prediction))
    for place, logits in enumerate(prediction.low_res_logits):
        # Neither beyond the model's own resolution nor, of a large mask, beyond what tells how deep a click lies.
        whole = _reduced(frame, min(1.0, (frame.original.area / frame.model.area) ** 0.5))
        x0, y0, x1, y1 = LogitWindow.cut(logits, whole, 0.0).box
        if x0 == x1:
            continue
        scale = whole.original.width / frame.model.width * min(1.0, _LONGEST / max(x1 - x0, y1 - y0))
        drawn = _reduced(frame, scale)
        window = LogitWindow.cut(logits, drawn, 0.0)
        x0, y0, x1, y1 = window.box
        # One pixel of outside all round: beyond the image is outside, too.
        inside = np.pad(np.concatenate(list(window.strips(drawn)), axis=1) > 0, 1)
        shares[place] = np.count_nonzero(inside) / drawn.original.area
        size = (drawn.original.width, drawn.original.height)
        x, y = (int(value) for value in at / (frame.model.width, frame.model.height) * size)
        if x0 <= x < x1 and y0 <= y < y1 and inside[y - y0 + 1, x - x0 + 1]:
            distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            depths[place] = distance[y - y0 + 1, x - x0 + 1] / distance.max()
    return Candidates(prediction.iou_predictions, depths, shares)


def _reduced(frame: Frame, scale: float) -> Frame:
    """The same region drawn with `scale` pixels for each of the model's."""
    height, width = (max(1, round(side * scale)) for side in frame.model)
    return Frame(Size(height, width), frame.model, frame.padded)


def _is_choice(prediction: Prediction, prompt: Prompt) -> bool:
    return len(prediction) == CANDIDATES and prompt.is_ambiguous
