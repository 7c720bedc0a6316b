"""Vectors in compiled loops: some neurons at once, in registers.

The compiler makes vectors of a loop only if it can prove, in every time step, that the arrays which it reads and writes
do not overlap: with more than a few arrays it gives up. Here the vectors are written down. `take(potential, m)` are the
numbers of neurons m to m + LANES - 1 and `put` writes them; + - * / >= abs, `floor` and `where` work on them lane by
lane, to the same bits as one by one, and a single number counts for every lane. Rows must be `padded` to whole vectors.
In plain Python (NUMBA_DISABLE_JIT=1) they are numpy arrays.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
import torch
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin, models, register_model

OF_TORCH = {np.dtype(name): getattr(torch, name) for name in ("float32", "float64", "int16")}
# A divisor of 64 and of product.WIDTH; float32 in a register of AVX-512, or in two of AVX2. With more, small layers
# would compute much padding: one of 100 neurons takes 6 % longer with 16 than with 8, one of 128 with delays 5 % less
LANES = 16


def aligned(shape: tuple[int, ...], number: np.dtype | type) -> np.ndarray:
    """An array of float32, float64 or int16, not filled.

    Unlike numpy's it begins where a line of the cache begins: a vector that lies in two lines takes twice the time.
    """
    return torch.empty(shape, dtype=OF_TORCH[np.dtype(number)], device="cpu").numpy()


def zeros(shape: tuple[int, ...], number: np.dtype | type) -> np.ndarray:
    """`aligned`, filled with zeros (by numpy: torch would wake its threads for it)."""
    array = aligned(shape, number)
    array.fill(0)
    return array


def padded(array: np.ndarray) -> np.ndarray:
    """Zeros behind the last neuron of each row, up to whole vectors; contiguous by rows, and `aligned` if it is new."""
    n = array.shape[-1]
    if n % LANES == 0 and array.flags.c_contiguous:
        return array
    wide = zeros((*array.shape[:-1], n + -n % LANES), array.dtype)
    wide[..., :n] = array
    return wide


def take(array: np.ndarray, at):
    """LANES numbers of an array contiguous by rows, from neuron `at`, or (row, neuron), on."""
    *row, m = at if isinstance(at, tuple) else (at,)
    return array[(*row, slice(m, m + LANES))].copy().reshape(LANES)  # refuses what reaches past the row's end


def put(array: np.ndarray, at, values) -> None:
    """Write LANES numbers where `take` reads them, truncated where the array is of integers."""
    *row, m = at if isinstance(at, tuple) else (at,)
    array[(*row, slice(m, m + LANES))] = values


def spread(number):
    """The same number, of floating point, LANES times."""
    return np.full(LANES, number)


def where(condition, values, others):
    """The first where the condition holds, else the others."""
    return np.where(condition, values, others)


def floor(values):
    """Rounded down."""
    return np.floor(values)


def flags(condition) -> np.uint64:
    """A condition as the lowest LANES bits of a number."""
    return np.uint64(sum(1 << int(lane) for lane in np.nonzero(condition)[0]))


class _Vector(types.Type):
    """LANES numbers, or conditions, side by side."""

    def __init__(self, number: types.Type) -> None:
        self.number = number
        super().__init__(f"vector of {LANES} {number}")


@register_model(_Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, vector: _Vector) -> None:
        conditions = vector.number == types.boolean
        number = ir.IntType(1) if conditions else manager.lookup(vector.number).get_value_type()
        super().__init__(manager, vector, ir.VectorType(number, LANES))


def _everywhere(builder, value):
    """A single number in every lane; a vector as it is."""
    if isinstance(value.type, ir.VectorType):
        return value
    empty = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    first = builder.insert_element(empty, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _common(args) -> types.Type:
    """The type of number in which vectors and single numbers meet."""
    numbers = [each.number for each in args if isinstance(each, _Vector)] + [*args]
    return next(each for each in numbers if isinstance(each, types.Float))


def _teach(function: Callable, typed: Callable, lower: Callable, *kinds: tuple) -> None:
    """Teach the compiler a function.

    Args:
        typed: its signature for given types of arguments; None: it is not for these.
        lower: writes its instructions.
        kinds: of numba's types, one for each argument; a tuple for each combination.
    """

    @infer_global(function)
    class _Types(AbstractTemplate):
        def generic(self, args, keywords):
            return typed(*args)

    for kind in kinds:
        lower_builtin(function, *kind)(lower)


def _operator(function: Callable, build: Callable, conditions: bool = False) -> None:
    """Teach the compiler an operation on vectors, or on vectors and single numbers, which become numbers of theirs."""

    def typed(*args):
        if any(isinstance(each, _Vector) for each in args):
            number = _common(args)
            wanted = [each if isinstance(each, _Vector) else number for each in args]
            return _Vector(types.boolean if conditions else number)(*wanted)

    def lower(context, builder, signature, args):
        kind = ir.VectorType(context.get_value_type(_common(signature.args)), LANES)
        vectors = [_everywhere(builder, each) for each in args]
        return build(builder, *(each if each.type == kind else builder.sitofp(each, kind) for each in vectors))

    _teach(function, typed, lower, (_Vector,), (_Vector, _Vector), (_Vector, types.Float), (types.Float, _Vector))


def _named(name: str):
    def build(builder, a):
        full = f"llvm.{name}.v{LANES}{a.type.element.intrinsic_name}"
        return builder.call(builder.module.declare_intrinsic(full, (), ir.FunctionType(a.type, (a.type,))), (a,))

    return build


_operator(operator.add, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, lambda builder, a, b: builder.fdiv(a, b))
_operator(abs, _named("fabs"))
_operator(floor, _named("floor"))
_operator(operator.ge, lambda builder, a, b: builder.fcmp_ordered(">=", a, b), conditions=True)


def _pointer(context, builder, signature, args):
    kind = signature.args[0]
    array = context.make_array(kind)(context, builder, args[0])
    at = cgutils.unpack_tuple(builder, args[1]) if isinstance(signature.args[1], types.BaseTuple) else [args[1]]
    first = cgutils.get_item_pointer(context, builder, kind, array, at, wraparound=False)
    return builder.bitcast(first, ir.VectorType(first.type.pointee, LANES).as_pointer())


def _place(array, at):
    """The type of a place in an array.

    Raises:
        TypingError: there are no vectors in such an array, or a place in it has other axes.
    """
    if array.layout != "C":
        raise TypingError("vectors are read from and written to arrays that are contiguous by rows only")
    if array.ndim != (len(at) if isinstance(at, types.BaseTuple) else 1):
        raise TypingError("a vector's place has one index for each axis of its array")
    return types.UniTuple(types.intp, len(at)) if isinstance(at, types.BaseTuple) else types.intp


def _type_take(array, at):
    return _Vector(array.dtype)(array, _place(array, at))


def _lower_take(context, builder, signature, args):
    load = builder.load(_pointer(context, builder, signature, args))
    load.align = signature.args[0].dtype.bitwidth // 8
    return load


def _type_put(array, at, values):
    return types.void(array, _place(array, at), values if isinstance(values, _Vector) else array.dtype)


def _lower_put(context, builder, signature, args):
    pointer, vector = _pointer(context, builder, signature, args), _everywhere(builder, args[2])
    number = signature.args[0].dtype
    if isinstance(number, types.Integer):
        vector = builder.fptosi(vector, pointer.type.pointee)
    builder.store(vector, pointer).align = number.bitwidth // 8
    return context.get_dummy_value()


def _type_where(condition, values, others):
    number = _common((values, others))
    wanted = [each if isinstance(each, _Vector) else number for each in (values, others)]
    return _Vector(number)(condition, *wanted)


def _lower_where(context, builder, signature, args):
    return builder.select(args[0], *(_everywhere(builder, each) for each in args[1:]))


def _type_spread(number):
    return _Vector(number)(number) if isinstance(number, types.Float) else None


def _lower_spread(context, builder, signature, args):
    return _everywhere(builder, args[0])


def _lower_flags(context, builder, signature, args):
    return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))


_teach(take, _type_take, _lower_take, (types.Array, types.Any))
_teach(put, _type_put, _lower_put, (types.Array, types.Any, types.Any))
_teach(where, _type_where, _lower_where, (_Vector, types.Any, types.Any))
_teach(spread, _type_spread, _lower_spread, (types.Float,))
_teach(flags, lambda condition: types.uint64(condition), _lower_flags, (_Vector,))
