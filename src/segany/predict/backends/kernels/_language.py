"""A small language for vector kernels: Python that runs once and emits LLVM's intermediate representation.

A kernel is a Python function over the values here. What Python loops over is unrolled; `Kernel.loop` makes a loop of
the machine. Vectors hold 16 float32 (`Vec`) or 32 bfloat16 (`Halves`); pointers count in elements of their own size.
Values, pointers and the kernel need each other by type: hence one file, and its length.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import llvmlite.ir as ir

__all__ = ["BF16", "F32", "LANES", "PAIR", "Cell", "Halves", "Int", "Kernel", "Pointer", "Vec"]

LANES = 16
# Sizes in bytes: a bfloat16, two of them side by side (the operand of a dot product), a float32.
BF16, PAIR, F32 = 2, 4, 4


class _BFloat(ir.Type):  # type: ignore[misc]
    """The `bfloat` of LLVM, which llvmlite does not name."""

    def __str__(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_I16, _I32, _I64, _FLOAT = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
_POINTER = ir.PointerType()
_FLOATS = ir.VectorType(_FLOAT, LANES)
_INTS = ir.VectorType(_I32, LANES)
_SHORTS = ir.VectorType(_I16, 2 * LANES)
_BFLOATS = ir.VectorType(_BFloat(), 2 * LANES)


@dataclass(frozen=True, eq=False)
class Int:
    """A 64-bit integer of the machine."""

    kernel: "Kernel"
    value: Any

    def __add__(self, other: "Int | int") -> "Int":
        return self._make(self.kernel.builder.add(self.value, self.kernel.integer(other).value))

    def __sub__(self, other: "Int | int") -> "Int":
        return self._make(self.kernel.builder.sub(self.value, self.kernel.integer(other).value))

    def __mul__(self, other: "Int | int") -> "Int":
        return self._make(self.kernel.builder.mul(self.value, self.kernel.integer(other).value))

    def __floordiv__(self, other: int) -> "Int":
        """Of a number that is not negative."""
        return self._make(self.kernel.builder.udiv(self.value, ir.Constant(_I64, other)))

    def __mod__(self, other: int) -> "Int":
        """Of a number that is not negative."""
        return self._make(self.kernel.builder.urem(self.value, ir.Constant(_I64, other)))

    __radd__, __rmul__ = __add__, __mul__

    def _make(self, value: Any) -> "Int":
        return Int(self.kernel, value)


@dataclass(frozen=True, eq=False)
class Vec:
    """16 float32."""

    kernel: "Kernel"
    value: Any

    def __add__(self, other: "Vec") -> "Vec":
        return self._make(self.kernel.builder.fadd(self.value, other.value))

    def __sub__(self, other: "Vec") -> "Vec":
        return self._make(self.kernel.builder.fsub(self.value, other.value))

    def __mul__(self, other: "Vec") -> "Vec":
        return self._make(self.kernel.builder.fmul(self.value, other.value))

    def __truediv__(self, other: "Vec") -> "Vec":
        return self._make(self.kernel.builder.fdiv(self.value, other.value))

    def times_plus(self, factor: "Vec", term: "Vec") -> "Vec":
        """Self x factor + term, rounded once."""
        return self._call("llvm.fma.v16f32", self, factor, term)

    def maximum(self, other: "Vec") -> "Vec":
        """The larger of each pair; neither may be NaN."""
        builder = self.kernel.builder
        return self._make(builder.select(builder.fcmp_ordered(">", self.value, other.value), self.value, other.value))

    def where_negative(self, then: "Vec", otherwise: "Vec") -> "Vec":
        """`then` where self is below zero."""
        builder = self.kernel.builder
        negative = builder.fcmp_ordered("<", self.value, self.kernel.number(0.0).value)
        return self._make(builder.select(negative, then.value, otherwise.value))

    def absolute(self) -> "Vec":
        """Without the sign."""
        return self._call("llvm.fabs.v16f32", self)

    def rsqrt(self) -> "Vec":
        """1 / square root."""
        return self.kernel.number(1.0) / self._call("llvm.sqrt.v16f32", self)

    def exp(self) -> "Vec":
        """E to the power of numbers up to 80; what lies below -80 counts as -80. Good to 2e-7 of the result."""
        kernel, builder = self.kernel, self.kernel.builder
        scaled = self.maximum(kernel.number(-80.0)) * kernel.number(1.4426950408889634)
        whole = self._call("llvm.nearbyint.v16f32", scaled)
        rest = scaled - whole
        # Taylor's series of 2^x on [-1/2, 1/2].
        power = kernel.number(1.5403530393381608e-4)
        for coefficient in (
            1.3333558146428443e-3,
            9.618129107628477e-3,
            5.550410866482158e-2,
            2.402265069591007e-1,
            6.931471805599453e-1,
            1.0,
        ):
            power = power.times_plus(rest, kernel.number(coefficient))
        exponent = builder.shl(builder.fptosi(whole.value, _INTS), ir.Constant(_INTS, [23] * LANES))
        return self._make(builder.bitcast(builder.add(builder.bitcast(power.value, _INTS), exponent), _FLOATS))

    def largest(self) -> "Vec":
        """The largest number, in all places."""
        return self._reduced("fmax", self.value)

    def total(self) -> "Vec":
        """The sum, in all places."""
        return self._reduced("fadd", ir.Constant(_FLOAT, 0.0), self.value)

    def _reduced(self, name: str, *arguments: Any) -> "Vec":
        kernel = self.kernel
        function = kernel.intrinsic(f"llvm.vector.reduce.{name}.v16f32", _FLOAT, [one.type for one in arguments])
        # In whatever order: one addition after the other would take 16 times as long.
        return kernel.spread(kernel.builder.call(function, arguments, fastmath=("reassoc", "nnan")))

    def _call(self, name: str, *vectors: "Vec") -> "Vec":
        function = self.kernel.intrinsic(name, _FLOATS, [_FLOATS] * len(vectors))
        return self._make(self.kernel.builder.call(function, [one.value for one in vectors]))

    def _make(self, value: Any) -> "Vec":
        return Vec(self.kernel, value)


@dataclass(frozen=True, eq=False)
class Halves:
    """32 bfloat16: 16 pairs of a dot product, or 32 numbers in order."""

    kernel: "Kernel"
    value: Any

    def split(self) -> tuple[Vec, Vec]:
        """32 numbers in order as float32."""
        builder = self.kernel.builder
        parts = []
        for start in (0, LANES):
            part = self._shuffled(self, range(start, start + LANES))
            wide = builder.shl(builder.zext(part, _INTS), ir.Constant(_INTS, [16] * LANES))
            parts.append(Vec(self.kernel, builder.bitcast(wide, _FLOATS)))
        return parts[0], parts[1]

    def interleaved(self, other: "Halves") -> tuple["Halves", "Halves"]:
        """Two rows of 32 numbers as 32 pairs (self, other)."""
        made = []
        for start in (0, LANES):
            order = [place + row for place in range(start, start + LANES) for row in (0, 2 * LANES)]
            made.append(Halves.of_shorts(self.kernel, self._shuffled(other, order)))
        return made[0], made[1]

    def pairs(self) -> "Halves":
        """Of 16 numbers and 16 more: 16 pairs."""
        order = [place + half for place in range(LANES) for half in (0, LANES)]
        return Halves.of_shorts(self.kernel, self._shuffled(self, order))

    @staticmethod
    def of_shorts(kernel: "Kernel", value: Any) -> "Halves":
        """From 32 integers of 16 bits."""
        return Halves(kernel, kernel.builder.bitcast(value, _BFLOATS))

    def _shuffled(self, other: "Halves", order: Sequence[int] | range) -> Any:
        builder = self.kernel.builder
        mask = ir.Constant(ir.VectorType(_I32, len(order)), list(order))
        return builder.shuffle_vector(builder.bitcast(self.value, _SHORTS), builder.bitcast(other.value, _SHORTS), mask)


@dataclass(frozen=True, eq=False)
class Cell:
    """A vector that changes: it lives in a register for as long as there are enough of them."""

    kernel: "Kernel"
    place: Any

    def get(self) -> Vec:
        """Its value now."""
        return Vec(self.kernel, self.kernel.builder.load(self.place, typ=_FLOATS))

    def set(self, value: Vec) -> None:
        """Change it."""
        self.kernel.builder.store(value.value, self.place)


@dataclass(frozen=True, eq=False)
class Pointer:
    """An address and the size in bytes of what it counts in."""

    kernel: "Kernel"
    value: Any
    size: int

    def __add__(self, offset: Int | int) -> "Pointer":
        kernel = self.kernel
        bytes_on = (kernel.integer(offset) * self.size).value
        moved = kernel.builder.gep(self.value, [bytes_on], source_etype=ir.IntType(8))
        return Pointer(kernel, moved, self.size)

    def floats(self) -> Vec:
        """The 16 float32 there."""
        return Vec(self.kernel, self.kernel.builder.load(self.value, align=4, typ=_FLOATS))

    def put(self, value: "Vec | Halves") -> None:
        """Store a vector there."""
        self.kernel.builder.store(value.value, self.value, align=2 if isinstance(value, Halves) else 4)

    def put_first(self, value: "Vec") -> None:
        """Store the first number of a vector there."""
        builder = self.kernel.builder
        builder.store(builder.extract_element(value.value, ir.Constant(_I32, 0)), self.value, align=4)

    def scale_and_add_totals(self, factors: "Pointer", vectors: Sequence["Vec"]) -> None:
        """To the four float32 there, each times its factor, add the sum of each of four vectors."""
        builder, four = self.kernel.builder, ir.VectorType(_FLOAT, 4)
        a, b, c, d = (one.value for one in vectors)
        total = self._folded(self._folded(a, b, 1), self._folded(c, d, 1), 2)
        for half in (8, 4):
            low, high = (self._picked(total, total, range(start, start + half)) for start in (0, half))
            total = builder.fadd(low, high)
        old = builder.load(self.value, align=4, typ=four)
        factor = builder.load(factors.value, align=4, typ=four)
        builder.store(builder.fadd(builder.fmul(old, factor), total), self.value, align=4)

    def _folded(self, a: Any, b: Any, step: int) -> Any:
        """Sums of neighbours `step` apart, in turn of one vector and of the other."""
        order = [
            row + place
            for start in range(0, LANES, 2 * step)
            for row in (0, LANES)
            for place in range(start, start + step)
        ]
        parts = (self._picked(a, b, [place + shift for place in order]) for shift in (0, step))
        return self.kernel.builder.fadd(*parts)

    def _picked(self, a: Any, b: Any, order: Sequence[int]) -> Any:
        places = ir.Constant(ir.VectorType(_I32, len(order)), list(order))
        return self.kernel.builder.shuffle_vector(a, b, places)

    def as_size(self, size: int) -> "Pointer":
        """The same address, counting in something else."""
        return Pointer(self.kernel, self.value, size)

    def halves(self) -> Halves:
        """The 32 bfloat16 there."""
        return Halves.of_shorts(self.kernel, self.kernel.builder.load(self.value, align=2, typ=_SHORTS))

    def spread(self) -> Vec:
        """The float32 there, in all places."""
        return self.kernel.spread(self.kernel.builder.load(self.value, align=4, typ=_FLOAT))

    def spread_pair(self) -> Halves:
        """The two bfloat16 there, in all places."""
        kernel = self.kernel
        pair = kernel.builder.load(self.value, align=2, typ=_I32)
        return Halves(kernel, kernel.builder.bitcast(kernel.spread_integer(pair), _BFLOATS))

    def integer(self) -> Int:
        """The 32-bit integer there."""
        builder = self.kernel.builder
        return Int(self.kernel, builder.sext(builder.load(self.value, align=4, typ=_I32), _I64))


class Kernel:
    """One function while it is written."""

    def __init__(self, module: Any, name: str, arguments: Sequence[tuple[str, int]]) -> None:
        """Begin.

        Args:
            module: The `llvmlite.ir.Module` that it becomes part of.
            name: Its symbol.
            arguments: Names and element sizes of pointers; 0 for a 64-bit integer.
        """
        kinds = [_POINTER if size else _I64 for _, size in arguments]
        self._module = module
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        # Variables are made here, once, before whatever loop uses them.
        self._entry = ir.IRBuilder(self.function.append_basic_block("variables"))
        body = self.function.append_basic_block("body")
        self._first = body
        self.builder.branch(self._entry.block)
        self.builder.position_at_end(body)
        self.arguments: list[Any] = [
            Pointer(self, value, size) if size else Int(self, value)
            for value, (_, size) in zip(self.function.args, arguments, strict=True)
        ]

    def finish(self) -> None:
        """End the function."""
        self._entry.branch(self._first)
        self.builder.ret_void()

    def integer(self, value: Int | int) -> Int:
        """A number of Python as one of the machine."""
        return value if isinstance(value, Int) else Int(self, ir.Constant(_I64, value))

    def number(self, value: float) -> Vec:
        """A number in all places."""
        return Vec(self, ir.Constant(_FLOATS, [value] * LANES))

    def spread(self, scalar: Any) -> Vec:
        """A scalar of the machine in all places."""
        return Vec(self, self._spread(scalar, _FLOATS))

    def spread_integer(self, scalar: Any) -> Any:
        """The same for a 32-bit integer."""
        return self._spread(scalar, _INTS)

    def _spread(self, scalar: Any, kind: Any) -> Any:
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(_INTS, [0] * LANES))

    def intrinsic(self, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        """A function that LLVM knows."""
        found = self._module.globals.get(name)
        return found or ir.Function(self._module, ir.FunctionType(result, arguments), name)

    def cells(self, *shape: int) -> Any:
        """Vectors that change, as nested lists."""
        if not shape:
            return Cell(self, self._entry.alloca(_FLOATS))
        return [self.cells(*shape[1:]) for _ in range(shape[0])]

    def scratch(self, count: int, size: int) -> Pointer:
        """Memory of the function's own."""
        place = self._entry.alloca(ir.ArrayType(ir.IntType(8), count * size))
        place.align = 64
        # llvmlite types this pointer; LLVM itself does not.
        place.type = _POINTER
        return Pointer(self, place, size)

    def dot(self, total: Vec, a: Halves, b: Halves) -> Vec:
        """Add to each place the dot product of the two pairs there."""
        name = "llvm.x86.avx512bf16.dpbf16ps.512"
        function = self.intrinsic(name, _FLOATS, [_FLOATS, _BFLOATS, _BFLOATS])
        return Vec(self, self.builder.call(function, [total.value, a.value, b.value]))

    def rounded(self, low: Vec, high: Vec) -> Halves:
        """32 numbers as bfloat16, in order."""
        function = self.intrinsic("llvm.x86.avx512bf16.cvtne2ps2bf16.512", _BFLOATS, [_FLOATS, _FLOATS])
        return Halves(self, self.builder.call(function, [high.value, low.value]))

    def zipped(self, vectors: Sequence[Vec]) -> list[Vec]:
        """Four vectors as four others that hold, in order, the first numbers of all, the second numbers, and so on."""
        builder = self.builder
        wide = ir.VectorType(_I32, 2 * LANES)
        first, second = (
            builder.shuffle_vector(a.value, b.value, ir.Constant(wide, list(range(2 * LANES))))
            for a, b in (vectors[:2], vectors[2:])
        )
        made = []
        for start in range(0, LANES, LANES // 4):
            order = [place + row * LANES for place in range(start, start + LANES // 4) for row in range(4)]
            made.append(Vec(self, builder.shuffle_vector(first, second, ir.Constant(_INTS, order))))
        return made

    @contextmanager
    def loop(self, stop: Int | int, step: int = 1, start: Int | int = 0) -> Iterator[Int]:
        """A loop of the machine from `start` to before `stop`, at least once."""
        builder, function = self.builder, self.function
        before = builder.block
        body, after = function.append_basic_block("loop"), function.append_basic_block("after")
        end, begin = self.integer(stop), self.integer(start)
        builder.branch(body)
        builder.position_at_end(body)
        index = builder.phi(_I64)
        index.add_incoming(begin.value, before)
        yield Int(self, index)
        following = builder.add(index, ir.Constant(_I64, step))
        index.add_incoming(following, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, end.value), body, after)
        builder.position_at_end(after)
