"""The mask decoder for many prompts on one image: the same algebra, arranged so that prompts share what they can.

The decoder's attention from the image to T tokens adds to every cell a sum of few vectors, so what a prompt changes in
the cells has a low rank, and the cells themselves need never be formed:

    cells after layer 1 = (X + M' A) r1 g1 + b1              A: [J, N] attention weights, M: [J, E], J = heads x T
    cells after layer 2 = (r1 XG + b + W' Z) r2 g2 + b2      Z = [r1 A; B]: [2 J, N], W: [2 J, E]

X and XG belong to the image; A, B, M and W to the prompt; r1 and r2 are the layer norms' 1 / sigma, quadratic forms in
A and Z once every vector is centred. What reads the cells next (keys, values, queries, the first transposed
convolution) is linear, so it is a projection of X or XG, made once for the image, plus a small product with A or Z.
Masks are drawn only for the prompts and the outputs that are asked for. Nothing is approximated.

Cells (N) are the last axis wherever possible: every product is then a short matrix times a long one.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segany.model._structured_constants import Constants
from segany.model._two_way import Attention
from segany.model.mask_decoder import MaskDecoder, in_place

__all__ = ["ScoredPrompts", "SharedProjections", "StructuredDecoder"]


class SharedProjections(NamedTuple):
    """What all prompts of one image share. H heads of d channels, N cells; `norms` is float32.

    Attributes:
        keys1: [H, d, N], layer 1: what the tokens look for.
        values1: [H, d, N].
        queries1: [H, d, N], scaled.
        cross1: [H, d, N], the variance's term between image and prompt.
        keys2: [H, d, N], layer 2.
        values2: [H, d, N].
        queries2: [H, d, N], scaled.
        cross2: [2 H, d, N].
        keys3: [H, d, N], the last attention.
        values3: [H, d, N].
        position_keys2: [H, d, N], what the cells' positions add to the keys, the same for every image.
        position_queries2: [H, d, N], scaled.
        position_keys3: [H, d, N].
        upscaled: [N, E], the first transposed convolution.
        norms: [3, N], the variances' terms of the image alone.
    """

    keys1: Tensor
    values1: Tensor
    queries1: Tensor
    cross1: Tensor
    keys2: Tensor
    values2: Tensor
    queries2: Tensor
    cross2: Tensor
    keys3: Tensor
    values3: Tensor
    position_keys2: Tensor
    position_queries2: Tensor
    position_keys3: Tensor
    upscaled: Tensor
    norms: Tensor


class ScoredPrompts(NamedTuple):
    """Prompts whose masks are not drawn yet.

    Attributes:
        iou_predictions: [P, 4] float32.
        hyper: [P, 4, E / 8] float32, each mask's weights over the upscaled channels.
        z: [P, 2 J, N], the prompt's part of the cells.
        w: [P, 2 J, E] float32, what each row of `z` stands for.
        r: [P, 2, N] float32, 1 / sigma of the two layer norms.
    """

    iou_predictions: Tensor
    hyper: Tensor
    z: Tensor
    w: Tensor
    r: Tensor


class _FirstLayer(NamedTuple):
    """After layer 1: tokens [P, T, E], values [P, H, T, d], A and scores' part M of it, 1 / sigma."""

    tokens: Tensor
    values: Tensor
    a: Tensor
    m: Tensor
    r: Tensor


