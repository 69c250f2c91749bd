"""Sam: image encoder, prompt encoder and mask decoder under the published parameter names."""

from typing import Self

from torch import nn

from segany.model.config import ModelConfig, ViTConfig
from segany.model.mask_decoder import MaskDecoder
from segany.model.prompt_encoder import PromptEncoder
from segany.model.tiny_vit import TinyViT
from segany.model.vit import ViT

__all__ = ["Sam"]


class Sam(nn.Module):
    """The promptable model. It holds no image: embeddings go in and out as tensors.

    Attributes:
        config: What it was built from.
        image_encoder: [B, 3, S, S] -> [B, 256, 64, 64]; `.stages(x)` also gives the middle stages.
        prompt_encoder: `.sparse`, `.dense` and `.dense_pe`.
        mask_decoder: All four masks and their predicted IoU; `.tokens` and `.masks` are its halves.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder: ViT | TinyViT
        if isinstance(config.encoder, ViTConfig):
            self.image_encoder = ViT(config.encoder, config.embed_dim)
        else:
            self.image_encoder = TinyViT(config.encoder, config.embed_dim)
        self.prompt_encoder = PromptEncoder(config)
        self.mask_decoder = MaskDecoder(config)

    def fuse(self) -> Self:
        """Precompute what inference can share: folded batch norms and expanded attention biases.

        The result is the same up to rounding. Call it once the model is on its device and in its
        precision. Parameters, their names and digest stay as they are; `train()` and loading a state
        dict drop what was precomputed, and code that records gradients does not read it.

        Returns:
            The model itself.
        """
        if isinstance(self.image_encoder, TinyViT):
            self.image_encoder.fuse()
        return self
