"""The two-way transformer: tokens attend to the image, the image attends to the tokens (SAM paper, app. A)."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segany.model._layers import FeedForward

__all__ = ["Attention", "TwoWayLayer", "TwoWayOutput", "TwoWayTransformer"]


class TwoWayOutput(NamedTuple):
    """What the transformer made of tokens [P, T, E] and image cells [P, N, E]."""

    tokens: Tensor
    keys: Tensor


class Attention(nn.Module):
    """Attention with an inner width of its own; batches of one are shared by all prompts."""

    def __init__(self, dim: int, heads: int, inner_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(dim, inner_dim)
        self.k_proj = nn.Linear(dim, inner_dim)
        self.v_proj = nn.Linear(dim, inner_dim)
        self.out_proj = nn.Linear(inner_dim, dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[P or 1, Tq, E], [P or 1, Tk, E] twice -> [P, Tq, E]."""
        prompts = max(len(query), len(key), len(value))
        q, k, v = (
            projection(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2).expand(prompts, -1, -1, -1)
            for projection, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        )
        # There are few tokens on one side or the other: the scores are small, and plain products are quicker to learn
        # through than the fused kernel, which took a third of a step in bfloat16 on a CPU.
        scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-2, -1))
        out: Tensor = self.out_proj(torch.matmul(scores.softmax(-1), v).transpose(1, 2).flatten(2))
        return out


class TwoWayLayer(nn.Module):
    """Tokens attend to each other and to the image, then the image to them."""

    def __init__(self, dim: int, heads: int, mlp_dim: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(dim, heads, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, heads, dim // 2)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, mlp_dim, F.relu)
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, heads, dim // 2)

    def forward(self, tokens: Tensor, keys: Tensor, prompt: Tensor, position: Tensor) -> TwoWayOutput:
        """Tokens [P, T, E], cells [P or 1, N, E], the prompt's tokens as they came, the cells' positions."""
        if self.first:
            # The tokens are still the prompt itself: no second copy of it is added, and no residual.
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + prompt
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        placed_keys = keys + position
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + prompt, placed_keys, keys))
        tokens = self.norm3(tokens + self.mlp(tokens))
        keys = self.norm4(keys + self.cross_attn_image_to_token(placed_keys, tokens + prompt, tokens))
        return TwoWayOutput(tokens, keys)


class TwoWayTransformer(nn.Module):
    """Two-way layers, then a last attention from the tokens to the image."""

    def __init__(self, dim: int, depth: int, heads: int, mlp_dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(dim, heads, mlp_dim, first=index == 0) for index in range(depth))
        self.final_attn_token_to_image = Attention(dim, heads, dim // 2)
        self.norm_final_attn = nn.LayerNorm(dim)

    @property
    def two_way_layers(self) -> list[TwoWayLayer]:
        """The layers, in order."""
        return [cast(TwoWayLayer, layer) for layer in self.layers]

    def forward(self, prompt: Tensor, keys: Tensor, position: Tensor) -> TwoWayOutput:
        """Let tokens and image attend to each other.

        Args:
            prompt: [P, T, E], the output tokens and the prompt's.
            keys: [P or 1, N, E], the image's cells; one image and no mask prompt share the first
                layer's projections.
            position: [1, N, E], the cells' positions.

        Returns:
            tokens [P, T, E] and keys [P, N, E].
        """
        tokens = prompt
        for layer in self.layers:
            tokens, keys = layer(tokens, keys, prompt, position)
        last = self.final_attn_token_to_image(tokens + prompt, keys + position, keys)
        return TwoWayOutput(self.norm_final_attn(tokens + last), keys)
