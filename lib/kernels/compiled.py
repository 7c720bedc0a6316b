"""How the loops behind `cpu` are compiled, and a hint that they give the processor: what memory they will soon need."""

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

AHEAD = 4  # time steps before memory is needed
LINE = 64  # bytes that memory hands over at a time
# Numba notices when a file with compiled functions changes, not this one: after a change, touch those that import it
compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


def prefetch(rows, row):
    """Ask for a row of a matrix that will soon be read or written: a hint, which changes no number.

    Processors foresee what is read forwards. They do not foresee a scan back in time, which then waits for memory
    longer than it computes.

    Args:
        rows, row: matrix, contiguous by rows; which of them.
    """


@overload(prefetch)
def _prefetch(rows, row):
    def ask(rows, row):
        for column in range(0, rows.shape[1], LINE // rows.itemsize):
            _prefetch_line(rows, row, column)

    return ask


@intrinsic
def _prefetch_line(_, matrix, row, column):
    def generate(context, builder, signature, args):
        array = context.make_array(matrix)(context, builder, args[0])
        pointer = cgutils.get_item_pointer(context, builder, matrix, array, args[1:], wraparound=False)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        hint = ir.FunctionType(ir.VoidType(), (byte, number, number, number))
        call = builder.module.declare_intrinsic("llvm.prefetch", (byte,), hint)
        read, keep, data = number(0), number(3), number(1)
        builder.call(call, (builder.bitcast(pointer, byte), read, keep, data))
        return context.get_dummy_value()

    return types.void(matrix, types.intp, types.intp), generate
