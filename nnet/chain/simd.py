"""A vector of LANES float32 numbers as a Numba type: one number for each sequence of a block.

Numba's own loops over the lanes, `for n in range(LANES): into[n] += row[n] * p`, keep `into` in
memory and check at run time whether it overlaps `row`, which costs five times what the arithmetic
does. With these the sum stays in a register:

    into = zeros()
    for a in range(first, last):
        into = fma(load(alpha, src[a]), splat(prob[a]), into)
    store(stored, g, into)

`load(array, i)` and `store(array, i, v)` are row i of a C-contiguous float32 array (rows, LANES),
`transpose_in` and `transpose_out` bring LANES rows from and to LANES places; nothing is checked.
LLVM makes of a vector whatever the machine has: one AVX-512 register, two of AVX2, four of NEON.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import types

LANES = 16

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_INT = ir.IntType(64)
intrinsic: Callable[[Any], Any] = extending.intrinsic  # called from Numba code, not from Python


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


_lanes = _Lanes()


@extending.register_model(_Lanes)
class _LanesModel(extending.models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _FLOATS)  # type: ignore[no-untyped-call]


@intrinsic
def zeros(context: Any) -> Any:
    """All zero."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_FLOATS, [0.0] * LANES)

    return _lanes(), code


@intrinsic
def splat(context: Any, value: Any) -> Any:
    """A float32 in every lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        undefined = ir.Constant(_FLOATS, ir.Undefined)
        one = builder.insert_element(undefined, arguments[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(one, undefined, ir.Constant(_INTS, [0] * LANES))

    return _lanes(types.float32), code


@intrinsic
def load(context: Any, array: Any, row: Any) -> Any:
    """Row `row` of `array`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_pointer(context, builder, signature, arguments))
        loaded.align = 4
        return loaded

    return _lanes(array, row), code


@intrinsic
def store(context: Any, array: Any, row: Any, value: Any) -> Any:
    """Writes row `row` of `array`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        stored = builder.store(arguments[2], _pointer(context, builder, signature, arguments))
        stored.align = 4
        return context.get_dummy_value()

    return types.void(array, row, value), code


@intrinsic
def transpose_in(context: Any, rows: Any, row: Any, array: Any, starts: Any, k: Any) -> Any:
    """Lane n of LANES rows from `row` on: array[starts[n] + k] and those after it.

    `array` counts as one long vector; where starts[n] (int64) is negative the lane gets -inf.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row, array, starts, k = arguments[1:]
        nothing = ir.Constant(_FLOATS, [-math.inf] * LANES)
        columns = []
        for n in range(LANES):
            start = _start(context, builder, signature.args[3], starts, n)
            there = builder.icmp_signed(">=", start, ir.Constant(_INT, 0))
            first = builder.add(builder.select(there, start, ir.Constant(_INT, 0)), k)
            column = builder.load(_place(context, builder, signature.args[2], array, first))
            column.align = 4
            columns.append(builder.select(there, column, nothing))
        first = builder.mul(row, ir.Constant(_INT, LANES))
        for i, value in enumerate(_transposed(builder, columns)):
            at = builder.add(first, ir.Constant(_INT, i * LANES))
            stored = builder.store(
                value, _place(context, builder, signature.args[0], arguments[0], at)
            )
            stored.align = 4
        return context.get_dummy_value()

    return types.void(rows, types.int64, array, starts, types.int64), code


@intrinsic
def transpose_out(context: Any, array: Any, starts: Any, k: Any, rows: Any, row: Any) -> Any:
    """The way back of `transpose_in`; a lane with a negative start goes nowhere."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, starts, k, rows, row = arguments
        first = builder.mul(row, ir.Constant(_INT, LANES))
        values = []
        for i in range(LANES):
            at = builder.add(first, ir.Constant(_INT, i * LANES))
            value = builder.load(_place(context, builder, signature.args[3], rows, at))
            value.align = 4
            values.append(value)
        for n, column in enumerate(_transposed(builder, values)):
            start = _start(context, builder, signature.args[1], starts, n)
            with builder.if_then(builder.icmp_signed(">=", start, ir.Constant(_INT, 0))):
                at = builder.add(start, k)
                stored = builder.store(
                    column, _place(context, builder, signature.args[0], array, at)
                )
                stored.align = 4
        return context.get_dummy_value()

    return types.void(array, starts, types.int64, rows, types.int64), code


@intrinsic
def mul(context: Any, a: Any, b: Any) -> Any:
    """a b, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments, flags=["contract"])

    return _lanes(a, b), code


