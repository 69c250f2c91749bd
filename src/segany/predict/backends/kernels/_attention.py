"""The three passes over an image's cells that score prompts: what the structured decoder does, tile by tile.

Each pass reads the image's projections for a few prompts at a time and keeps what the next one needs: the attention
weights A of layer 1's update, those of layer 2's (B), and the two layer norms' 1 / sigma. Softmax over all cells runs
with its maximum so far (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax").
"""

from collections.abc import Sequence
from typing import Any

from segany.predict.backends.kernels._language import BF16, F32, LANES, PAIR, Int, Kernel, Pointer, Vec
from segany.predict.backends.kernels._layout import CHUNK, GROUP, ROW, TILE, D, H, J, T, key_at, pair_at, row_at
from segany.predict.backends.kernels._products import (
    Block,
    add_heads,
    add_product,
    gather,
    gram,
    softmax_tokens,
    step_softmax,
    zero,
)

__all__ = ["add_passes"]

_BLOCKS = H // 2
_ROWS = 2 * T
_LOW = -1e30


def add_passes(module: Any) -> None:
    """Add the three passes to a module."""
    _read(module)
    _first_update(module)
    _second_update(module)


def _read(module: Any) -> None:
    """`read`: softmax over the cells of queries x keys, times values.

    n, prompts, keys, values, queries [P, J, D] bf16; out [P, J, D]; scratch: scores [2 T, n + 16], weights [2 T, n +
    32].
    """
    arguments = [("n", 0), ("prompts", 0), ("keys", BF16), ("values", BF16), ("queries", PAIR), ("out", F32)]
    kernel = Kernel(module, "read", [*arguments, ("scores", F32), ("weights", BF16)])
    n, prompts, keys, values, queries, out, scores, weights = kernel.arguments
    cells: Block = kernel.cells(_ROWS, 2)
    tops = kernel.scratch(_ROWS * LANES, F32)
    wide, long = n + LANES, n + 2 * LANES
    with kernel.loop(prompts) as prompt, kernel.loop(_BLOCKS) as block:
        own, rows = queries + prompt * (J * D // 2), out + (prompt * J + block * _ROWS) * D
        for number in range(_ROWS):
            (tops + number * LANES).put(kernel.number(_LOW))
        with kernel.loop(n, 2 * LANES) as cell:
            zero(kernel, cells)
            add_heads(kernel, cells, own, key_at(keys, cell), block)
            _keep_scores(kernel, cells, scores + cell, wide, tops)
        with kernel.loop(_ROWS) as row:
            top, total = (tops + row * LANES).floats().largest(), kernel.cells()
            total.set(kernel.number(0.0))
            with kernel.loop(n, 2 * LANES) as cell:
                place = scores + (row * wide + cell)
                low, high = (place.floats() - top).exp(), ((place + LANES).floats() - top).exp()
                total.set(total.get() + (low + high))
                (weights + (row * long + cell)).put(kernel.rounded(low, high))
            (tops + row * LANES).put(kernel.number(1.0) / total.get().total())
            (rows + row * D).put(kernel.number(0.0))
        with kernel.loop(2) as head:
            part = rows + head * (T * D)
            gather(kernel, weights + head * T * long, long, values + (block * 2 + head) * n * D, n, part)
        for number in range(_ROWS):
            place = rows + number * D
            place.put(place.floats() * (tops + number * LANES).floats())
    kernel.finish()


def _first_update(module: Any) -> None:
    """`first_update`: layer 1's update of the cells, and layer 2's reading of them.

    Of the image: n, queries1, cross1, keys2, positions2, values2, norm [N]. Of each prompt: keys [J, D], doubled [J,
    D] (2 v / E), gram [J, J] / E (blocks below the diagonal folded into those above), own [J, J], queries [J, D]. Out
    of each: gathered [J, J], out [J, D], attention (rows), r [N]. Scratch: scores [GROUP, J, ROW], weights [J, ROW].
    """
    image = [
        ("queries1", BF16),
        ("cross1", BF16),
        ("keys2", BF16),
        ("positions2", BF16),
        ("values2", BF16),
        ("norm", F32),
    ]
    prompt = [("keys", PAIR), ("doubled", PAIR), ("gram", PAIR), ("own", PAIR), ("queries", PAIR)]
    made = [("gathered", F32), ("out", F32), ("attention", BF16), ("r", F32)]
    kernel = Kernel(
        module, "first_update", [("n", 0), ("prompts", 0), *image, *prompt, *made, ("scores", F32), ("weights", BF16)]
    )
    n, prompts, queries1, cross1, keys2, positions2, values2, norm, *rest = kernel.arguments
    keys, doubled, matrix, own, queries, gathered, out, attention, r, scores, weights = rest
    state = _Softmaxes(kernel, 1)
    cells: Block = kernel.cells(_ROWS, 2)
    pairs, exact = kernel.scratch(J * TILE, BF16), kernel.scratch(J * TILE, F32)
    with kernel.loop(prompts) as g:
        state.begin(g, gathered + g * (J * J), J, out + g * (J * D))
    with kernel.loop(n, CHUNK) as chunk:
        with kernel.loop(chunk + CHUNK, TILE, chunk) as tile, kernel.loop(prompts) as g:
            rows, sigma, kept = attention + g * n // CHUNK * (J * ROW), r + g * n, scores + g * (J * ROW)
            with kernel.loop(TILE, 2 * LANES) as c, kernel.loop(_BLOCKS) as block:
                zero(kernel, cells)
                add_heads(kernel, cells, keys + g * (J * D // 2), key_at(queries1, tile + c), block)
                for head in (cells[:T], cells[T:]):
                    softmax_tokens(kernel, head)
                _keep(kernel, cells, exact, pairs, block, c)
                _keep_rows(kernel, cells, row_at(rows, tile + c), block)
            with kernel.loop(TILE, 2 * LANES) as c:
                cell = tile + c
                variance = _variance(kernel, [norm + cell, norm + (cell + LANES)])
                with kernel.loop(_BLOCKS) as block:
                    zero(kernel, cells)
                    add_heads(kernel, cells, doubled + g * (J * D // 2), key_at(cross1, cell), block)
                    start = matrix + (g * J + block * _ROWS) * (J // 2) + block * T
                    add_product(
                        kernel, cells, start, J // 2, pairs + (block * (T * TILE) + c) * 2, TILE, (block * -T) + J // 2
                    )
                    _add_products_of(kernel, cells, exact + (block * (_ROWS * TILE) + c), variance)
                inverse = [one.get().rsqrt() for one in variance]
                (sigma + cell).put(inverse[0])
                (sigma + (cell + LANES)).put(inverse[1])
                with kernel.loop(_BLOCKS) as block:
                    zero(kernel, cells)
                    add_heads(kernel, cells, queries + g * (J * D // 2), key_at(keys2, cell), block)
                    add_product(
                        kernel, cells, own + (g * J + block * _ROWS) * (J // 2), J // 2, pairs + c * 2, TILE, J // 2
                    )
                    _times(cells, inverse)
                    add_heads(kernel, cells, queries + g * (J * D // 2), key_at(positions2, cell), block)
                    place = kept + (block * (_ROWS * ROW) + cell % CHUNK)
                    _keep_scores(kernel, cells, place, ROW, state.tops_of(g) + block * (_ROWS * LANES))
        with kernel.loop(prompts) as g:
            sigma = r + (g * n + chunk)
            with kernel.loop(J) as row:
                top = state.step(g, row, [out + g * (J * D)])
                total = state.total(g, 0, row)
                with kernel.loop(CHUNK, 2 * LANES) as c:
                    place = scores + ((g * J + row) * ROW + c)
                    low, high = (place.floats() - top).exp(), ((place + LANES).floats() - top).exp()
                    total.set(total.get() + (low + high))
                    low, high = low * (sigma + c).floats(), high * (sigma + (c + LANES)).floats()
                    (weights + (row * ROW + c)).put(kernel.rounded(low, high))
                state.keep_total(g, 0, row, total)
            rows = row_at(attention + g * n // CHUNK * (J * ROW), chunk)
            gram(kernel, weights, rows, gathered + g * (J * J), state.shrink)
            with kernel.loop(H) as h:
                of_head = values2 + (h * n + chunk) * D
                gather(kernel, weights + h * (T * ROW), ROW, of_head, CHUNK, out + (g * J + h * T) * D)
    with kernel.loop(prompts) as g:
        state.finish(g, gathered + g * (J * J), J, out + g * (J * D))
    kernel.finish()


def _second_update(module: Any) -> None:
    """`second_update`: layer 2's update of the cells, and the last attention's reading of them.

    Of the image: n, queries2, positions2, cross2a, cross2b, keys3, positions3, values3, norm1 [N], norm2 [N], base
    [1]. Of each prompt: attention and r of `first_update`; own2 [J, J], keys [J, D], doubled1 and doubled2 [J, D],
    gram [2 J, 2 J], linear [2 J], own3 [J, 2 J], shift [J], queries [J, D]. Out of each: gathered [2 J, J], out [J,
    D], share [J], z (pairs of 2 J rows), r2 [N]. Scratch: scores [GROUP, J, ROW], rows [GROUP, J, ROW], weights [2, J,
    ROW].
    """
    image = [
        (name, BF16) for name in ("queries2", "positions2", "cross2a", "cross2b", "keys3", "positions3", "values3")
    ]
    image += [("norm1", F32), ("norm2", F32), ("base", F32)]
    prompt = [("attention", BF16), ("r", F32), ("own2", PAIR), ("keys", PAIR), ("doubled1", PAIR), ("doubled2", PAIR)]
    prompt += [("gram", PAIR), ("linear", F32), ("own3", PAIR), ("shift", F32), ("queries", PAIR)]
    made = [("gathered", F32), ("out", F32), ("share", F32), ("z", BF16), ("r2", F32)]
    scratch = [("scores", F32), ("rows", BF16), ("weights", BF16)]
    kernel = Kernel(module, "second_update", [("n", 0), ("prompts", 0), *image, *prompt, *made, *scratch])
    n, prompts, queries2, positions2, cross2a, cross2b, keys3, positions3, values3, *rest = kernel.arguments
    norm1, norm2, base, attention, r, own2, keys, doubled1, doubled2, matrix, linear, own3, shift, queries, *rest = rest
    gathered, out, share, z, r2, scores, kept_rows, weights = rest
    state = _Softmaxes(kernel, 2)
    cells: Block = kernel.cells(_ROWS, 2)
    pairs, exact = kernel.scratch(J * TILE, BF16), kernel.scratch(2 * J * TILE, F32)
    with kernel.loop(prompts) as g:
        state.begin(g, gathered + g * (2 * J * J), 2 * J, out + g * (J * D))
    with kernel.loop(n, CHUNK) as chunk:
        with kernel.loop(chunk + CHUNK, TILE, chunk) as tile, kernel.loop(prompts) as g:
            rows, sigma, both = attention + g * n // CHUNK * (J * ROW), r + g * n, z + g * n * (2 * J)
            with kernel.loop(TILE, 2 * LANES) as c:
                cell = tile + c
                inner = [(sigma + cell).floats(), (sigma + (cell + LANES)).floats()]
                with kernel.loop(J // 2) as pair:
                    upper = row_at(rows, cell) + pair * (2 * ROW)
                    first, second = upper.halves().interleaved((upper + ROW).halves())
                    place = pairs + (pair * TILE + c) * 2
                    place.put(first)
                    (place + 2 * LANES).put(second)
                with kernel.loop(_BLOCKS) as block:
                    zero(kernel, cells)
                    add_heads(kernel, cells, keys + g * (J * D // 2), key_at(queries2, cell), block)
                    add_product(
                        kernel, cells, own2 + (g * J + block * _ROWS) * (J // 2), J // 2, pairs + c * 2, TILE, J // 2
                    )
                    _times(cells, inner)
                    add_heads(kernel, cells, keys + g * (J * D // 2), key_at(positions2, cell), block)
                    for head in (cells[:T], cells[T:]):
                        softmax_tokens(kernel, head)
                    place = pair_at(both, tile, 2 * J)
                    _keep(kernel, cells, exact + J * TILE, place + J * TILE, block, c)
                    _keep_rows(kernel, cells, kept_rows + (g * (J * ROW) + cell % CHUNK), block)
                    for number, (left, right) in enumerate(cells):
                        kept = row_at(rows, cell) + (block * _ROWS + number) * ROW
                        low, high = kept.halves().split()
                        left.set(low * inner[0])
                        right.set(high * inner[1])
                    _keep(kernel, cells, exact, place, block, c)
            with kernel.loop(TILE, 2 * LANES) as c:
                cell = tile + c
                inner = [(sigma + cell).floats(), (sigma + (cell + LANES)).floats()]
                variance = kernel.cells(2)
                for side, one in enumerate(variance):
                    at = cell + side * LANES
                    slope = (norm1 + at).floats().times_plus(inner[side], (norm2 + at).floats())
                    one.set(slope.times_plus(inner[side], base.spread()))
                place = pair_at(both, tile, 2 * J) + c * 2
                for half, (doubled, cross) in enumerate(((doubled1, cross2a), (doubled2, cross2b))):
                    with kernel.loop(_BLOCKS) as block:
                        zero(kernel, cells)
                        add_heads(kernel, cells, doubled + g * (J * D // 2), key_at(cross, cell), block)
                        line = block * _ROWS + half * J
                        _times_plus(cells, inner, linear + (g * (2 * J) + line))
                        start = matrix + (g * (2 * J) + line) * J + (block * T + half * (J // 2))
                        skipped = block * T + half * (J // 2)
                        add_product(kernel, cells, start, J, place + skipped * (2 * TILE), TILE, (skipped * -1) + J)
                        _add_products_of(kernel, cells, exact + (line * TILE + c), variance)
                outer = [one.get().rsqrt() for one in variance]
                (r2 + (g * n + cell)).put(outer[0])
                (r2 + (g * n + cell + LANES)).put(outer[1])
                with kernel.loop(_BLOCKS) as block:
                    zero(kernel, cells)
                    add_heads(kernel, cells, queries + g * (J * D // 2), key_at(keys3, cell), block)
                    _times_plus(cells, inner, shift + (g * J + block * _ROWS))
                    add_product(kernel, cells, own3 + (g * J + block * _ROWS) * J, J, place, TILE, J)
                    _times(cells, outer)
                    add_heads(kernel, cells, queries + g * (J * D // 2), key_at(positions3, cell), block)
                    at = scores + ((g * J + block * _ROWS) * ROW + cell % CHUNK)
                    _keep_scores(kernel, cells, at, ROW, state.tops_of(g) + block * (_ROWS * LANES))
        with kernel.loop(prompts) as g:
            inner_at, outer_at, both_at = r + (g * n + chunk), r2 + (g * n + chunk), weights + J * ROW
            with kernel.loop(J) as row:
                top = state.step(g, row, [out + g * (J * D)])
                total, shared = state.total(g, 0, row), state.total(g, 1, row)
                with kernel.loop(CHUNK, 2 * LANES) as c:
                    at = scores + ((g * J + row) * ROW + c)
                    low, high = (at.floats() - top).exp(), ((at + LANES).floats() - top).exp()
                    total.set(total.get() + (low + high))
                    low, high = low * (outer_at + c).floats(), high * (outer_at + (c + LANES)).floats()
                    shared.set(shared.get() + (low + high))
                    (weights + (row * ROW + c)).put(kernel.rounded(low, high))
                    low, high = low * (inner_at + c).floats(), high * (inner_at + (c + LANES)).floats()
                    (both_at + (row * ROW + c)).put(kernel.rounded(low, high))
                state.keep_total(g, 0, row, total)
                state.keep_total(g, 1, row, shared)
            rows = row_at(attention + g * n // CHUNK * (J * ROW), chunk)
            gram(kernel, both_at, rows, gathered + g * (2 * J * J), state.shrink)
            gram(kernel, weights, kept_rows + g * (J * ROW), gathered + (g * (2 * J * J) + J * J), state.shrink)
            with kernel.loop(H) as h:
                of_head = values3 + (h * n + chunk) * D
                gather(kernel, both_at + h * (T * ROW), ROW, of_head, CHUNK, out + (g * J + h * T) * D)
    with kernel.loop(prompts) as g:
        with kernel.loop(J) as row:
            one = state.total(g, 1, row).get().total() / state.total(g, 0, row).get().total()
            (share + (g * J + row)).put_first(one)
        state.finish(g, gathered + g * (2 * J * J), 2 * J, out + g * (J * D))
    kernel.finish()


class _Softmaxes:
    """The running softmax over cells of GROUP prompts, J rows each, with one or two sums under it."""

    def __init__(self, kernel: Kernel, sums: int) -> None:
        self._kernel, self._sums = kernel, sums
        self._tops, self._seen = (kernel.scratch(GROUP * J * LANES, F32) for _ in range(2))
        self._totals = [kernel.scratch(GROUP * J * LANES, F32) for _ in range(sums)]
        self.shrink = kernel.scratch(J, F32)
        self._cells = kernel.cells(sums)

    def begin(self, g: Int, gathered: Pointer, columns: int, out: Pointer) -> None:
        kernel = self._kernel
        nothing, low = kernel.number(0.0), kernel.number(_LOW)
        with kernel.loop(J) as row:
            at = (g * J + row) * LANES
            (self._tops + at).put(low)
            (self._seen + at).put(low)
            for total in self._totals:
                (total + at).put(nothing)
            (out + row * D).put(nothing)
        with kernel.loop(columns * J, LANES) as at:
            (gathered + at).put(nothing)

    def tops_of(self, g: Int) -> Pointer:
        return self._tops + g * (J * LANES)

    def step(self, g: Int, row: Int, sums: Sequence[Pointer]) -> Vec:
        at = g * (J * LANES)
        own = [total + at for total in self._totals]
        return step_softmax(self._kernel, row, self._tops + at, self._seen + at, self.shrink, [*own, *sums])

    def total(self, g: Int, number: int, row: Int) -> Any:
        """A sum under the softmax, as a cell to add to."""
        cell = self._cells[number]
        cell.set((self._totals[number] + (g * J + row) * LANES).floats())
        return cell

    def keep_total(self, g: Int, number: int, row: Int, cell: Any) -> None:
        (self._totals[number] + (g * J + row) * LANES).put(cell.get())

    def finish(self, g: Int, gathered: Pointer, columns: int, out: Pointer) -> None:
        """Divide everything by the sums of the weights."""
        kernel = self._kernel
        with kernel.loop(J) as row:
            inverse = kernel.number(1.0) / (self._totals[0] + (g * J + row) * LANES).floats().total()
            (out + row * D).put((out + row * D).floats() * inverse)
            with kernel.loop(columns) as column:
                place = gathered + (column * J + row)
                place.put_first(place.spread() * inverse)


def _keep(kernel: Kernel, cells: Block, exact: Pointer, pairs: Pointer, block: Int, c: Int) -> None:
    """Two heads of attention: as float32 [rows, TILE], and as pairs of rows."""
    for number, (left, right) in enumerate(cells):
        place = exact + ((block * _ROWS + number) * TILE + c)
        place.put(left.get())
        (place + LANES).put(right.get())
    for number in range(T):
        place = pairs + ((block * T + number) * TILE + c) * 2
        for side in range(2):
            both = kernel.rounded(cells[2 * number][side].get(), cells[2 * number + 1][side].get())
            (place + side * 2 * LANES).put(both.pairs())


def _keep_rows(kernel: Kernel, cells: Block, rows: Pointer, block: Int) -> None:
    """Two heads of attention as rows of cells."""
    for number, (left, right) in enumerate(cells):
        (rows + (block * _ROWS + number) * ROW).put(kernel.rounded(left.get(), right.get()))


def _keep_scores(kernel: Kernel, cells: Block, place: Pointer, stride: Int | int, tops: Pointer) -> None:
    """Scores of two heads, and each lane's maximum so far."""
    for number, (left, right) in enumerate(cells):
        row = place + kernel.integer(stride) * number
        row.put(left.get())
        (row + LANES).put(right.get())
        top = tops + number * LANES
        top.put(top.floats().maximum(left.get().maximum(right.get())))


def _variance(kernel: Kernel, places: Sequence[Pointer]) -> list[Any]:
    cells: list[Any] = kernel.cells(len(places))
    for cell, place in zip(cells, places, strict=True):
        cell.set(place.floats())
    return cells


def _add_products_of(kernel: Kernel, cells: Block, exact: Pointer, sums: Sequence[Any]) -> None:
    """Add, over the rows, what is in the cells times the attention there."""
    for number, row in enumerate(cells):
        for side, cell in enumerate(row):
            weight = (exact + (number * TILE + side * LANES)).floats()
            sums[side].set(cell.get().times_plus(weight, sums[side].get()))


def _times(cells: Block, factors: Sequence[Vec]) -> None:
    for row in cells:
        for cell, factor in zip(row, factors, strict=True):
            cell.set(cell.get() * factor)


def _times_plus(cells: Block, factors: Sequence[Vec], terms: Pointer) -> None:
    for number, row in enumerate(cells):
        term = (terms + number).spread()
        for cell, factor in zip(row, factors, strict=True):
            cell.set(cell.get().times_plus(factor, term))
