"""The mask decoder: from the image's embedding and a prompt's tokens to four masks (SAM paper, app. A)."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segany.model._layers import LayerNorm2d
from segany.model._two_way import TwoWayTransformer
from segany.model.config import ModelConfig

__all__ = ["DecodedTokens", "MaskDecoder", "by_pixel", "in_place"]

MASKS = 4
"""Mask 0 is the single answer; masks 1 to 3 are the whole, the part and the subpart."""


class DecodedTokens(NamedTuple):
    """What is known of each prompt's masks before any mask is drawn.

    Attributes:
        mask_tokens: [P, 4, E].
        keys: [P, N, E], the image's cells as the prompt sees them, row by row.
        iou_predictions: [P, 4], the IoU that each mask is predicted to have with the object.
    """

    mask_tokens: Tensor
    keys: Tensor
    iou_predictions: Tensor


class _Head(nn.Module):
    """Three linear layers with ReLU between them."""

    def __init__(self, dim: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        sizes = [dim, hidden_dim, hidden_dim, out_dim]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        out: Tensor = self.layers[-1](x)
        return out


class _Upscaling(nn.Sequential):
    """Two transposed convolutions, computed cell by cell.

    Their stride is their kernel, so each is a product over the channels of every cell, and pixels
    need be put in their places only once, at the end, on the masks instead of on all channels.
    """

    def __init__(self, dim: int) -> None:
        first, second = (nn.ConvTranspose2d(width, out, 2, 2) for width, out in ((dim, dim // 4), (dim // 4, dim // 8)))
        super().__init__(first, LayerNorm2d(dim // 4), nn.GELU(), second, nn.GELU())

    @property
    def convolutions(self) -> tuple[nn.ConvTranspose2d, nn.ConvTranspose2d]:
        """The first and the second."""
        return cast(nn.ConvTranspose2d, self[0]), cast(nn.ConvTranspose2d, self[3])

    @property
    def norm(self) -> LayerNorm2d:
        """The norm between them."""
        return cast(LayerNorm2d, self[1])

    def forward(self, input: Tensor) -> Tensor:
        """[P, N, E] -> [P, N, 4, 4, E / 8]: cell, pixel of the first 2x2, pixel of the second 2x2."""
        first, second = self.convolutions
        x = nn.LayerNorm.forward(self.norm, _upscale(input, first))
        return F.gelu(_upscale(F.gelu(x), second))


class MaskDecoder(nn.Module):
    """Predicts four masks per prompt and the IoU of each."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.transformer = TwoWayTransformer(dim, config.decoder_depth, config.decoder_heads, config.decoder_mlp_dim)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(MASKS, dim)
        self.output_upscaling = _Upscaling(dim)
        self.output_hypernetworks_mlps = nn.ModuleList(_Head(dim, dim, dim // 8) for _ in range(MASKS))
        self.iou_prediction_head = _Head(dim, config.iou_hidden_dim, MASKS)

    def prompt_tokens(self, sparse: Tensor) -> Tensor:
        """Put the IoU token and the four mask tokens before a prompt's own: [P, T, E] -> [P, 5 + T, E]."""
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        return torch.cat([own.expand(sparse.shape[0], -1, -1), sparse], dim=1)

    def hyper(self, mask_tokens: Tensor) -> Tensor:
        """Each mask's weights over the upscaled channels: [P, 4, E] -> [P, 4, E / 8]."""
        heads = [head(mask_tokens[:, index]) for index, head in enumerate(self.output_hypernetworks_mlps)]
        return torch.stack(heads, dim=1)

    def tokens(self, image_embedding: Tensor, dense_pe: Tensor, sparse: Tensor, dense: Tensor) -> DecodedTokens:
        """Run the transformer: the IoU predictions, and what the masks are drawn from.

        Args:
            image_embedding: [1 or P, E, S, S]; one image is shared by all prompts.
            dense_pe: [1, E, S, S] of `PromptEncoder.dense_pe`.
            sparse: [P, T, E] of `PromptEncoder.sparse`; T may be 0.
            dense: [1 or P, E, S, S] of `PromptEncoder.dense`.

        Returns:
            mask_tokens [P, 4, E], keys [P, S * S, E], iou_predictions [P, 4].
        """
        keys = _as_cells(image_embedding + dense)
        tokens, keys = self.transformer(self.prompt_tokens(sparse), keys, _as_cells(dense_pe))
        return DecodedTokens(tokens[:, 1 : 1 + MASKS], keys, self.iou_prediction_head(tokens[:, 0]))

    def masks(self, mask_tokens: Tensor, keys: Tensor, mask_indices: Tensor | Sequence[int] | None = None) -> Tensor:
        """Draw masks, all four or only those asked for.

        Args:
            mask_tokens: [P, 4, E] of `tokens`.
            keys: [P, S * S, E] of `tokens`.
            mask_indices: Which masks: [k] for every prompt, or [P, k] int64; None for all four.

        Returns:
            [P, k, 4 S, 4 S] logits; above 0 is the object.
        """
        weights = self.hyper(mask_tokens)
        if mask_indices is not None:
            wanted = torch.as_tensor(mask_indices, device=weights.device).expand(len(weights), -1)
            weights = weights.gather(1, wanted[..., None].expand(-1, -1, weights.shape[2]))
        return self.draw(weights, keys)

    def draw(self, weights: Tensor, keys: Tensor) -> Tensor:
        """Draw the masks of given weights.

        Args:
            weights: [P, k, E / 8] of `hyper`.
            keys: [P, S * S, E] of `tokens`.

        Returns:
            [P, k, 4 S, 4 S] logits.
        """
        x = self.output_upscaling(keys)
        return in_place(torch.matmul(weights, x.flatten(1, 3).transpose(1, 2)))

    def forward(
        self, image_embedding: Tensor, dense_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """All four masks: logits [P, 4, 4 S, 4 S] and IoU predictions [P, 4]. Arguments as `tokens`."""
        decoded = self.tokens(image_embedding, dense_pe, sparse, dense)
        return self.masks(decoded.mask_tokens, decoded.keys), decoded.iou_predictions


def in_place(pixels: Tensor) -> Tensor:
    """Put logits that come cell by cell in their places: [P, k, N * 16] -> [P, k, 4 S, 4 S]."""
    side = math.isqrt(pixels.shape[2] // 16)
    # k, cell y, cell x, first y, first x, second y, second x -> k, y, x
    grid = pixels.reshape(pixels.shape[0], -1, side, side, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
    return grid.reshape(pixels.shape[0], -1, 4 * side, 4 * side)


def _as_cells(grid: Tensor) -> Tensor:
    """[B, E, S, S] -> [B, S * S, E]."""
    return grid.flatten(2).transpose(1, 2)


def _upscale(cells: Tensor, convolution: nn.ConvTranspose2d) -> Tensor:
    """A 2x2 transposed convolution of stride 2, cell by cell: [P, ..., C] -> [P, ..., 4, C']."""
    weight, bias = by_pixel(convolution)
    return F.linear(cells, weight, bias).view(*cells.shape[:-1], 4, convolution.out_channels)


def by_pixel(convolution: nn.ConvTranspose2d) -> tuple[Tensor, Tensor]:
    """A 2x2 transposed convolution of stride 2 as a product over channels: weight [4 C', C] and bias [4 C']."""
    assert convolution.bias is not None
    return convolution.weight.permute(2, 3, 1, 0).flatten(0, 2), convolution.bias.repeat(4)
