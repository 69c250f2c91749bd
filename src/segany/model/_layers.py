"""Layers that more than one part of the model is built from."""

from collections.abc import Callable

from torch import Tensor, nn

__all__ = ["FeedForward", "LayerNorm2d", "make_neck"]


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of [B, C, H, W]; free of copies when the memory is channels-last."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise [B, C, H, W] over C at every position."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FeedForward(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, dim: int, hidden_dim: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden_dim)
        self.lin2 = nn.Linear(hidden_dim, dim)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., dim] to [..., dim]."""
        out: Tensor = self.lin2(self.activation(self.lin1(x)))
        return out


def make_neck(dim: int, embed_dim: int) -> nn.Sequential:
    """The two convolutions that bring an encoder's width to that of the embedding (SAM paper, app. A)."""
    return nn.Sequential(
        nn.Conv2d(dim, embed_dim, 1, bias=False),
        LayerNorm2d(embed_dim),
        nn.Conv2d(embed_dim, embed_dim, 3, padding=1, bias=False),
        LayerNorm2d(embed_dim),
    )
