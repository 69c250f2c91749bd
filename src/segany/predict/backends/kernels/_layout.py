"""How the kernels lay out their arrays: sizes, and where a cell's numbers stand.

Of one prompt there are H heads of T tokens, J = H x T rows of attention. Cells (N) are the lanes of the vectors, TILE
of them lie together; a chunk is what is gathered before the running softmax takes its next step.

| array | shape | |
|---|---|---|
| keys | [N / TILE, H, D / 2, TILE, 2] | bfloat16, pairs of channels |
| values | [H, N / 2, D, 2] | bfloat16, pairs of cells |
| pairs of rows | [N / TILE, rows / 2, TILE, 2] | bfloat16 |
| rows | [N / CHUNK, J, ROW] | bfloat16; the end of a row is not used |
| matrix | [rows, columns] | bfloat16, pairs of columns |
"""

from segany.predict.backends.kernels._language import Int, Pointer

__all__ = ["CHUNK", "GROUP", "ROW", "TILE", "D", "H", "J", "T", "key_at", "pair_at", "row_at"]

H, T, D = 8, 7, 16
J = H * T
TILE = 64
CHUNK = 256
# A stride of a power of two would put all rows into the same set of the cache.
ROW = CHUNK + 32
# Prompts that read a tile of the image while it is in the cache.
GROUP = 4


def key_at(keys: Pointer, n: Int) -> Pointer:
    """Where keys of the 16 cells from n on start, for head 0, channels 0 and 1."""
    return keys + ((n // TILE) * (H * D // 2 * TILE) + n % TILE) * 2


def pair_at(pairs: Pointer, n: Int, rows: int) -> Pointer:
    """Where the first pair of rows starts for cell n."""
    return pairs + ((n // TILE) * (rows // 2 * TILE) + n % TILE) * 2


def row_at(rows: Pointer, n: Int) -> Pointer:
    """Where row 0 starts for cell n."""
    return rows + ((n // CHUNK) * (J * ROW) + n % CHUNK)
