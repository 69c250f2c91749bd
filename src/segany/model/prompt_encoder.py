"""The prompt encoder: clicks, box corners and masks become tokens (SAM paper, app. A)."""

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segany.model._layers import LayerNorm2d
from segany.model.config import ModelConfig

__all__ = ["PromptEncoder"]

LABELS = 4
"""Negative click, positive click, box corner 1, box corner 2."""


class _FourierPosition(nn.Module):
    """Random Fourier features of a position (arXiv 2006.10739).

    The frequencies stay float32 whatever the model's precision: in bfloat16 the phases of a
    1024-pixel image would lose whole pixels.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, dim // 2))
        self.positional_encoding_gaussian_matrix: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        exact = self.positional_encoding_gaussian_matrix
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        moved = self.positional_encoding_gaussian_matrix
        if moved.dtype != exact.dtype:
            self.positional_encoding_gaussian_matrix = exact.to(moved.device)
        return self

    def forward(self, positions: Tensor) -> Tensor:
        """[..., 2] (x, y) in 0..1 -> [..., E] float32."""
        phases = 2 * math.pi * ((2 * positions.float() - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([phases.sin(), phases.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Turns prompts into the sparse tokens and the dense map that the mask decoder reads."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, channels = config.embed_dim, config.mask_channels
        self.input_side = config.input_side
        self.embedding_side = config.embedding_side
        self.pe_layer = _FourierPosition(dim)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(LABELS))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, channels // 4, 2, 2),
            LayerNorm2d(channels // 4),
            nn.GELU(),
            nn.Conv2d(channels // 4, channels, 2, 2),
            LayerNorm2d(channels),
            nn.GELU(),
            nn.Conv2d(channels, dim, 1),
        )
        self.no_mask_embed = nn.Embedding(1, dim)
        self._dense_pe: Tensor | None = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._dense_pe = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._dense_pe = None
        super()._load_from_state_dict(*args, **kwargs)

    def sparse(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Encode clicks and box corners; the half pixel to the pixel's centre is added here.

        Args:
            coords: [P, T, 2] (x, y), model pixels (pixel indices, no half pixel); T may be 0.
            labels: [P, T] integers: -1 padding, 0 negative click, 1 positive click, 2 a box's top left
                corner, 3 its bottom right corner. The reference's order is points, then corners, and
                one padding point where there are points and no box: the caller puts it in.

        Returns:
            [P, T, E] in the model's precision.
        """
        positions: Tensor = self.pe_layer((coords + 0.5) / self.input_side)
        # Row 0 is padding, rows 1 to 4 are the labels 0 to 3.
        kinds = torch.cat([self.not_a_point_embed.weight, *self.point_embeddings.parameters()])
        where = (labels >= 0).unsqueeze(-1)
        tokens = torch.where(where, positions, 0.0) + kinds[labels.long() + 1]
        return tokens.to(kinds.dtype)

    def dense(self, mask_logits: Tensor | None) -> Tensor:
        """Encode a mask prompt.

        Args:
            mask_logits: [P, h, w] logits at `ModelConfig.low_res_side`, framed as the decoder's own
                output; None for no mask.

        Returns:
            [P, E, S, S] with S = `ModelConfig.embedding_side`; [1, E, S, S] for no mask.
        """
        side = self.embedding_side
        if mask_logits is None:
            return self.no_mask_embed.weight.view(1, -1, 1, 1).expand(1, -1, side, side)
        maps: Tensor = self.mask_downscaling(mask_logits.unsqueeze(1).to(self.no_mask_embed.weight.dtype))
        return maps

    def dense_cells(self, mask_logits: Tensor | None) -> Tensor:
        """What `dense` gives, cell by cell, made so: no large transposition.

        Args:
            mask_logits: As `dense`.

        Returns:
            [P, N, E] with N = S x S; [1, N, E] for no mask.
        """
        if mask_logits is None:
            return self.no_mask_embed.weight.unsqueeze(0).expand(1, self.embedding_side**2, -1)
        *narrow, widen = self.mask_downscaling
        maps = mask_logits.unsqueeze(1).to(self.no_mask_embed.weight.dtype)
        for layer in narrow:
            maps = layer(maps)
        assert isinstance(widen, nn.Conv2d)
        return F.linear(maps.flatten(2).transpose(1, 2), widen.weight.flatten(1), widen.bias)

    def dense_pe(self) -> Tensor:
        """The position of every cell of the image embedding: [1, E, S, S] in the model's precision, cached."""
        if self._dense_pe is None:
            # Outside inference mode, so that a cache filled by a prediction serves training too.
            with torch.inference_mode(False), torch.no_grad():
                self._dense_pe = self._grid_positions()
        return self._dense_pe

    def _grid_positions(self) -> Tensor:
        side = self.embedding_side
        weight = self.no_mask_embed.weight
        centres = (torch.arange(side, device=weight.device, dtype=torch.float32) + 0.5) / side
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        positions: Tensor = self.pe_layer(torch.stack([x, y], dim=-1))
        return positions.permute(2, 0, 1).unsqueeze(0).to(weight.dtype)
