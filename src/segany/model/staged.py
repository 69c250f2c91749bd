"""The structured decoder cut where it meets the image's cells: what is left are products of a few tokens.

`StructuredDecoder` says what is computed. Here its passes over the cells are left out: whoever runs them takes what one
stage gives and hands what it finds to the next. Every array comes in the form that a pass over tiles of cells reads.
Attention of H heads over T tokens has J = H x T rows of D channels; N cells of E channels.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from segany.model.structured import StructuredDecoder

__all__ = ["Answered", "Begun", "Following", "PassedOn", "Placed", "StagedDecoder"]

# Cells that a pass reads together, and cells that are drawn together.
_TILE, _DRAWN = 64, 32


class Placed(NamedTuple):
    """What all prompts of one image share. Keys: [N / 64, H, D / 2, 64, 2]; values: [H, N / 2, D, 2].

    Attributes:
        keys1: Keys, layer 1.
        values1: Values.
        queries1: As keys.
        cross1: As keys.
        keys2: Keys, layer 2.
        values2: Values.
        queries2: As keys.
        cross2a: As keys; of layer 1's attention.
        cross2b: As keys; of layer 2's.
        keys3: Keys, the last attention.
        values3: Values.
        position_keys2: As keys; of the model.
        position_queries2: As keys; of the model.
        position_keys3: As keys; of the model.
        drawn: [N / 32, E, 32], the first transposed convolution, centred over the channels of each pixel.
        norms: [3, N], the variances' terms of the image alone.
        base: [1], the variance's term of the model alone.
        shift: [E], of the model, as all that follows: what drawing adds before layer 2's norm, centred as `drawn`.
        bias: [E], after it, centred.
        gain: [E / 4], of the norm between the two transposed convolutions.
        offset: [E / 4].
        epsilon: [1].
        second: [E / 2, E / 4], the second transposed convolution.
        second_bias: [E / 2].
    """

    keys1: Tensor
    values1: Tensor
    queries1: Tensor
    cross1: Tensor
    keys2: Tensor
    values2: Tensor
    queries2: Tensor
    cross2a: Tensor
    cross2b: Tensor
    keys3: Tensor
    values3: Tensor
    position_keys2: Tensor
    position_queries2: Tensor
    position_keys3: Tensor
    drawn: Tensor
    norms: Tensor
    base: Tensor
    shift: Tensor
    bias: Tensor
    gain: Tensor
    offset: Tensor
    epsilon: Tensor
    second: Tensor
    second_bias: Tensor


class Begun(NamedTuple):
    """Before layer 1 reads the cells: tokens [P, T, E] and its queries [P, J, D]."""

    tokens: Tensor
    queries: Tensor


class PassedOn(NamedTuple):
    """Between layer 1's reading and layer 2's: tokens [P, T, E], values [P, H, T, D], and what the pass takes.

    Attributes:
        tokens: [P, T, E].
        values: [P, H, T, D], what layer 1's update adds to the cells.
        keys: [P, J, D].
        doubled: [P, J, D], 2 values / E.
        gram: [P, J, J] / E; what lies below the diagonal of blocks of 2 T is folded into what lies above.
        own: [P, J, J], layer 2's queries on the update.
        queries: [P, J, D], layer 2's.
    """

    tokens: Tensor
    values: Tensor
    keys: Tensor
    doubled: Tensor
    gram: Tensor
    own: Tensor
    queries: Tensor


class Following(NamedTuple):
    """Between layer 2's reading and the last attention; two layers' updates have 2 J rows.

    Attributes:
        tokens: [P, T, E].
        values: [P, 2 H, T, D].
        own2: [P, J, J], layer 2's keys on layer 1's update.
        keys: [P, J, D].
        doubled1: [P, J, D], 2 values / E of layer 1.
        doubled2: [P, J, D], of layer 2.
        gram: [P, 2 J, 2 J] / E, folded.
        linear: [P, 2 J].
        own3: [P, J, 2 J].
        shift: [P, J].
        queries: [P, J, D], the last attention's.
    """

    tokens: Tensor
    values: Tensor
    own2: Tensor
    keys: Tensor
    doubled1: Tensor
    doubled2: Tensor
    gram: Tensor
    linear: Tensor
    own3: Tensor
    shift: Tensor
    queries: Tensor


class Answered(NamedTuple):
    """The end: iou_predictions [P, 4], hyper [P, 4, E / 8], and own [P, E, 2 J], the updates' first convolution."""

    iou_predictions: Tensor
    hyper: Tensor
    own: Tensor


