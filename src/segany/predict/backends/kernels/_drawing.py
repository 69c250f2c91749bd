"""Drawing masks of a scored prompt: two transposed convolutions and the product with a mask's weights.

`sample` draws one pixel of the 16 that a cell becomes, which tells where the mask's border may be; `draw` draws all of
them, in the tiles of 32 cells that it is told.
"""

from collections.abc import Sequence
from typing import Any

from segany.predict.backends.kernels._language import BF16, F32, LANES, PAIR, Int, Kernel, Pointer, Vec
from segany.predict.backends.kernels._layout import TILE, J, pair_at
from segany.predict.backends.kernels._products import Block, add_product

__all__ = ["CHANNELS", "DRAWN", "MASKS", "SAMPLED", "add_drawing"]

# Channels after the first and the second transposed convolution, and masks of a prompt.
CHANNELS = (64, 32)
MASKS = 4
# Cells drawn at a time.
DRAWN = 2 * LANES
# Which of a cell's 4x4 pixels is the sample: row and column.
SAMPLED = (2, 2)

_ROWS = 8
_ARGUMENTS = [
    *[("n", 0), ("tiles", F32), ("count", 0), ("masks", 0)],
    *[("z", BF16), ("r1", F32), ("r2", F32), ("own", PAIR), ("hyper", F32), ("image", BF16)],
    *[("shift", F32), ("bias", F32), ("gain", F32), ("offset", F32), ("second", PAIR), ("second_bias", F32)],
    *[("epsilon", F32), ("out", F32)],
]


def add_drawing(module: Any) -> None:
    """Add `sample` and `draw` to a module.

    Both take: n; tiles [count] int32, which 32 cells; masks, how many of at most four; of the prompt z (pairs of 2 J
    rows), r1, r2 [N], own [256, 2 J] bf16 and hyper [masks, 32]; of the image [N / 32, 256, 32] bf16; shift, bias
    [256], gain, offset [64], second [128, 64] bf16 and its bias [128], epsilon [1]. Out: [masks, N] of `sample`,
    [masks, 4 S, 4 S] of `draw`.
    """
    _add(module, "sample", firsts=range(3, 4), seconds=range(1))
    _add(module, "draw", firsts=range(4), seconds=range(4))


