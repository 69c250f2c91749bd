"""Products that the passes over the image's cells are made of."""

from collections.abc import Sequence

from segany.predict.backends.kernels._language import LANES, PAIR, Cell, Int, Kernel, Pointer, Vec
from segany.predict.backends.kernels._layout import CHUNK, ROW, TILE, D, J, T

__all__ = ["add_heads", "add_product", "gather", "gram", "softmax_tokens", "step_softmax", "zero"]

# Rows that are made at a time: two heads. With 32 cells they fill 28 of the 32 vector registers.
ROWS = 2 * T
Block = list[list[Cell]]


def zero(kernel: Kernel, cells: Block) -> None:
    """Start sums."""
    for row in cells:
        for cell in row:
            cell.set(kernel.number(0.0))


def add_product(
    kernel: Kernel, sums: Block, matrix: Pointer, columns: int, pairs: Pointer, stride: int, count: Int | int
) -> None:
    """Add a matrix times pairs of rows, for 32 cells.

    Args:
        kernel: The kernel.
        sums: [R][2] vectors.
        matrix: Its first pair, counted in pairs.
        columns: Pairs from one row of the matrix to the next.
        pairs: The first pair of rows, at these cells.
        stride: Cells from one pair of rows to the next.
        count: Pairs of rows.
    """
    with kernel.loop(count) as k:
        row = pairs + k * (2 * stride)
        first, second = row.halves(), (row + 2 * LANES).halves()
        for number, (left, right) in enumerate(sums):
            factor = (matrix + (k + number * columns)).spread_pair()
            left.set(kernel.dot(left.get(), factor, first))
            right.set(kernel.dot(right.get(), factor, second))


def add_heads(kernel: Kernel, sums: Block, matrix: Pointer, keys: Pointer, block: Int) -> None:
    """Add, for two heads, their rows of a matrix [J, D] times the keys of the head.

    Args:
        kernel: The kernel.
        sums: [2 T][2].
        matrix: Counted in pairs.
        keys: At these cells.
        block: Which two heads.
    """
    half = D // 2
    for head in range(2):
        rows = matrix + (block * 2 + head) * (T * half)
        add_product(
            kernel, sums[head * T : (head + 1) * T], rows, half, keys + (block * 2 + head) * (D * TILE), TILE, half
        )


def softmax_tokens(kernel: Kernel, scores: Block) -> None:
    """Softmax over the tokens of one head, in place: [T][2]."""
    for side in range(2):
        column = [row[side] for row in scores]
        top = column[0].get()
        for cell in column[1:]:
            top = top.maximum(cell.get())
        total = kernel.number(0.0)
        for cell in column:
            power = (cell.get() - top).exp()
            cell.set(power)
            total = total + power
        share = kernel.number(1.0) / total
        for cell in column:
            cell.set(cell.get() * share)


def step_softmax(
    kernel: Kernel, row: Int, tops: Pointer, seen: Pointer, shrink: Pointer, sums: Sequence[Pointer]
) -> Vec:
    """Before the next chunk of a softmax over cells: raise the maximum, scale down what was summed under the old one.

    Args:
        kernel: The kernel.
        row: Of the attention.
        tops: [J, 16] float32, the maxima in each lane.
        seen: [J, 16] float32, the maximum so far, in all places.
        shrink: [J] float32: becomes the factor for what is summed elsewhere.
        sums: Of each [J, 16] float32.

    Returns:
        The maximum.
    """
    old = (seen + row * LANES).floats()
    top = (tops + row * LANES).floats().largest().maximum(old)
    factor = (old - top).exp()
    (seen + row * LANES).put(top)
    (shrink + row).put_first(factor)
    for one in sums:
        place = one + row * LANES
        place.put(place.floats() * factor)
    return top


def gram(kernel: Kernel, left: Pointer, right: Pointer, out: Pointer, shrink: Pointer) -> None:
    """Scale what was summed before, and add for a chunk: out[j][i] is the sum over cells of left[i] right[j].

    Args:
        kernel: The kernel.
        left: [J, ROW], counted in bfloat16.
        right: [J, ROW], the same.
        out: [J, J] float32.
        shrink: [J] float32, by i.
    """
    high, wide = 4, 7
    sums: Block = kernel.cells(high, wide)
    with kernel.loop(J // wide) as b, kernel.loop(J // high) as a:
        zero(kernel, sums)
        with kernel.loop(CHUNK, 2 * LANES) as k:
            rows = [(left + ((a * high + r) * ROW + k)).halves() for r in range(high)]
            for c in range(wide):
                column = (right + ((b * wide + c) * ROW + k)).halves()
                for r in range(high):
                    sums[r][c].set(kernel.dot(sums[r][c].get(), rows[r], column))
        for c in range(wide):
            totals = [sums[r][c].get() for r in range(high)]
            (out + ((b * wide + c) * J + a * high)).scale_and_add_totals(shrink + a * high, totals)


def gather(kernel: Kernel, weights: Pointer, stride: int, values: Pointer, count: Int | int, out: Pointer) -> None:
    """Add to each token of a head the values under its weights.

    Args:
        kernel: The kernel.
        weights: [T, stride], counted in bfloat16.
        stride: From one row of weights to the next.
        values: [cells / 2, D, 2].
        count: Cells, a multiple of 4.
        out: [T, D] float32.
    """
    sums: Block = kernel.cells(T, 2)
    for number, (left, right) in enumerate(sums):
        left.set((out + number * D).floats())
        right.set(kernel.number(0.0))
    with kernel.loop(count, 4) as k:
        first, second = (values + k * D).halves(), (values + (k * D + 2 * D)).halves()
        for number, (left, right) in enumerate(sums):
            row = weights + (k + number * stride)
            left.set(kernel.dot(left.get(), row.as_size(PAIR).spread_pair(), first))
            right.set(kernel.dot(right.get(), (row + 2).as_size(PAIR).spread_pair(), second))
    for number, (left, right) in enumerate(sums):
        (out + number * D).put(left.get() + right.get())
