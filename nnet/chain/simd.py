"""A vector of LANES float32 numbers as a Numba type: one number for each sequence of a block.

Numba's own loops over the lanes, `for n in range(LANES): into[n] += row[n] * p`, keep `into` in
memory and check at run time whether it overlaps `row`, which costs five times what the arithmetic
does. With these the sum stays in a register:

    into = zeros()
    for a in range(first, last):
        into = fma(load(alpha, src[a]), splat(prob[a]), into)
    store(stored, g, into)

`load(array, i)` and `store(array, i, v)` are row i of a C-contiguous float32 array (rows, LANES);
nothing is checked. LLVM makes of a vector whatever the machine has: one AVX-512 register, two of
AVX2, four of NEON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import types

LANES = 16

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
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
        first = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, undefined, first)

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
        product = builder.fmul(arguments[0], arguments[1], flags=["contract"])
        return builder.fadd(product, arguments[2], flags=["contract"])

    return _lanes(a, b, c), code


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    row = context.cast(builder, arguments[1], signature.args[1], types.int64)
    first = builder.gep(array.data, [builder.mul(row, ir.Constant(_INT, LANES))])
    return builder.bitcast(first, _FLOATS.as_pointer())
