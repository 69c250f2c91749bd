"""TinyViT, the image encoder of MobileSAM and LiteMedSAM (arXiv 2207.10666, 2306.14289).

Everything runs channels-last: a [B, C, H, W] tensor in that memory format is a contiguous
[B, H, W, C] one, so convolutions and attention follow one another without a copy.
"""

from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segany.model._layers import make_neck
from segany.model._stages import EncoderStages
from segany.model._windows import join_windows, split_windows
from segany.model.config import TinyViTConfig

__all__ = ["TinyViT"]


class _Foldable(nn.Module):
    """A module that can keep something precomputed from its parameters, for inference.

    It is kept beside the parameters, so that names, digests and checkpoints do not change; it is
    dropped when the module is trained or loaded, and not read where gradients are recorded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("folded_weight", None, persistent=False)
        self.register_buffer("folded_bias", None, persistent=False)
        self.folded_weight: Tensor | None
        self.folded_bias: Tensor | None

    def fuse(self) -> None:
        raise NotImplementedError

    def unfuse(self) -> None:
        self.folded_weight = self.folded_bias = None

    def train(self, mode: bool = True) -> Self:
        if mode:
            self.unfuse()
        return super().train(mode)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unfuse()
        super()._load_from_state_dict(*args, **kwargs)


class _ConvNorm(_Foldable):
    """A convolution without bias, then batch norm; `fuse` folds the two into one convolution."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    @torch.no_grad()
    def fuse(self) -> None:
        """Keep a folded copy of the weights, computed in float64 and rounded once."""
        norm = self.bn
        if norm.running_mean is None or norm.running_var is None:
            raise TypeError("batch norm without running statistics cannot be folded")
        # On the CPU, because MPS has no float64.
        tensors = (self.c.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
        weight, scale, shift, mean, variance = (tensor.cpu().double() for tensor in tensors)
        gain = scale / torch.sqrt(variance + norm.eps)
        weight = (weight * gain[:, None, None, None]).to(self.c.weight)
        self.folded_weight = weight.contiguous(memory_format=torch.channels_last)
        self.folded_bias = (shift - mean * gain).to(self.c.weight)

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H', W']."""
        if self.folded_weight is None or torch.is_grad_enabled():
            normed: Tensor = self.bn(self.c(input))
            return normed
        conv = self.c
        traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if conv.kernel_size == (1, 1) and not traced:
            # Channels-last memory makes this a plain product, which torch's convolutions do not notice. A runtime that
            # the model is traced for sees to that by itself, and can quantise a convolution that it knows as one.
            cells = F.linear(input.permute(0, 2, 3, 1), self.folded_weight.flatten(1), self.folded_bias)
            return cells.permute(0, 3, 1, 2)
        return F.conv2d(input, self.folded_weight, self.folded_bias, conv.stride, conv.padding, 1, conv.groups)


class _PatchEmbed(nn.Module):
    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        stride = 2 if kernel == 3 else 1
        self.seq = nn.Sequential(
            _ConvNorm(3, dim // 2, kernel, stride), nn.GELU(), _ConvNorm(dim // 2, dim, kernel, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.seq(x)
        return out


class _ConvBlock(nn.Module):
    """An inverted bottleneck: widen, filter each channel, narrow, add."""

    def __init__(self, dim: int, expand_ratio: float) -> None:
        super().__init__()
        hidden = int(dim * expand_ratio)
        self.conv1 = _ConvNorm(dim, hidden)
        self.conv2 = _ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = _ConvNorm(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.gelu(self.conv1(x))
        hidden = F.gelu(self.conv2(hidden))
        return F.gelu(x + self.conv3(hidden))


class _Merge(nn.Module):
    """Between two stages: change the width and, with stride 2, halve the side."""

    def __init__(self, dim: int, out_dim: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(dim, out_dim)
        self.conv2 = _ConvNorm(out_dim, out_dim, 3, stride, groups=out_dim)
        self.conv3 = _ConvNorm(out_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return out


@lru_cache(maxsize=8)
def _offset_index(window: int) -> Tensor:
    """[N, N] int64, N = window^2: which learned bias a pair of cells reads, by its absolute offset."""
    with torch.inference_mode(False), torch.device("cpu"):
        cells = torch.arange(window * window)
        y, x = cells // window, cells % window
        return (y[:, None] - y[None]).abs() * window + (x[:, None] - x[None]).abs()


class _Attention(_Foldable):
    """Attention within a window, with a learned bias per head and absolute offset."""

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))

    @torch.no_grad()
    def fuse(self) -> None:
        """Keep the bias of every pair of cells, [1, heads, N, N]."""
        self.folded_bias = self._pair_bias().contiguous()

    def _pair_bias(self) -> Tensor:
        index = _offset_index(self.window).to(self.attention_biases.device)
        return self.attention_biases[:, index][None]

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, C], N = window^2."""
        batch, cells, dim = x.shape
        # Each head's query, key and value lie side by side in the published weights.
        qkv = self.qkv(self.norm(x)).view(batch, cells, self.heads, 3, dim // self.heads)
        query, key, value = qkv.permute(3, 0, 2, 1, 4).unbind(0)
        bias = self._pair_bias() if self.folded_bias is None or torch.is_grad_enabled() else self.folded_bias
        heads = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        out: Tensor = self.proj(heads.transpose(1, 2).reshape(batch, cells, dim))
        return out


class _Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class _AttentionBlock(nn.Module):
    def __init__(self, dim: int, heads: int, window: int, mlp_ratio: float) -> None:
        super().__init__()
        self.window = window
        self.attn = _Attention(dim, heads, window)
        self.mlp = _Mlp(dim, int(dim * mlp_ratio))
        self.local_conv = _ConvNorm(dim, dim, 3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] channels-last -> the same."""
        cells = x.permute(0, 2, 3, 1)
        # Padding comes before the norm, as in training: padded cells hold the norm's bias and are attended to.
        windows, grid = split_windows(cells, self.window)
        attended: Tensor = self.attn(windows.flatten(1, 2))
        cells = cells + join_windows(attended.view_as(windows), grid)
        cells = self.local_conv(cells.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        mixed: Tensor = cells + self.mlp(cells)
        return mixed.permute(0, 3, 1, 2)


class _Stage(nn.Module):
    def __init__(self, config: TinyViTConfig, index: int) -> None:
        super().__init__()
        dim, heads, window = config.dims[index], config.heads[index], config.windows[index]
        self.blocks = nn.ModuleList(
            _AttentionBlock(dim, heads, window, config.mlp_ratio) if index else _ConvBlock(dim, config.expand_ratio)
            for _ in range(config.depths[index])
        )
        last = index == len(config.dims) - 1
        self.downsample = None if last else _Merge(dim, config.dims[index + 1], config.strides[index])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class TinyViT(nn.Module):
    """A small hierarchical image encoder. Takes any input side that is a multiple of its stride."""

    def __init__(self, config: TinyViTConfig, embed_dim: int) -> None:
        super().__init__()
        self.patch_embed = _PatchEmbed(config.dims[0], config.stem_kernel)
        self.layers = nn.ModuleList(_Stage(config, index) for index in range(len(config.dims)))
        self.neck = make_neck(config.dims[-1], embed_dim)

    def fuse(self) -> None:
        """Fold batch norms and expand attention biases, for speed; see `Sam.fuse`."""
        for module in self.modules():
            if isinstance(module, _Foldable):
                module.fuse()

    def unfuse(self) -> None:
        """Drop what `fuse` keeps."""
        for module in self.modules():
            if isinstance(module, _Foldable):
                module.unfuse()

    def stages(self, x: Tensor) -> EncoderStages:
        """Encode, keeping the outputs of the middle stages.

        Args:
            x: [B, 3, S, S], the model's normalised and padded input.

        Returns:
            The embedding [B, E, S / stride, S / stride], and the outputs of the second and third stage,
            `l1` [B, dims[2], ...] and `l2` [B, dims[3], ...], at the same side as the embedding.
        """
        x = self.patch_embed(x.contiguous(memory_format=torch.channels_last))
        outputs = []
        for stage in self.layers:
            x = stage(x)
            outputs.append(x)
        return EncoderStages(embedding=self.neck(x), l1=outputs[1], l2=outputs[2])

    def forward(self, x: Tensor) -> Tensor:
        """Encode [B, 3, S, S] to [B, E, S / stride, S / stride]."""
        return self.stages(x).embedding