@intrinsic
def add(context: Any, a: Any, b: Any) -> Any:
    """a + b, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=["contract"])

    return _lanes(a, b), code


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _times_plus(builder, *arguments)

    return _lanes(a, b, c), code


@intrinsic
def maximum(context: Any, a: Any, b: Any) -> Any:
    """The larger of a and b, lane by lane; b where a is a NaN."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = arguments
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)

    return _lanes(a, b), code


@intrinsic
def exp(context: Any, value: Any) -> Any:
    """exp of values <= 0, to 2e-7 of it; 0 below -87, where float32 ends; NaN of a NaN.

    2^n exp(r) with n the nearest integer to x / log 2 and |r| <= log(2) / 2, exp(r) by its Taylor
    series up to r^7 / 7!, whose rest is below 1e-8.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def constant(number: float) -> Any:
            return ir.Constant(_FLOATS, [number] * LANES)

        (x,) = arguments
        least = constant(-87.0)
        low = builder.fcmp_ordered("<", x, least)
        inside = builder.select(builder.fcmp_ordered(">=", x, least), x, least)  # no NaN either
        # x <= 0, so rounding is towards zero of x / log 2 - 1/2
        whole = _times_plus(builder, inside, constant(1.0 / math.log(2.0)), constant(-0.5))
        n = builder.fptosi(whole, _INTS)
        number = builder.sitofp(n, _FLOATS)
        # log 2 in two parts, the first of which times n is exact
        r = _times_plus(builder, number, constant(-0.693359375), inside)
        r = _times_plus(builder, number, constant(2.12194440e-4), r)
        sum_ = constant(1.0 / math.factorial(7))
        for k in range(6, -1, -1):
            sum_ = _times_plus(builder, sum_, r, constant(1.0 / math.factorial(k)))
        exponent = builder.shl(
            builder.add(n, ir.Constant(_INTS, [127] * LANES)), ir.Constant(_INTS, [23] * LANES)
        )
        value = builder.fmul(sum_, builder.bitcast(exponent, _FLOATS))
        value = builder.select(low, constant(0.0), value)
        return builder.select(builder.fcmp_unordered("uno", x, x), x, value)

    return _lanes(value), code


def _times_plus(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Lane n of row i becomes lane i of row n: bit by bit, i and n are exchanged."""
    for bit in (1 << b for b in range(LANES.bit_length() - 1)):
        # of two rows a, b that differ in this bit: a's half without it beside b's, and with it
        without = [n if not n & bit else LANES + n - bit for n in range(LANES)]
        with_ = [n + bit if not n & bit else LANES + n for n in range(LANES)]
        turned = list(rows)
        for i in range(LANES):
            if not i & bit:
                pair = rows[i], rows[i + bit]
                turned[i] = builder.shuffle_vector(*pair, ir.Constant(_INTS, without))
                turned[i + bit] = builder.shuffle_vector(*pair, ir.Constant(_INTS, with_))
        rows = turned
    return rows


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    row = context.cast(builder, arguments[1], signature.args[1], types.int64)
    first = builder.mul(row, ir.Constant(_INT, LANES))
    return _place(context, builder, signature.args[0], arguments[0], first)


def _place(context: Any, builder: Any, type_: Any, array: Any, first: Any) -> Any:
    """Pointer to LANES elements of an array, from element `first` on."""
    data = context.make_array(type_)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [first]), _FLOATS.as_pointer())


def _start(context: Any, builder: Any, type_: Any, starts: Any, n: int) -> Any:
    data = context.make_array(type_)(context, builder, starts).data
    return builder.load(builder.gep(data, [ir.Constant(_INT, n)]))
