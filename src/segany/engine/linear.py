"""LinearHead: classes of feature vectors by multinomial logistic regression, fitted in a moment from few examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segany.errors import ConfigError

__all__ = ["LinearHead", "softmax"]


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Probabilities of classes: softmax of (x - mean) / spread @ weights + offsets.

    Attributes:
        mean: [C] float64 of the examples.
        spread: [C] float64: their standard deviation, 1 where they do not differ.
        weights: [C, K] float64.
        offsets: [K] float64.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        vectors: NDArray[np.floating],
        classes: Sequence[int],
        *,
        count: int,
        penalty: float,
        balanced: bool = True,
    ) -> "LinearHead":
        """Fit.

        Args:
            vectors: [N, C], at least one.
            classes: N numbers from 0 to `count` - 1.
            count: K, how many classes there are.
            penalty: Weight of the squared weights, for each example.
            balanced: Classes weigh alike, however many examples they have; else probabilities say how often.

        Raises:
            ConfigError: No examples, or numbers that do not fit.
        """
        from scipy.optimize import minimize

        given = np.asarray(vectors, dtype=np.float64)
        labels = np.asarray(classes, dtype=np.int64)
        if given.ndim != 2 or len(given) == 0 or labels.shape != given.shape[:1]:
            raise ConfigError(f"a head needs vectors [N, C] and N classes, got {given.shape} and {labels.shape}.")
        if labels.min() < 0 or labels.max() >= count:
            raise ConfigError(f"classes must be 0 to {count - 1}, got {labels.min()} to {labels.max()}.")
        mean, spread = given.mean(axis=0), given.std(axis=0)
        spread = np.where(spread > 1e-9, spread, 1.0)
        x = (given - mean) / spread
        truth = np.eye(count)[labels]
        share = np.full(len(labels), 1 / len(labels))
        if balanced:
            share = 1 / (np.bincount(labels, minlength=count)[labels] * len(np.unique(labels)))
        width = x.shape[1]

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights, offsets = flat[: width * count].reshape(width, count), flat[width * count :]
            chances = softmax(x @ weights + offsets)
            error = (chances - truth) * share[:, None]
            value = -(share * np.log(np.maximum((chances * truth).sum(axis=1), 1e-300))).sum()
            value += penalty * float((weights**2).sum())
            return float(value), np.concatenate([(x.T @ error + 2 * penalty * weights).ravel(), error.sum(axis=0)])

        found = minimize(loss, np.zeros(width * count + count), jac=True, method="L-BFGS-B", options={"maxiter": 200})
        weights, offsets = found.x[: width * count].reshape(width, count), found.x[width * count :]
        return cls(mean, spread, weights, offsets)

    def probabilities(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """[N, K] float64, rows that sum to 1.

        Args:
            vectors: [N, C].
        """
        return softmax((np.asarray(vectors, dtype=np.float64) - self.mean) / self.spread @ self.weights + self.offsets)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: getattr(self, name).tolist() for name in ("mean", "spread", "weights", "offsets")}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "LinearHead":
        """The inverse of `to_dict`."""
        arrays = [np.array(values[name], dtype=np.float64) for name in ("mean", "spread", "weights", "offsets")]
        return cls(*arrays)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, K]: rows that sum to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