class StagedDecoder(nn.Module):
    """The stages of a `StructuredDecoder` in float32."""

    def __init__(self, structured: StructuredDecoder, tokens: int) -> None:
        """Cut a decoder.

        Args:
            structured: In float32.
            tokens: Of a prompt, those of the IoU and the masks included.
        """
        super().__init__()
        self.structured = structured
        rows = structured.heads * tokens
        for name, count in (("fold1", rows), ("fold2", 2 * rows)):
            blocks = torch.arange(count) // (2 * tokens)
            once, twice = blocks[:, None] == blocks, blocks[:, None] < blocks
            fold = (once.float() + 2 * twice.float()) / structured.decoder.transformer.norm_final_attn.normalized_shape[
                0
            ]
            self.register_buffer(name, fold, persistent=False)
        self.fold1: Tensor
        self.fold2: Tensor

    def prepare(self, embedding: Tensor) -> Placed:
        """Project the image once for all its prompts: [1, E, S, S]."""
        shared = self.structured.prepare(embedding)
        heads, c = self.structured.heads, self.structured.constants
        norm = self.structured.decoder.output_upscaling.norm
        return Placed(
            keys1=_as_keys(shared.keys1),
            values1=_as_values(shared.values1),
            queries1=_as_keys(shared.queries1),
            cross1=_as_keys(shared.cross1),
            keys2=_as_keys(shared.keys2),
            values2=_as_values(shared.values2),
            queries2=_as_keys(shared.queries2),
            cross2a=_as_keys(shared.cross2[:heads]),
            cross2b=_as_keys(shared.cross2[heads:]),
            keys3=_as_keys(shared.keys3),
            values3=_as_values(shared.values3),
            position_keys2=_as_keys(shared.position_keys2),
            position_queries2=_as_keys(shared.position_queries2),
            position_keys3=_as_keys(shared.position_keys3),
            drawn=torch.unflatten(_by_pixel_centred(shared.upscaled), 0, (-1, _DRAWN)).transpose(1, 2),
            norms=shared.norms,
            base=c.shift_variance.reshape(1),
            shift=_by_pixel_centred(c.upscale_shift),
            bias=_by_pixel_centred(c.upscale_bias),
            gain=c.upscale_gain,
            offset=c.upscale_offset,
            epsilon=torch.full((1,), norm.eps),
            second=c.second_weight,
            second_bias=c.second_bias,
        )

    def begin(self, tokens: Tensor) -> Begun:
        """Before the pass `read`."""
        layer = self.structured.decoder.transformer.two_way_layers[0]
        x = layer.norm1(layer.self_attn(tokens, tokens, tokens))
        return Begun(
            x, self._rows(layer.cross_attn_token_to_image.q_proj(x + tokens)) * self.structured.constants.scale
        )

    def follow(self, tokens: Tensor, x: Tensor, out: Tensor) -> PassedOn:
        """Between `read` and `first_update`.

        Args:
            tokens: [P, T, E], as they came.
            x: [P, T, E] of `begin`.
            out: [P, J, D] of the pass.
        """
        c, transformer = self.structured.constants, self.structured.decoder.transformer
        layer, following = transformer.two_way_layers
        reading, writing = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        x = layer.norm2(x + reading.out_proj(self._tokens(out)))
        x = layer.norm3(x + layer.mlp(x))
        values = self._heads(writing.v_proj(x))
        m = torch.matmul(values, c.out1).flatten(1, 2)
        placed = x + tokens
        y = following.norm1(x + following.self_attn(placed, placed, x))
        queries = self._heads(following.cross_attn_token_to_image.q_proj(y + tokens)) * c.scale
        return PassedOn(
            tokens=y,
            values=values,
            keys=self._rows(writing.k_proj(placed)),
            doubled=values.flatten(1, 2) * (2 / x.shape[2]),
            gram=torch.matmul(m, m.transpose(1, 2)) * self.fold1,
            own=torch.matmul(torch.matmul(queries, c.keys2).flatten(1, 2), m.transpose(1, 2)),
            queries=queries.flatten(1, 2),
        )

    def proceed(self, tokens: Tensor, y: Tensor, values: Tensor, gathered: Tensor, out: Tensor) -> Following:
        """Between `first_update` and `second_update`.

        Args:
            tokens: [P, T, E], as they came.
            y: [P, T, E] of `follow`.
            values: [P, H, T, D] of `follow`.
            gathered: [P, J, J] of the pass: rows of the update by rows of the attention.
            out: [P, J, D] of the pass.
        """
        c, transformer = self.structured.constants, self.structured.decoder.transformer
        layer, last = transformer.two_way_layers[1], transformer.final_attn_token_to_image
        reading, writing = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
        m = torch.matmul(values, c.out1).flatten(1, 2)
        heads = self._per_head(out) + self._gathered(gathered, m, c.values2) + c.bias_values2
        y = layer.norm2(y + reading.out_proj(self._merge(heads)))
        y = layer.norm3(y + layer.mlp(y))
        keys = self._heads(writing.k_proj(y + tokens))
        both = torch.cat([values, self._heads(writing.v_proj(y))], 1)
        w = torch.matmul(both, c.out2).flatten(1, 2)
        queries = self._heads(last.q_proj(y + tokens)) * c.scale
        doubled = both * (2 / y.shape[2])
        count = self.structured.heads
        return Following(
            tokens=y,
            values=both,
            own2=torch.matmul(torch.matmul(keys, c.queries2).flatten(1, 2), m.transpose(1, 2)),
            keys=keys.flatten(1, 2),
            doubled1=doubled[:, :count].flatten(1, 2),
            doubled2=doubled[:, count:].flatten(1, 2),
            gram=torch.matmul(w, w.transpose(1, 2)) * self.fold2,
            linear=torch.matmul(w, c.twice_shift)[..., 0] / y.shape[2],
            own3=torch.matmul(torch.matmul(queries, c.keys3).flatten(1, 2), w.transpose(1, 2)),
            shift=(queries * c.shift_keys3).sum(-1).flatten(1),
            queries=queries.flatten(1, 2),
        )

    def finish(self, y: Tensor, values: Tensor, gathered: Tensor, out: Tensor, share: Tensor) -> Answered:
        """After `second_update`.

        Args:
            y: [P, T, E] of `proceed`.
            values: [P, 2 H, T, D] of `proceed`.
            gathered: [P, 2 J, J] of the pass.
            out: [P, J, D] of the pass.
            share: [P, J] of the pass.
        """
        c, decoder = self.structured.constants, self.structured.decoder
        attention = decoder.transformer.final_attn_token_to_image
        w = torch.matmul(values, c.out2).flatten(1, 2)
        heads = self._per_head(out) + self._gathered(gathered, w, c.values3) + c.bias_values3
        heads = heads + torch.unflatten(share, 1, (self.structured.heads, -1)).unsqueeze(-1) * c.shift_values3
        done = decoder.transformer.norm_final_attn(y + attention.out_proj(self._merge(heads)))
        own = _by_pixel_centred(torch.matmul(w, c.upscale.T)).transpose(1, 2)
        return Answered(decoder.iou_prediction_head(done[:, 0]), decoder.hyper(done[:, 1:5]), own)

    def _gathered(self, gathered: Tensor, basis: Tensor, values: Tensor) -> Tensor:
        """The prompt's part of the cells under the attention, read as values: [P, H, T, D]."""
        sums = torch.unflatten(torch.matmul(gathered.transpose(1, 2), basis), 1, (self.structured.heads, -1))
        return torch.matmul(sums, values.transpose(1, 2))

    def _heads(self, x: Tensor) -> Tensor:
        """[P, T, H D] -> [P, H, T, D]."""
        return torch.unflatten(x, -1, (self.structured.heads, -1)).transpose(1, 2)

    def _rows(self, x: Tensor) -> Tensor:
        """[P, T, H D] -> [P, J, D]."""
        return self._heads(x).flatten(1, 2)

    def _per_head(self, rows: Tensor) -> Tensor:
        """[P, J, D] -> [P, H, T, D]."""
        return torch.unflatten(rows, 1, (self.structured.heads, -1))

    def _merge(self, heads: Tensor) -> Tensor:
        """[P, H, T, D] -> [P, T, H D]."""
        return heads.transpose(1, 2).flatten(2)

    def _tokens(self, rows: Tensor) -> Tensor:
        return self._merge(self._per_head(rows))


def _as_keys(x: Tensor) -> Tensor:
    """[H, D, N] -> [N / 64, H, D / 2, 64, 2]."""
    pairs = torch.unflatten(torch.unflatten(x, 2, (-1, _TILE)), 1, (-1, 2))
    return pairs.permute(3, 0, 1, 4, 2)


def _as_values(x: Tensor) -> Tensor:
    """[H, D, N] -> [H, N / 2, D, 2]."""
    return torch.unflatten(x, 2, (-1, 2)).permute(0, 2, 1, 3)


def _by_pixel_centred(x: Tensor) -> Tensor:
    """Of [..., 4 x E / 4]: subtract the mean over the channels of each pixel, which the layer norm does not see."""
    pixels = torch.unflatten(x, -1, (4, -1))
    return (pixels - pixels.mean(-1, keepdim=True)).flatten(-2)