def _add(module: Any, name: str, firsts: range, seconds: range) -> None:
    kernel = Kernel(module, name, _ARGUMENTS)
    n, tiles, count, masks, z, r1, r2, own, hyper, image, *constants, epsilon, out = kernel.arguments
    shift, bias, gain, offset, second, second_bias = constants
    halfway = kernel.scratch(CHANNELS[0] * DRAWN, F32)
    pairs = kernel.scratch(CHANNELS[0] * DRAWN, BF16)
    channels = kernel.scratch(CHANNELS[1] * DRAWN, F32)
    pixels = len(firsts) * len(seconds)
    results = kernel.scratch(MASKS * pixels * DRAWN, F32)
    with kernel.loop(count) as number:
        cell = (tiles + number).integer() * DRAWN
        with kernel.loop(firsts.stop, 1, firsts.start) as first:
            inner = [(r1 + cell).floats(), (r1 + (cell + LANES)).floats()]
            outer = [(r2 + cell).floats(), (r2 + (cell + LANES)).floats()]
            rows = first * CHANNELS[0]
            picture = image + (cell * (4 * CHANNELS[0]) + rows * DRAWN)
            _first(
                kernel,
                (inner, outer),
                (own + rows * J, pair_at(z, cell, 2 * J), picture),
                (shift + rows, bias + rows),
                (halfway, gain, offset, epsilon, pairs),
            )
            with kernel.loop(seconds.stop, 1, seconds.start) as part:
                rows = part * CHANNELS[1]
                _second(kernel, second + rows * (CHANNELS[0] // 2), second_bias + rows, pairs, channels)
                result = results + ((first - firsts.start) * len(seconds) + (part - seconds.start)) * DRAWN
                with kernel.loop(masks) as mask:
                    _mask(kernel, hyper + mask * CHANNELS[1], channels, result + mask * (pixels * DRAWN))
        with kernel.loop(masks) as mask:
            result = results + mask * (pixels * DRAWN)
            if pixels == 1:
                place = out + (mask * n + cell)
                place.put(result.floats())
                (place + LANES).put((result + LANES).floats())
            else:
                _lay_out(kernel, result, out + mask * n * 16, cell)
    kernel.finish()


def _first(
    kernel: Kernel,
    sigmas: tuple[Sequence[Vec], Sequence[Vec]],
    operands: tuple[Pointer, Pointer, Pointer],
    terms: tuple[Pointer, Pointer],
    norm: tuple[Pointer, Pointer, Pointer, Pointer, Pointer],
) -> None:
    """The first transposed convolution for one pixel of each cell, layer norm and GELU: pairs of channels."""
    (inner, outer), (own, rows, image), (shift, bias) = sigmas, operands, terms
    halfway, gain, offset, epsilon, pairs = norm
    cells: Block = kernel.cells(_ROWS, 2)
    squares = kernel.cells(2)
    for one in squares:
        one.set(kernel.number(0.0))
    with kernel.loop(CHANNELS[0], _ROWS) as channel:
        for number, row in enumerate(cells):
            term = (shift + (channel + number)).spread()
            parts = (image + (channel + number) * DRAWN).halves().split()
            for cell, part, factor in zip(row, parts, inner, strict=True):
                cell.set(part.times_plus(factor, term))
        add_product(kernel, cells, own + channel * J, J, rows, TILE, J)
        for number, row in enumerate(cells):
            term = (bias + (channel + number)).spread()
            for side, (cell, factor) in enumerate(zip(row, outer, strict=True)):
                value = cell.get().times_plus(factor, term)
                squares[side].set(value.times_plus(value, squares[side].get()))
                (halfway + ((channel + number) * DRAWN + side * LANES)).put(value)
    # Weights and biases are centred over the channels: no mean to subtract.
    share = kernel.number(1.0 / CHANNELS[0])
    inverse = [one.get().times_plus(share, epsilon.spread()).rsqrt() for one in squares]
    with kernel.loop(CHANNELS[0], 2) as channel:
        for side in range(2):
            values = []
            for number in range(2):
                value = (halfway + ((channel + number) * DRAWN + side * LANES)).floats() * inverse[side]
                factor, term = ((one + (channel + number)).spread() for one in (gain, offset))
                values.append(_gelu(kernel, value.times_plus(factor, term)))
            (pairs + (channel * DRAWN + side * 2 * LANES)).put(kernel.rounded(values[0], values[1]).pairs())


def _second(kernel: Kernel, weight: Pointer, bias: Pointer, pairs: Pointer, channels: Pointer) -> None:
    """The second transposed convolution for one of the four pixels, and GELU: [32, DRAWN]."""
    cells: Block = kernel.cells(_ROWS, 2)
    with kernel.loop(CHANNELS[1], _ROWS) as channel:
        for number, row in enumerate(cells):
            for cell in row:
                cell.set((bias + (channel + number)).spread())
        half = CHANNELS[0] // 2
        add_product(kernel, cells, weight + channel * half, half, pairs, DRAWN, half)
        for number, row in enumerate(cells):
            for side, cell in enumerate(row):
                place = channels + ((channel + number) * DRAWN + side * LANES)
                place.put(_gelu(kernel, cell.get()))


def _mask(kernel: Kernel, hyper: Pointer, channels: Pointer, result: Pointer) -> None:
    """One mask: its weights times the channels."""
    # Four sums a side: an addition need not wait for the one before.
    sums: Block = kernel.cells(4, 2)
    for number in range(CHANNELS[1]):
        factor = (hyper + number).spread()
        for side, cell in enumerate(sums[number % 4]):
            product = (channels + (number * DRAWN + side * LANES)).floats()
            cell.set(product * factor if number < 4 else product.times_plus(factor, cell.get()))
    for side in range(2):
        a, b, c, d = (row[side].get() for row in sums)
        (result + side * LANES).put((a + b) + (c + d))


def _lay_out(kernel: Kernel, result: Pointer, mask: Pointer, cell: Int) -> None:
    """From [first, second, cell] to rows of pixels; an image is 64 cells wide."""
    wide = 64
    corner = mask + ((cell // wide) * (4 * wide * 4) + (cell % wide) * 4)
    for row in range(4):
        down, below = divmod(row, 2)
        parts = [((down * 2 + first) * 4 + below * 2 + second) * DRAWN for first in range(2) for second in range(2)]
        for side in range(2):
            vectors = kernel.zipped([(result + (part + side * LANES)).floats() for part in parts])
            for number, vector in enumerate(vectors):
                (corner + (row * 4 * wide + side * 4 * LANES + number * LANES)).put(vector)


def _gelu(kernel: Kernel, x: Vec) -> Vec:
    """X Phi(x), by the error function's approximation 7.1.26 of Abramowitz and Stegun: good to 1.5e-7."""
    z = x.absolute() * kernel.number(0.7071067811865476)
    one = kernel.number(1.0)
    t = one / z.times_plus(kernel.number(0.3275911), one)
    tail = kernel.number(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail = tail.times_plus(t, kernel.number(coefficient))
    half = x * kernel.number(0.5) * (tail * t * (kernel.number(0.0) - z * z).exp())
    return x.where_negative(half, x - half)
