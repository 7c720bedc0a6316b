"""How the loops behind `cpu` are compiled, and what the processor can do that Python has no word for: ask for memory
ahead of its use, and find bits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

AHEAD = 4  # time steps before memory is needed
LINE = 64  # bytes that memory hands over at a time
GATHER = 0x0102040810204080  # times this, the low bits of eight bytes meet in the highest byte
# What compiled functions of other files call
SHARED = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("compiled.py", "lanes.py"))
# A call passes every array as seven numbers and counts references to each row: for what is done every time step
inlined = numba.njit(inline="always", nogil=True, error_model="numpy")
_kept = numba.njit(cache=True, nogil=True, error_model="numpy")


def compiled(function: Callable) -> Callable:
    """Compile a function at its first call, and keep what comes out on disk; while it runs, other threads do too.

    Numba compiles anew what was kept of another version of the function's own file. Here also of another version of
    `lanes` or of this file: code for vectors of another width would read and write beyond the rows.
    """
    dispatcher = _kept(function)
    if hasattr(dispatcher, "_cache"):  # with NUMBA_DISABLE_JIT=1 it is the function itself
        kept = dispatcher._cache._cache_file
        kept._source_stamp = (kept._source_stamp, hashlib.sha256(SHARED).hexdigest())
    return dispatcher


def prefetch(rows, row):
    """Ask for a row of a matrix that will soon be read or written: a hint, which changes no number.

    Processors foresee what is read forwards. They do not foresee a scan back in time, which then waits for memory
    longer than it computes.

    Args:
        rows, row: matrix, contiguous by rows; which of them.
    """


@overload(prefetch, inline="always")
def _prefetch(rows, row):
    step = LINE // (rows.dtype.bitwidth // 8)

    def ask(rows, row):
        for column in range(0, rows.shape[1], step):
            _prefetch_line(rows, row, column)

    return ask


def low_bits(eight):
    """The low bit of each of the eight bytes of a uint64, side by side; all other bits are 0."""
    return np.uint64((int(eight) * GATHER & (1 << 64) - 1) >> 56)


@overload(low_bits, inline="always")
def _low_bits(eight):
    return lambda eight: eight * np.uint64(GATHER) >> np.uint64(56)


def trailing_zeros(bits):
    """Which is the lowest bit that is set, of a uint64 other than 0."""
    return (int(bits) & -int(bits)).bit_length() - 1


@overload(trailing_zeros, inline="always")
def _trailing_zeros(bits):
    return lambda bits: _count_trailing_zeros(bits)


@intrinsic
def _count_trailing_zeros(_, bits):
    def generate(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.intp(bits), generate


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
