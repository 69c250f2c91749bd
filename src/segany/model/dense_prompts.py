"""The mask decoder for prompts that bring a mask: the same algebra, with the projections moved to the tokens.

A mask prompt changes every cell, so nothing of the image can be projected once for all prompts. But the tokens are few:
instead of projecting 4096 cells to keys, `keys q = cells (W_k' q)` brings the few queries to the cells' own width, and
values are summed before they are projected. Nothing is approximated.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from segany.model._two_way import Attention
from segany.model.mask_decoder import MaskDecoder

__all__ = ["DenseDecoder", "ScoredDensePrompts"]


class ScoredDensePrompts(NamedTuple):
    """Prompts whose masks are not drawn yet; `MaskDecoder.draw` draws them.

    Attributes:
        iou_predictions: [P, 4].
        hyper: [P, 4, E / 8], each mask's weights over the upscaled channels.
        keys: [P, N, E], the image's cells as the prompt sees them.
    """

    iou_predictions: Tensor
    hyper: Tensor
    keys: Tensor


class DenseDecoder(nn.Module):
    """A `MaskDecoder` for prompts with a dense embedding each; the same answers up to rounding."""

    def __init__(self, decoder: MaskDecoder, dense_pe: Tensor) -> None:
        """Share the decoder's modules.

        Args:
            decoder: In any precision.
            dense_pe: [1, E, S, S] of `PromptEncoder.dense_pe`, in the same precision.
        """
        super().__init__()
        self.decoder = decoder
        self.register_buffer("position", dense_pe.flatten(2).transpose(1, 2), persistent=False)
        self.position: Tensor

    def score(self, embedding: Tensor, dense: Tensor, tokens: Tensor) -> ScoredDensePrompts:
        """Run the two-way transformer and the heads that read the tokens alone.

        Args:
            embedding: [1, N, E], the image's cells.
            dense: [P, N, E] of `PromptEncoder.dense_cells`.
            tokens: [P, T, E] of `MaskDecoder.prompt_tokens`.
        """
        cells = embedding + dense
        transformer, x = self.decoder.transformer, tokens
        for layer in transformer.two_way_layers:
            # As the layer itself, but for the two attentions between tokens and cells.
            placed = x if layer.first else x + tokens
            attended = layer.self_attn(placed, placed, x)
            x = layer.norm1(attended if layer.first else x + attended)
            located = cells + self.position
            x = layer.norm2(x + _read(layer.cross_attn_token_to_image, x + tokens, located, cells))
            x = layer.norm3(x + layer.mlp(x))
            cells = layer.norm4(cells + _write(layer.cross_attn_image_to_token, located, x + tokens, x))
        last = _read(transformer.final_attn_token_to_image, x + tokens, cells + self.position, cells)
        x = transformer.norm_final_attn(x + last)
        hyper = self.decoder.hyper(x[:, 1:5])
        return ScoredDensePrompts(self.decoder.iou_prediction_head(x[:, 0]), hyper, cells)


def _read(attention: Attention, queries: Tensor, located: Tensor, cells: Tensor) -> Tensor:
    """Attention from tokens [P, T, E] to cells [P, N, E], with and without their positions: [P, T, E]."""
    q = _heads(attention, attention.q_proj(queries)) * _scale(attention)
    # The bias of the keys shifts all scores of a token alike: softmax drops it.
    scores = torch.matmul(_widened(q, attention.k_proj), located.transpose(1, 2))
    # The softmax, divided after the product: OpenVINO takes its own for a fused attention, which is half as fast here.
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    sums = torch.unflatten(torch.matmul(weights, cells) / weights.sum(-1, keepdim=True), 1, (attention.heads, -1))
    values = torch.matmul(sums, _per_head(attention, attention.v_proj).transpose(1, 2))
    answer: Tensor = attention.out_proj(values.transpose(1, 2).flatten(2) + attention.v_proj.bias)
    return answer


def _write(attention: Attention, located: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention from cells [P, N, E] to tokens [P, T, E]: [P, N, E]."""
    k = _heads(attention, attention.k_proj(keys)) * _scale(attention)
    v = _heads(attention, attention.v_proj(values))
    bias = torch.matmul(k, torch.unflatten(attention.q_proj.bias, 0, (attention.heads, -1)).unsqueeze(-1))
    scores = torch.matmul(_widened(k, attention.q_proj), located.transpose(1, 2)) + bias.flatten(1, 2)
    weights = torch.unflatten(scores, 1, (attention.heads, -1)).softmax(2).flatten(1, 2)
    out = torch.unflatten(attention.out_proj.weight.T, 0, (attention.heads, -1))
    return torch.matmul(weights.transpose(1, 2), torch.matmul(v, out).flatten(1, 2)) + attention.out_proj.bias


def _scale(attention: Attention) -> float:
    """1 / sqrt(d). Of the layer's width: a tensor's shape would be looked up, and a power taken, for every score."""
    return float((attention.q_proj.out_features // attention.heads) ** -0.5)


def _heads(attention: Attention, x: Tensor) -> Tensor:
    """[P, T, H d] -> [P, H, T, d]."""
    return torch.unflatten(x, -1, (attention.heads, -1)).transpose(1, 2)


def _per_head(attention: Attention, projection: nn.Linear) -> Tensor:
    """The weight of a projection: [H, d, E]."""
    return torch.unflatten(projection.weight, 0, (attention.heads, -1))


def _widened(rows: Tensor, projection: nn.Linear) -> Tensor:
    """Rows of every head [P, H, T, d] at the width of the cells: [P, H T, E]."""
    weight = torch.unflatten(projection.weight, 0, (rows.shape[1], -1))
    return torch.matmul(rows, weight).flatten(1, 2)
