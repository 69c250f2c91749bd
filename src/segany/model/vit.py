"""SAM's image encoder: a plain ViT with windowed blocks and decomposed relative positions.

Sources: SAM paper, app. A; ViTDet (arXiv 2203.16527); relative positions of MViTv2 (arXiv 2112.01526).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segany.model._layers import FeedForward, make_neck
from segany.model._stages import EncoderStages
from segany.model._windows import join_windows, split_windows
from segany.model.config import ViTConfig

__all__ = ["ViT"]

# A global block's position bias holds heads x tokens^2 numbers, 0.8 GB for ViT-B at 1024 pixels.
# Heads are taken in groups whose bias stays under this many numbers.
_BIAS_BUDGET = 1 << 26


class _PatchEmbed(nn.Module):
    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, S, S] -> [B, h, w, C]."""
        patches: Tensor = self.proj(x)
        return patches.permute(0, 2, 3, 1)


def _relative_table(positions: Tensor, side: int) -> Tensor:
    """The relative positions of every pair on one axis.

    Args:
        positions: [2 * n - 1, C], a learned row per offset, made for side n.
        side: Number of tokens on the axis; another than n interpolates linearly, as in MViTv2.

    Returns:
        [side (query), side (key), C].
    """
    offsets = 2 * side - 1
    if positions.shape[0] != offsets:
        positions = F.interpolate(positions.T[None], size=offsets, mode="linear")[0].T
    axis = torch.arange(side, device=positions.device)
    return positions[axis[:, None] - axis[None] + side - 1]


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, dim // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, dim // heads))

    def forward(self, x: Tensor) -> Tensor:
        """[B, h, w, C] -> [B, h, w, C]."""
        batch, height, width, dim = x.shape
        tokens = height * width
        qkv: Tensor = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        rows = _relative_table(self.rel_pos_h, height)
        columns = _relative_table(self.rel_pos_w, width)
        group = max(1, _BIAS_BUDGET // (batch * tokens * tokens))
        parts = [
            F.scaled_dot_product_attention(q, k, v, attn_mask=_position_bias(q, rows, columns))
            for q, k, v in zip(*(torch.split(x, group, 1) for x in (query, key, value)), strict=True)
        ]
        heads = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        out: Tensor = self.proj(heads.transpose(1, 2).reshape(batch, height, width, dim))
        return out


def _position_bias(query: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """What the relative positions add to the attention scores.

    Args:
        query: [B, heads, h * w, C], not scaled.
        rows: [h, h, C] of `_relative_table`.
        columns: [w, w, C] of `_relative_table`.

    Returns:
        [B, heads, h * w, h * w].
    """
    height, width = rows.shape[0], columns.shape[0]
    grid = query.reshape(*query.shape[:2], height, width, -1)
    by_row = torch.einsum("bnhwc,hkc->bnhwk", grid, rows)
    by_column = torch.einsum("bnhwc,wkc->bnhwk", grid, columns)
    bias = by_row[..., :, None] + by_column[..., None, :]
    return bias.flatten(4, 5).flatten(2, 3)


class _Block(nn.Module):
    def __init__(self, config: ViTConfig, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(config.dim, eps=1e-6)
        self.attn = _Attention(config.dim, config.heads, window or config.pretrain_side // config.patch)
        self.norm2 = nn.LayerNorm(config.dim, eps=1e-6)
        self.mlp = FeedForward(config.dim, int(config.dim * config.mlp_ratio), F.gelu)

    def forward(self, x: Tensor) -> Tensor:
        """[B, h, w, C] -> [B, h, w, C]."""
        normed: Tensor = self.norm1(x)
        if self.window:
            windows, grid = split_windows(normed, self.window)
            x = x + join_windows(self.attn(windows), grid)
        else:
            x = x + self.attn(normed)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ViT(nn.Module):
    """SAM's ViT-B, L and H. Takes any input side that is a multiple of the patch."""

    def __init__(self, config: ViTConfig, embed_dim: int) -> None:
        super().__init__()
        side = config.pretrain_side // config.patch
        self.patch_embed = _PatchEmbed(config.dim, config.patch)
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, config.dim))
        self.blocks = nn.ModuleList(
            _Block(config, 0 if index in config.global_blocks else config.window) for index in range(config.depth)
        )
        self.neck = make_neck(config.dim, embed_dim)

    def _positions(self, height: int, width: int) -> Tensor:
        """The absolute positions [1, h, w, C]; interpolated bicubically for another side, as in ViTDet."""
        if self.pos_embed.shape[1:3] == (height, width):
            return self.pos_embed
        channels_first = self.pos_embed.permute(0, 3, 1, 2)
        resized = F.interpolate(channels_first, size=(height, width), mode="bicubic", align_corners=False)
        return resized.permute(0, 2, 3, 1)

    def stages(self, x: Tensor) -> EncoderStages:
        """Encode; a plain ViT has no stages, so only the embedding is set. See `forward`."""
        return EncoderStages(embedding=self(x))

    def forward(self, x: Tensor) -> Tensor:
        """Encode [B, 3, S, S], normalised and padded, to [B, E, S / patch, S / patch]."""
        x = self.patch_embed(x)
        x = x + self._positions(x.shape[1], x.shape[2])
        for block in self.blocks:
            x = block(x)
        embedding: Tensor = self.neck(x.permute(0, 3, 1, 2))
        return embedding
