"""A backend without weights: every prompt's mask is a disc round its first point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from segany.errors import EmbeddingError
from segany.model.config import CONFIGS, ModelConfig
from segany.predict.backends.base import Features, Scored
from segany.schema import PromptBatch

__all__ = ["FakeBackend"]


@dataclass(frozen=True, eq=False)
class FakeFeatures:
    """The mean colour, so that features of two images differ.

    Attributes:
        colour: [3] float32.
    """

    colour: NDArray[np.float32]

    def to_numpy(self) -> Mapping[str, NDArray[Any]]:
        """The colour alone."""
        return {"colour": self.colour}


class FakeBackend:
    """Discs of 8, 16, 32 and 64 low-resolution pixels' radius, scored .6 to .9; see `Backend`."""

    radii = (8.0, 16.0, 32.0, 64.0)

    def __init__(self, config: ModelConfig | None = None) -> None:
        """Take the input size from a config; MobileSAM's when left out."""
        self.config = replace(config or CONFIGS["mobile_sam"], name="fake")
        self.key = "fake/1/cpu/float32"
        self.model_digest = "0" * 64
        self.encoder_digest = "0" * 64
        self.encode_batch = 4
        self.score_batch = 64
        self.score_least = 1
        self.score_ahead = 0

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Features]:
        """See `Backend.encode`."""
        return [FakeFeatures(image.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)) for image in images]

    def score(self, features: Features, batch: PromptBatch) -> Scored:
        """See `Backend.score`."""
        cast(FakeFeatures, features)
        per_pixel = self.config.low_res_side / self.config.input_side
        centre = (self.config.low_res_side / 2, self.config.low_res_side / 2)
        centres = [tuple((c[0] + 0.5) * per_pixel) if len(c) else centre for c in batch.coords]
        scores = np.tile(np.array([0.6, 0.7, 0.8, 0.9], dtype=np.float32), (len(batch), 1))
        return Scored(scores, centres)

    def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
        """See `Backend.low_res`."""
        side = self.config.low_res_side
        y, x = np.mgrid[:side, :side].astype(np.float32) + 0.5
        discs = [
            self.radii[mask] - np.hypot(x - scored.state[prompt][0], y - scored.state[prompt][1])
            for prompt, mask in index
        ]
        return np.array(discs, dtype=np.float32).reshape(-1, side, side)

    def sample(self, scored: Scored, index: NDArray[np.int64]) -> None:
        """See `Backend.sample`: there is none."""

    def features_from_numpy(self, arrays: Mapping[str, NDArray[Any]]) -> Features:
        """See `Backend.features_from_numpy`."""
        if "colour" not in arrays:
            raise EmbeddingError("the fake backend needs its colour; embed the image again.")
        return FakeFeatures(arrays["colour"])
