"""Backend: the narrow seam between predicting and computing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segany.errors import EmbeddingError
from segany.model.config import ModelConfig
from segany.schema import PromptBatch

__all__ = ["Backend", "Features", "Scored", "embedding_of"]


class Features(Protocol):
    """What the image encoder made of one image, on the backend's device; nobody else looks inside."""

    def to_numpy(self) -> Mapping[str, NDArray[Any]]:
        """Named arrays that `Backend.features_from_numpy` turns back into the same features, bit for bit."""
        ...


@dataclass(frozen=True, eq=False)
class Scored:
    """Prompts that went through the decoder's transformer; their masks are not computed yet.

    Attributes:
        iou_predictions: [P, 4] float32: mask 0 is the single answer, 1 to 3 are whole, part and subpart.
        state: What `Backend.low_res` needs to finish; opaque.
    """

    iou_predictions: NDArray[np.float32]
    state: Any


class Backend(Protocol):
    """Computes features and masks. Stateless and thread-safe: everything it needs comes in, everything goes out.

    Attributes:
        key: Runtime, its version, device and precision: features of one key never meet another.
        config: The model's config.
        model_digest: Digest of the model's parameters.
        encoder_digest: Digest of what features depend on: the encoder's parameters, its config and the preprocessing.
            Features that are given as arrays serve every model of the same encoder.
        encode_batch: How many images `encode` should get at once.
        score_batch: How many prompts `score` should get at once.
        score_least: How many it should get at least, where others of the same image are scored too: fewer may be
            computed in another way, with memory of its own and last digits of its own.
        score_ahead: How many further calls of `score` and `sample` may run beside the one whose masks are being drawn;
            0 where that would not use the device better.
    """

    key: str
    config: ModelConfig
    model_digest: str
    encoder_digest: str
    encode_batch: int
    score_batch: int
    score_least: int
    score_ahead: int

    def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Features]:
        """Run the image encoder.

        Args:
            images: Each [h, w, 3] uint8 RGB, resized into the model's frame, not yet padded.

        Returns:
            One Features for each image.
        """
        ...

    def score(self, features: Features, batch: PromptBatch) -> Scored:
        """Run the prompt encoder, the decoder's transformer and the IoU head."""
        ...

    def low_res(self, scored: Scored, index: NDArray[np.int64], near: float | None = None) -> NDArray[np.float32]:
        """Compute masks of scored prompts.

        Args:
            scored: From `score`.
            index: [K, 2] int64: (prompt, mask), mask 0 to 3.
            near: None for all logits as they are. Else those of a region where the mask is surely inside or outside,
                all of them farther from 0 than this, may be given roughly.

        Returns:
            [K, h, w] float32 logits over the model's padded input.
        """
        ...

    def sample(self, scored: Scored, index: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Of masks of scored prompts, every fourth logit of every fourth row: what `low_res` has at 2, 6, 10...

        Args:
            scored: From `score`.
            index: [K, 2] int64: (prompt, mask), mask 0 to 3.

        Returns:
            [K, h / 4, w / 4] float32 logits, or None where a sample costs nearly as much as the whole.
        """
        ...

    def features_from_numpy(self, arrays: Mapping[str, NDArray[Any]]) -> Features:
        """The inverse of `Features.to_numpy`.

        Raises:
            EmbeddingError: The arrays are not this model's features.
        """
        ...


def embedding_of(arrays: Mapping[str, NDArray[Any]], config: ModelConfig) -> NDArray[Any]:
    """The image embedding among the arrays of `Features.to_numpy`: [1, E, s, s].

    Args:
        arrays: By name.
        config: Of the model that is to decode it.

    Raises:
        EmbeddingError: There is none, or it is another model's.
    """
    embedding, side = arrays.get("embedding"), config.embedding_side
    if embedding is None or embedding.shape != (1, config.embed_dim, side, side):
        shape = None if embedding is None else list(embedding.shape)
        raise EmbeddingError(
            f"{config.name} needs an embedding [1, {config.embed_dim}, {side}, {side}], got {shape}; "
            "embed the image again."
        )
    return embedding
