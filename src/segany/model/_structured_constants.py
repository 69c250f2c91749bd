"""The matrices of the structured decoder, derived from a mask decoder's parameters."""

import torch
from torch import Tensor, nn

from segany.model.mask_decoder import MaskDecoder

__all__ = ["Constants", "centred"]


def centred(x: Tensor) -> Tensor:
    """Subtract the mean over the channels, the last axis: a layer norm does not see it."""
    return x - x.mean(-1, keepdim=True)


class Constants(nn.Module):
    """Buffers; `image_*` act on the image's cells, the others on a prompt's tokens.

    Numbers 1 and 2 are the two layers, 3 is the last attention. `gain` and `bias` are those of a layer's norm of the
    cells (g and b of the structured decoder's page), `shift` is what layer 2 adds to every cell.
    """

    # What is registered below, for the type checker; shapes where they are made.
    position: Tensor
    no_mask: Tensor
    gain1: Tensor
    shift: Tensor
    shift_variance: Tensor
    out_bias1: Tensor
    image_keys1: Tensor
    image_values1: Tensor
    bias_values1: Tensor
    image_queries1: Tensor
    bias_queries1: Tensor
    image_cross1: Tensor
    out1: Tensor
    image_keys2: Tensor
    image_values2: Tensor
    image_queries2: Tensor
    image_cross2: Tensor
    keys2: Tensor
    values2: Tensor
    queries2: Tensor
    bias_values2: Tensor
    position_keys2: Tensor
    position_queries2: Tensor
    out2: Tensor
    image_keys3: Tensor
    image_values3: Tensor
    keys3: Tensor
    values3: Tensor
    shift_keys3: Tensor
    shift_values3: Tensor
    bias_values3: Tensor
    position_keys3: Tensor
    image_upscaled: Tensor
    upscale: Tensor
    upscale_shift: Tensor
    upscale_bias: Tensor
    upscale_gain: Tensor
    upscale_offset: Tensor
    second_weight: Tensor
    second_bias: Tensor

    def __init__(self, decoder: MaskDecoder, dense_pe: Tensor, no_mask: Tensor, dtype: torch.dtype) -> None:
        """Derive everything.

        Args:
            decoder: In float32 or float64.
            dense_pe: [1, E, S, S].
            no_mask: [E], the dense embedding of prompts without a mask.
            dtype: Precision of what meets the image's side.
        """
        super().__init__()
        first, second = decoder.transformer.layers
        last = decoder.transformer.final_attn_token_to_image
        self.heads = last.heads
        self.head_dim = last.q_proj.out_features // last.heads
        self.scale = self.head_dim**-0.5
        self.eps1: float = first.norm4.eps
        self._dtype = dtype
        gain1, bias1 = first.norm4.weight, first.norm4.bias
        self._keep("position", dense_pe.flatten(2)[0].T)  # [N, E]
        self._keep("no_mask", no_mask)
        self._keep("gain1", gain1)
        self._keep("shift", centred(bias1 + second.cross_attn_image_to_token.out_proj.bias))
        self._keep("shift_variance", self.shift.square().mean() + second.norm4.eps)
        self._layer1(first.cross_attn_token_to_image, first.cross_attn_image_to_token)
        self._layer2(second.cross_attn_token_to_image, second.cross_attn_image_to_token, gain1, bias1)
        self._layer3(last, second.norm4.weight, second.norm4.bias)
        self._upscaling(decoder, second.norm4.weight, second.norm4.bias)

    def _keep(self, name: str, value: Tensor, low: bool = False) -> None:
        value = value.detach().clone()
        self.register_buffer(name, value.to(self._dtype) if low else value, persistent=False)
