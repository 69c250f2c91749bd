"""What an image encoder gives."""

from typing import NamedTuple

from torch import Tensor

__all__ = ["EncoderStages"]


class EncoderStages(NamedTuple):
    """An image encoder's output, with the intermediate stages that video matching reads.

    Attributes:
        embedding: [B, E, h, w], the image embedding.
        l1: [B, C1, h, w], the output of TinyViT's second stage; None for a plain ViT.
        l2: [B, C2, h, w], the output of TinyViT's third stage; None for a plain ViT.
    """

    embedding: Tensor
    l1: Tensor | None = None
    l2: Tensor | None = None