class StructuredDecoder(nn.Module):
    """A `MaskDecoder` of two layers for prompts without a mask prompt; the same answers up to rounding.

    The decoder's own modules run the tokens, in float32. The image's side runs in the chosen precision.
    """

    def __init__(self, decoder: MaskDecoder, dense_pe: Tensor, no_mask: Tensor, dtype: torch.dtype) -> None:
        """Derive the constants; a later change of the decoder's parameters is not seen.

        Args:
            decoder: In float32 (or float64); its modules are shared, not copied.
            dense_pe: [1, E, S, S] of `PromptEncoder.dense_pe`.
            no_mask: [E], the dense embedding of prompts without a mask.
            dtype: Precision of the image's side.
        """
        super().__init__()
        self.decoder = decoder
        self.constants = Constants(decoder, dense_pe, no_mask, dtype)
        self.dtype = dtype
        self.heads = decoder.transformer.final_attn_token_to_image.heads

    @staticmethod
    def supports(decoder: MaskDecoder) -> bool:
        """Whether the decoder has the two layers that the algebra is written for."""
        return len(decoder.transformer.two_way_layers) == 2

    def prepare(self, embedding: Tensor) -> SharedProjections:
        """Project the image once for all its prompts.

        Args:
            embedding: [1, E, S, S]; the dense embedding for "no mask" is added here.
        """
        c = self.constants
        # Channels first, as the encoder leaves them: no large transposition.
        cells = embedding.flatten(2)[0].to(c.position) + c.no_mask
        x = _centred(cells + c.image_out_bias1)
        xg = _centred(x * c.gain)
        placed = cells + c.position
        norms = [x.square().mean(0) + c.eps, xg.square().mean(0), torch.matmul(c.twice_shift.T, xg)[0] / xg.shape[0]]
        return SharedProjections(
            keys1=self._project(c.image_keys1, placed),
            values1=self._project(c.image_values1, cells, c.image_bias_values1),
            queries1=self._project(c.image_queries1, placed, c.image_bias_queries1),
            cross1=self._project(c.image_cross1, x),
            keys2=self._project(c.image_keys2, x),
            values2=self._project(c.image_values2, x),
            queries2=self._project(c.image_queries2, x),
            cross2=self._project(c.image_cross2, xg),
            keys3=self._project(c.image_keys3, xg),
            values3=self._project(c.image_values3, xg),
            position_keys2=c.position_keys2,
            position_queries2=c.position_queries2,
            position_keys3=c.position_keys3,
            upscaled=torch.matmul(xg.T, c.image_upscaled.T).to(self.dtype),
            norms=torch.stack(norms),
        )

    def score(self, shared: SharedProjections, tokens: Tensor) -> ScoredPrompts:
        """Run the two-way transformer and the heads that read the tokens alone.

        Args:
            shared: Of `prepare`.
            tokens: [P, T, E] of `MaskDecoder.prompt_tokens`.
        """
        first = self._first_layer(shared, tokens)
        y, z, w, r2 = self._second_layer(shared, tokens, first)
        last = self._last_attention(shared, y + tokens, z, w, first.r, r2)
        out = self.decoder.transformer.norm_final_attn(y + last)
        hyper = self.decoder.hyper(out[:, 1:5])
        return ScoredPrompts(self.decoder.iou_prediction_head(out[:, 0]), hyper, z, w, torch.cat([first.r, r2], 1))

    def masks(self, upscaled: Tensor, hyper: Tensor, z: Tensor, w: Tensor, r: Tensor) -> Tensor:
        """Draw masks.

        Args:
            upscaled: [N, E] of `prepare`.
            hyper: [P, k, E / 8] of `score`, the masks that are wanted.
            z: [P, 2 J, N] of `score`.
            w: [P, 2 J, E] of `score`.
            r: [P, 2, N] of `score`.

        Returns:
            [P, k, 4 S, 4 S] logits in the image side's precision.
        """
        c, dtype = self.constants, self.dtype
        r1, r2 = r.to(dtype).unsqueeze(-1).unbind(1)
        own = torch.matmul(z.transpose(1, 2), F.linear(w, c.upscale).to(dtype))
        x = (own + r1 * upscaled + c.upscale_shift) * r2 + c.upscale_bias
        norm = self.decoder.output_upscaling.norm
        x = torch.unflatten(x, -1, (4, -1))
        x = F.layer_norm(x, [*norm.normalized_shape], c.upscale_gain, c.upscale_offset, norm.eps)
        x = F.gelu(F.linear(F.gelu(x), c.second_weight, c.second_bias))
        # [P, cell, first 2x2, second 2x2 x channels] -> [P, pixel, channels]
        x = x.reshape(x.shape[0], -1, hyper.shape[2])
        return in_place(torch.matmul(hyper.to(dtype), x.transpose(1, 2)))

    def _project(self, weight: Tensor, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """[H d, E] by [E, N] -> [H, d, N]."""
        y = torch.matmul(weight, x)
        return torch.unflatten(y if bias is None else y + bias, 0, (-1, self.constants.head_dim)).to(self.dtype)

    def _heads(self, x: Tensor) -> Tensor:
        """[P, T, H d] -> [P, H, T, d]."""
        return torch.unflatten(x, -1, (self.heads, -1)).transpose(1, 2)

    def _over(self, rows: Tensor, image: Tensor) -> Tensor:
        """[P, H, T, d] by [H, d, N] -> [P, H T, N]."""
        return torch.matmul(rows.to(self.dtype), image).flatten(1, 2)

    def _times(self, matrix: Tensor, rows: Tensor) -> Tensor:
        """[P, I, J] by [P, J, N] -> [P, I, N]."""
        return torch.matmul(matrix.to(self.dtype), rows)

    def _gather(self, weights: Tensor, rows: Tensor, basis: Tensor, values: Tensor) -> Tensor:
        """Sum the prompt's part of the cells by attention weights and read its values: [P, H, T, d]."""
        sums = torch.matmul(weights, rows.transpose(1, 2)).to(basis.dtype)
        return torch.matmul(torch.unflatten(torch.matmul(sums, basis), 1, (self.heads, -1)), values.transpose(1, 2))

    def _answer(self, attention: Attention, out: Tensor) -> Tensor:
        """[P, H, T, d] -> [P, T, E]."""
        answer: Tensor = attention.out_proj(out.transpose(1, 2).flatten(2))
        return answer

    def _softmax_tokens(self, scores: Tensor) -> Tensor:
        """Over the tokens of each head: [P, H T, N]."""
        return torch.unflatten(scores, 1, (self.heads, -1)).softmax(2).flatten(1, 2)

    def _first_layer(self, shared: SharedProjections, tokens: Tensor) -> _FirstLayer:
        c, layer = self.constants, self.decoder.transformer.two_way_layers[0]
        x = layer.norm1(layer.self_attn(tokens, tokens, tokens))
        reading, writing = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        scores = self._over(self._heads(reading.q_proj(x + tokens)) * c.scale, shared.keys1)
        weights = torch.unflatten(scores.softmax(-1), 1, (self.heads, -1))
        x = layer.norm2(x + self._answer(reading, torch.matmul(weights, shared.values1.transpose(1, 2)).to(x.dtype)))
        x = layer.norm3(x + layer.mlp(x))
        values = self._heads(writing.v_proj(x))
        a = self._softmax_tokens(self._over(self._heads(writing.k_proj(x + tokens)), shared.queries1))
        m = torch.matmul(values, c.out1).flatten(1, 2)
        gram = torch.matmul(m, m.transpose(1, 2))
        own = a * (self._times(gram, a) + self._over(2 * values, shared.cross1))
        variance = own.sum(1, keepdim=True, dtype=x.dtype) / x.shape[2] + shared.norms[0]
        return _FirstLayer(x, values, a, m, variance.rsqrt())

    def _second_layer(
        self, shared: SharedProjections, tokens: Tensor, first: _FirstLayer
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Tokens [P, T, E], Z, W and 1 / sigma after layer 2."""
        c, layer = self.constants, self.decoder.transformer.two_way_layers[1]
        reading, writing = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        x, a, m, r = first.tokens, first.a, first.m, first.r.to(self.dtype)
        placed = x + tokens
        x = layer.norm1(x + layer.self_attn(placed, placed, x))

        def scores(rows: Tensor, read: Tensor, image: Tensor, position: Tensor) -> Tensor:
            own = torch.matmul(torch.matmul(rows, read).flatten(1, 2), m.transpose(1, 2))
            return r * (self._times(own, a) + self._over(rows, image)) + self._over(rows, position)

        queries = self._heads(reading.q_proj(x + tokens)) * c.scale
        weights = scores(queries, c.keys2, shared.keys2, shared.position_keys2).softmax(-1) * r
        of_image = torch.matmul(torch.unflatten(weights, 1, (self.heads, -1)), shared.values2.transpose(1, 2)).to(
            x.dtype
        )
        out = of_image + self._gather(weights, a, m, c.values2) + c.bias_values2
        x = layer.norm2(x + self._answer(reading, out))
        x = layer.norm3(x + layer.mlp(x))

        keys = self._heads(writing.k_proj(x + tokens))
        b = self._softmax_tokens(scores(keys, c.queries2, shared.queries2, shared.position_queries2))
        z = torch.cat([r * a, b], 1)
        values = torch.cat([first.values, self._heads(writing.v_proj(x))], 1)
        w = torch.matmul(values, c.out2).flatten(1, 2)
        # Rows of A carry r1 already, and so does the image's side.
        gram = torch.matmul(w, w.transpose(1, 2))
        linear = torch.matmul(w, c.twice_shift).to(self.dtype)
        own = z * (self._times(gram, z) + r * self._over(2 * values, shared.cross2) + linear)
        image = (shared.norms[1] * first.r + shared.norms[2]) * first.r + c.shift_variance
        variance = own.sum(1, keepdim=True, dtype=x.dtype) / x.shape[2] + image
        return x, z, w, variance.rsqrt()

    def _last_attention(
        self, shared: SharedProjections, placed: Tensor, z: Tensor, w: Tensor, r1: Tensor, r2: Tensor
    ) -> Tensor:
        """From the tokens [P, T, E] to the cells after layer 2."""
        c, attention = self.constants, self.decoder.transformer.final_attn_token_to_image
        inner, outer = r1.to(self.dtype), r2.to(self.dtype)
        queries = self._heads(attention.q_proj(placed)) * c.scale
        own = torch.matmul(torch.matmul(queries, c.keys3).flatten(1, 2), w.transpose(1, 2))
        shift = (queries * c.shift_keys3).sum(-1).flatten(1).unsqueeze(-1).to(self.dtype)
        scores = outer * (self._times(own, z) + inner * self._over(queries, shared.keys3) + shift)
        weights = (scores + self._over(queries, shared.position_keys3)).softmax(-1) * outer
        of_image = torch.matmul(
            torch.unflatten((weights * inner), 1, (self.heads, -1)), shared.values3.transpose(1, 2)
        ).to(placed.dtype)
        share = torch.unflatten(weights.sum(-1, dtype=placed.dtype), 1, (self.heads, -1)).unsqueeze(-1)
        out = of_image + self._gather(weights, z, w, c.values3) + share * c.shift_values3 + c.bias_values3
        return self._answer(attention, out)


def _centred(cells: Tensor) -> Tensor:
    """As `centred`, channels first: [E, N]."""
    return cells - cells.mean(0, keepdim=True)
