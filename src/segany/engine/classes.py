"""ClassNames: what an object is called, learned from a few clicked examples on features that are there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from segany.engine.linear import LinearHead, softmax
from segany.errors import ConfigError

__all__ = ["ClassNames", "Head", "Suggestion"]

Head = Literal["auto", "prototype", "linear"]

# Below so many examples of the rarest class, a linear head knows less than the mean of the examples does.
_LINEAR_FROM = 3
_PENALTY = 1e-3
# So that names are right as often as their confidence says, for 2 to 12 classes of 1 to 10 examples each (MobileSAM,
# coco_val80, benchmarks/class_names.py): a few examples in many dimensions are told apart too easily.
_SHARPNESS = 3.0
_TEMPERATURE = 3.0
_FORMAT = "segany-class-names-2"


class Suggestion(NamedTuple):
    """A name for an object.

    Attributes:
        name: The class.
        confidence: From 0 to 1, among the names that were learned.
    """

    name: str
    confidence: float


@dataclass(frozen=True, eq=False)
class ClassNames:
    """Names learned from examples. A value: learn anew when people correct a name, it takes a moment.

    Attributes:
        names: The classes, sorted.
        head: "prototype": the nearest mean of a class; "linear": logistic regression.
        centre: [C] float64: mean of all examples, taken away before vectors are compared.
        prototypes: [K, C] float64: the mean of each class, centred, of unit length.
        linear: The head, if it is linear.
        encoder_digest: Of the encoder whose features these are, or None; a tuned decoder changes none of them.
    """

    names: tuple[str, ...]
    head: Literal["prototype", "linear"]
    centre: NDArray[np.float64]
    prototypes: NDArray[np.float64]
    linear: LinearHead | None = None
    encoder_digest: str | None = None

    @classmethod
    def learn(
        cls,
        features: NDArray[np.floating],
        names: Sequence[str],
        *,
        head: Head = "auto",
        encoder_digest: str | None = None,
    ) -> "ClassNames":
        """Learn from examples.

        Args:
            features: [N, C] of `mask_features`.
            names: N names.
            head: "auto": linear once every class has three examples.
            encoder_digest: Of the encoder whose features these are, `Backend.encoder_digest`.

        Raises:
            ConfigError: No examples, or no such head.
        """
        if head not in get_args(Head):
            raise ConfigError(f"head must be one of {', '.join(get_args(Head))}, got {head!r}.")
        given = np.asarray(features, dtype=np.float64)
        if given.ndim != 2 or len(given) == 0 or len(given) != len(names):
            raise ConfigError(f"names are learned from features [N, C] and N names, got {given.shape}, {len(names)}.")
        known = tuple(sorted(set(names)))
        labels = np.array([known.index(name) for name in names])
        centre = given.mean(axis=0) if len(known) > 1 else np.zeros(given.shape[1])
        prototypes = np.array([_unit(given[labels == k] - centre).mean(axis=0) for k in range(len(known))])
        linear = None
        rarest = int(np.bincount(labels, minlength=len(known)).min())
        if len(known) > 1 and (head == "linear" or (head == "auto" and rarest >= _LINEAR_FROM)):
            linear = LinearHead.fit(_unit(given - centre), labels.tolist(), count=len(known), penalty=_PENALTY)
        kind: Literal["prototype", "linear"] = "prototype" if linear is None else "linear"
        return cls(known, kind, centre, _unit(prototypes), linear, encoder_digest)

    def probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """[N, K] float64, rows that sum to 1, in the order of `names`.

        Args:
            features: [N, C] of `mask_features`.
        """
        vectors = _unit(np.asarray(features, dtype=np.float64) - self.centre)
        if self.linear is not None:
            flat = self.linear.probabilities(vectors) ** (1 / _TEMPERATURE)
            return np.asarray(flat / flat.sum(axis=1, keepdims=True))
        return softmax(_SHARPNESS * vectors @ self.prototypes.T)

    def suggest(self, features: NDArray[np.floating], limit: int = 3) -> list[list[Suggestion]]:
        """Names for objects, the likeliest first.

        Args:
            features: [N, C] of `mask_features`.
            limit: Most names for each.
        """
        chances = self.probabilities(features)
        order = np.argsort(-chances, axis=1, kind="stable")[:, :limit]
        return [
            [Suggestion(self.names[k], float(row[k])) for k in places.tolist()]
            for row, places in zip(chances, order, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "format": _FORMAT,
            "names": list(self.names),
            "head": self.head,
            "centre": self.centre.tolist(),
            "prototypes": self.prototypes.tolist(),
            "linear": None if self.linear is None else self.linear.to_dict(),
            "encoder_digest": self.encoder_digest,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ClassNames":
        """The inverse of `to_dict`.

        Raises:
            ConfigError: It is something else.
        """
        if values.get("format") != _FORMAT:
            raise ConfigError(f"class names have the format {_FORMAT}, got {values.get('format')!r}; learn them again.")
        return cls(
            tuple(values["names"]),
            values["head"],
            np.array(values["centre"]),
            np.array(values["prototypes"]),
            None if values["linear"] is None else LinearHead.from_dict(values["linear"]),
            values["encoder_digest"],
        )


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))
