"""Splitting a grid of tokens into attention windows, and back."""

from torch import Tensor
from torch.nn import functional as F

__all__ = ["join_windows", "split_windows"]


def split_windows(cells: Tensor, window: int) -> tuple[Tensor, tuple[int, int]]:
    """Cut a grid into square windows, padding it with zeros on the right and below.

    Args:
        cells: [B, H, W, C].
        window: Side of a window, cells.

    Returns:
        [B * rows * columns, window, window, C], and (H, W) for `join_windows`.
    """
    batch, height, width, channels = cells.shape
    pad_y, pad_x = -height % window, -width % window
    if pad_y or pad_x:
        cells = F.pad(cells, (0, 0, 0, pad_x, 0, pad_y))
    rows, columns = (height + pad_y) // window, (width + pad_x) // window
    cells = cells.reshape(batch, rows, window, columns, window, channels).transpose(2, 3)
    return cells.reshape(-1, window, window, channels), (height, width)


def join_windows(windows: Tensor, grid: tuple[int, int]) -> Tensor:
    """Undo `split_windows`, dropping the padding.

    Args:
        windows: [B * rows * columns, window, window, C].
        grid: (H, W) as `split_windows` gave it.

    Returns:
        [B, H, W, C].
    """
    height, width = grid
    window, channels = windows.shape[1], windows.shape[3]
    rows, columns = -(-height // window), -(-width // window)
    cells = windows.reshape(-1, rows, columns, window, window, channels).transpose(2, 3)
    return cells.reshape(-1, rows * window, columns * window, channels)[:, :height, :width]
