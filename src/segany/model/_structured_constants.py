"""The matrices of the structured decoder, derived from a mask decoder's parameters."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from segany.model._two_way import Attention
from segany.model.mask_decoder import MaskDecoder, by_pixel

__all__ = ["Constants", "centred"]


def centred(x: Tensor) -> Tensor:
    """Subtract the mean over the channels, the last axis: a layer norm does not see it."""
    return x - x.mean(-1, keepdim=True)


class Constants(nn.Module):
    """Buffers. `image_*` act on the image's cells, `position_*` are of the cells' positions, the rest act on tokens.

    Numbers 1 and 2 are the two layers, 3 is the last attention; g and b are the gain and bias of the layer norms of
    the cells. `shift` is the part of the cells after layer 2 that is alike in all of them.
    """

    if TYPE_CHECKING:
        # All that is registered is a Tensor.
        def __getattr__(self, name: str) -> Tensor: ...

    def __init__(self, decoder: MaskDecoder, dense_pe: Tensor, no_mask: Tensor, dtype: torch.dtype) -> None:
        """Derive everything.

        Args:
            decoder: In float32 or float64, of two layers.
            dense_pe: [1, E, S, S].
            no_mask: [E], the dense embedding of prompts without a mask.
            dtype: Precision of what meets the image's side.
        """
        super().__init__()
        first, second = decoder.transformer.two_way_layers
        last = decoder.transformer.final_attn_token_to_image
        self.head_dim: int = last.q_proj.out_features // last.heads
        self.scale: float = self.head_dim**-0.5
        self.eps: float = first.norm4.eps
        self._dtype = dtype
        gain, bias = first.norm4.weight, first.norm4.bias
        self._keep(
            position=dense_pe.flatten(2)[0],  # [E, N]
            no_mask=no_mask.unsqueeze(1),
            gain=gain.unsqueeze(1),
            shift=centred(bias + second.cross_attn_image_to_token.out_proj.bias),
        )
        self._keep(
            twice_shift=2 * self.shift.unsqueeze(1), shift_variance=self.shift.square().mean() + second.norm4.eps
        )
        self._first(first.cross_attn_token_to_image, first.cross_attn_image_to_token)
        self._second(second.cross_attn_token_to_image, second.cross_attn_image_to_token, gain, bias)
        self._third(last, second.norm4.weight, second.norm4.bias)
        self._upscaling(decoder, second.norm4.weight, second.norm4.bias)

    def _keep(self, dtype: torch.dtype | None = None, **values: Tensor) -> None:
        for name, value in values.items():
            self.register_buffer(name, value.detach().to(dtype or value.dtype, copy=True), persistent=False)

    def _per_head(self, weight: Tensor) -> Tensor:
        """[H d, ...] -> [H, d, ...]."""
        return torch.unflatten(weight, 0, (-1, self.head_dim))

    def _first(self, reading: Attention, writing: Attention) -> None:
        """Layer 1 reads the cells as they come; nothing of its norm is in them yet."""
        self._keep(
            image_keys1=reading.k_proj.weight,
            image_values1=reading.v_proj.weight,
            image_bias_values1=reading.v_proj.bias.unsqueeze(1),
            image_queries1=writing.q_proj.weight * self.scale,
            image_bias_queries1=writing.q_proj.bias.unsqueeze(1) * self.scale,
            image_out_bias1=writing.out_proj.bias.unsqueeze(1),
            image_cross1=writing.out_proj.weight.T,
            out1=centred(self._per_head(writing.out_proj.weight.T)),
        )

    def _second(self, reading: Attention, writing: Attention, gain: Tensor, bias: Tensor) -> None:
        """Layer 2 reads (X + M' A) r1 g1 + b1. A key's own bias shifts a token's scores alike: softmax drops it."""
        keys, values = reading.k_proj.weight * gain, reading.v_proj.weight * gain
        queries = writing.q_proj.weight * gain * self.scale
        placed = (bias.unsqueeze(1) + self.position).T
        self._keep(
            image_keys2=keys,
            image_values2=values,
            image_queries2=queries,
            keys2=self._per_head(keys),
            values2=self._per_head(values),
            queries2=self._per_head(queries),
            bias_values2=self._per_head(reading.v_proj(bias)).unsqueeze(1),
        )
        self._keep(
            self._dtype,
            position_keys2=self._per_head((placed @ reading.k_proj.weight.T).T),
            position_queries2=self._per_head((writing.q_proj(placed) * self.scale).T),
        )
        out1, out2 = self.out1 * gain, self._per_head(writing.out_proj.weight.T)
        self._keep(
            # What a row of A or B adds to the cells, and how that meets XG in the variance.
            out2=centred(torch.cat([out1, out2])),
            image_cross2=torch.cat([centred(out1), centred(out2)]).flatten(0, 1),
        )

    def _third(self, reading: Attention, gain: Tensor, bias: Tensor) -> None:
        """The last attention reads (r1 XG + shift + W' Z) r2 g2 + b2."""
        keys, values = reading.k_proj.weight * gain, reading.v_proj.weight * gain
        self._keep(
            image_keys3=keys,
            image_values3=values,
            keys3=self._per_head(keys),
            values3=self._per_head(values),
            shift_keys3=self._per_head(keys @ self.shift).unsqueeze(1),
            shift_values3=self._per_head(values @ self.shift).unsqueeze(1),
            bias_values3=self._per_head(reading.v_proj(bias)).unsqueeze(1),
        )
        placed = bias.unsqueeze(1) + self.position
        self._keep(self._dtype, position_keys3=self._per_head(reading.k_proj.weight @ placed))

    def _upscaling(self, decoder: MaskDecoder, gain: Tensor, bias: Tensor) -> None:
        """The two transposed convolutions as products over the channels of a cell; the first reads cells 2."""
        upscaling = decoder.output_upscaling
        (whole, first_bias), (second_weight, second_bias) = map(by_pixel, upscaling.convolutions)
        weight = whole * gain
        self._keep(image_upscaled=weight, upscale=weight)
        self._keep(
            self._dtype,
            upscale_shift=weight @ self.shift,
            upscale_bias=whole @ bias + first_bias,
            upscale_gain=upscaling.norm.weight,
            upscale_offset=upscaling.norm.bias,
            second_weight=second_weight,
            second_bias=second_bias,
        )
