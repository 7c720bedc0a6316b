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
from numba.extending import intrinsic, lower_builtin, models, overload, register_model

OF_TORCH = {np.dtype(name): getattr(torch, name) for name in ("float32", "float64", "int16")}
# Numba notices when a file with compiled functions changes, not this one: after a change, touch those that import it
LANES = 8  # float32 in a register of AVX2: with more, small layers would compute much padding


def aligned(shape: tuple[int, ...], number: np.dtype | type, make: Callable = torch.empty) -> np.ndarray:
    """An array of float32, float64 or int16 by torch.empty or zeros.

    Unlike numpy's it begins where a line of the cache begins: a vector that lies in two lines takes twice the time.
    """
    return make(shape, dtype=OF_TORCH[np.dtype(number)], device="cpu").numpy()


def padded(array: np.ndarray) -> np.ndarray:
    """Zeros behind the last neuron of each row, up to whole vectors; contiguous by rows, and `aligned` if it is new."""
    n = array.shape[-1]
    if n % LANES == 0 and array.flags.c_contiguous:
        return array
    wide = aligned((*array.shape[:-1], n + -n % LANES), array.dtype, torch.zeros)
    wide[..., :n] = array
    return wide


def take(array: np.ndarray, at):
    """LANES numbers of an array contiguous by rows, from neuron `at`, or (row, neuron), on."""
    *row, m = at if isinstance(at, tuple) else (at,)
    return array[(*row, slice(m, m + LANES))].copy()


def put(array: np.ndarray, at, values) -> None:
    """Write LANES numbers where `take` reads them, truncated where the array is of integers."""
    *row, m = at if isinstance(at, tuple) else (at,)
    array[(*row, slice(m, m + LANES))] = values


def spread(number):
    """The same number LANES times."""
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


def _operator(function, build, conditions: bool = False) -> None:
    """Teach the compiler an operation on vectors, or on vectors and single numbers, which become numbers of theirs."""

    @infer_global(function)
    class _Types(AbstractTemplate):
        def generic(self, args, keywords):
            if any(isinstance(each, _Vector) for each in args):
                number = _common(args)
                wanted = [each if isinstance(each, _Vector) else number for each in args]
                return _Vector(types.boolean if conditions else number)(*wanted)

    def lower(context, builder, signature, args):
        kind = ir.VectorType(context.get_value_type(_common(signature.args)), LANES)
        vectors = [_everywhere(builder, each) for each in args]
        return build(builder, *(each if each.type == kind else builder.sitofp(each, kind) for each in vectors))

    for sides in ((_Vector,), (_Vector, _Vector), (_Vector, types.Float), (types.Float, _Vector)):
        lower_builtin(function, *sides)(lower)


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
    if array.layout != "C":
        raise TypingError("vectors are read from and written to arrays that are contiguous by rows only")
    if array.ndim != (len(at) if isinstance(at, types.BaseTuple) else 1):
        raise TypingError("a vector's place has one index for each axis of its array")
    return types.UniTuple(types.intp, len(at)) if isinstance(at, types.BaseTuple) else types.intp


@intrinsic
def _take(_, array, at):
    def generate(context, builder, signature, args):
        load = builder.load(_pointer(context, builder, signature, args))
        load.align = array.dtype.bitwidth // 8
        return load

    return _Vector(array.dtype)(array, _place(array, at)), generate


@intrinsic
def _put(_, array, at, values):
    def generate(context, builder, signature, args):
        pointer, vector = _pointer(context, builder, signature, args), _everywhere(builder, args[2])
        if isinstance(array.dtype, types.Integer):
            vector = builder.fptosi(vector, pointer.type.pointee)
        store = builder.store(vector, pointer)
        store.align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, _place(array, at), values if isinstance(values, _Vector) else array.dtype), generate


@intrinsic
def _where(_, condition, values, others):
    def generate(context, builder, signature, args):
        return builder.select(args[0], *(_everywhere(builder, each) for each in args[1:]))

    number = _common((values, others))
    wanted = [each if isinstance(each, _Vector) else number for each in (values, others)]
    return _Vector(number)(condition, *wanted), generate


@intrinsic
def _spread(_, number):
    return _Vector(number)(number), lambda context, builder, signature, args: _everywhere(builder, args[0])


@intrinsic
def _flags(_, condition):
    def generate(context, builder, signature, args):
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))

    return types.uint64(condition), generate


@overload(take, inline="always")
def _overload_take(array, at):
    return lambda array, at: _take(array, at)


@overload(put, inline="always")
def _overload_put(array, at, values):
    return lambda array, at, values: _put(array, at, values)


@overload(where, inline="always")
def _overload_where(condition, values, others):
    return lambda condition, values, others: _where(condition, values, others)


@overload(spread, inline="always")
def _overload_spread(number):
    return lambda number: _spread(number)


@overload(flags, inline="always")
def _overload_flags(condition):
    return lambda condition: _flags(condition)
