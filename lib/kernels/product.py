"""What spikes receive through weights and delays: a matrix product; with delays, of only those steps that an axon
brings back.

The steps behind delays outnumber those before them by the longest delay; of these an axon needs as many as there are
before it, from its own delay on. Axons of similar delay share a panel, which then needs few steps that not all of them
need. Each sum runs over the postsynaptic neurons in order, DEPTH at a time, and every product is added without being
rounded first: in compiled code the same bits on every machine.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

from .compiled import compiled, inlined
from .lanes import LANES, put, take, zeros

WIDTH, HEIGHT = 16, 6  # of a tile of the product: its float32 sums fill 12 of the 16 registers of AVX2
DEPTH = 128  # neurons in a sum; of more, such sums are added: a tile's weights stay in the nearest cache. Decides bits


def panels_of(weight: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Weights (postsynaptic, presynaptic) in panels of WIDTH presynaptic neurons: (panels, postsynaptic, WIDTH)."""
    depth, n = len(weight), len(order)
    panels = zeros((-(-n // WIDTH), depth, WIDTH), weight.dtype)
    for first in range(0, n, WIDTH):
        units = order[first : first + WIDTH]
        panels[first // WIDTH, :, : len(units)] = weight[:, units]
    return panels


@compiled
def bring_back_undelayed(current, panels, grad):
    """The gradient of spikes, from that of the current which they drive through weights without delays.

    Args:
        current: (samples, n_steps, postsynaptic).
        panels: weights, see `panels_of`, of presynaptic neurons in their order.
        grad: (samples, n_steps, presynaptic), receives it.
    """
    n_steps, n = grad.shape[1:]
    panel = np.empty((n_steps, WIDTH), grad.dtype)
    for b in range(len(grad)):
        for p in range(len(panels)):
            multiply(current[b], n_steps, panels[p], panel)
            there = min(WIDTH, n - p * WIDTH)
            for t in range(n_steps):
                for m in range(0, there - there % LANES, LANES):
                    put(grad, (b, t, p * WIDTH + m), take(panel, (t, m)))
                for m in range(there - there % LANES, there):
                    grad[b, t, p * WIDTH + m] = panel[t, m]


@compiled
def bring_back(current, panels, order, whole, late, grad):
    """The gradient of spikes, from that of the current which they drive through weights and delays.

    Args:
        current: (samples, n_steps, postsynaptic).
        panels: weights, see `panels_of`.
        order: presynaptic neurons, from the shortest delay to the longest.
        whole, late: steps, n_steps at most, and the share of a spike that arrives one step later, (presynaptic,).
        grad: (samples, steps, presynaptic), receives it.
    """
    steps, n_steps, one = grad.shape[1], current.shape[1], grad.dtype.type(1)
    arrived = np.empty((len(panels), steps + whole[order[-1]] + 1, WIDTH), grad.dtype)
    share, place = np.zeros((len(panels), WIDTH), grad.dtype), np.empty(len(order), np.uintp)
    for i in range(len(order)):
        p, first = i // WIDTH, whole[order[i // WIDTH * WIDTH]]
        share[p, i % WIDTH] = late[order[i]]
        place[order[i]] = (p * arrived.shape[1] + whole[order[i]] - first) * WIDTH + i % WIDTH
    flat = arrived.ravel()
    for b in range(len(grad)):
        for p in range(len(panels)):
            first, longest = whole[order[p * WIDTH]], whole[order[min((p + 1) * WIDTH, len(order)) - 1]]
            n_rows = steps + longest - first + 1
            within = min(n_rows, n_steps - first)  # what arrives after the end was never simulated
            multiply(current[b, first:], within, panels[p], arrived[p])
            for t in range(within, n_rows):
                for m in range(0, WIDTH, LANES):
                    put(arrived, (p, t, m), 0)
            for t in range(n_rows - 1):
                for m in range(0, WIDTH, LANES):
                    later, now, soon = take(share, (p, m)), take(arrived, (p, t, m)), take(arrived, (p, t + 1, m))
                    put(arrived, (p, t, m), (one - later) * now + later * soon)
        for t in range(steps):
            offset = np.uintp(t * WIDTH)  # unsigned, see `delays.shift`
            for unit in range(len(place)):
                grad[b, t, unit] = flat[place[unit] + offset]


@inlined
def multiply(rows, n_rows, panel, out):
    """The first rows times a panel of weights; the last tile may overlap the one before it."""
    if n_rows < HEIGHT:
        for t in range(n_rows):
            row_tile(rows, t, panel, out)
    else:
        for t in range(0, n_rows, HEIGHT):
            tile(rows, min(t, n_rows - HEIGHT), panel, out)


def tile(rows, t, panel, out):
    """HEIGHT rows of `out`, from row t on: `rows` times `panel`; all contiguous by rows."""
    out[t : t + HEIGHT] = rows[t : t + HEIGHT] @ panel


def row_tile(rows, t, panel, out):
    """Row t of `out`, likewise."""
    out[t] = rows[t] @ panel


def _tile(height: int):
    @intrinsic
    def compute(_, rows, t, panel, out):
        if any(array.layout != "C" or array.dtype != rows.dtype for array in (rows, panel, out)):
            raise TypingError("a tile is of arrays of one type that are contiguous by rows only")

        def generate(context, builder, signature, args):
            number, size = context.get_value_type(rows.dtype), rows.dtype.bitwidth // 8
            vector, index = ir.VectorType(number, WIDTH), ir.IntType(32)
            empty = ir.Constant(vector, ir.Undefined)
            everywhere = ir.Constant(ir.VectorType(index, WIDTH), [0] * WIDTH)
            fma = builder.module.declare_intrinsic(
                f"llvm.fma.v{WIDTH}{number.intrinsic_name}", (), ir.FunctionType(vector, (vector,) * 3)
            )
            kinds = signature.args
            left, right, result = (context.make_array(kinds[i])(context, builder, args[i]) for i in (0, 2, 3))
            depth = builder.extract_value(left.shape, 1)

            def line(array, row, width):
                return builder.gep(array.data, [builder.mul(row, width)])

            def vector_at(pointer):
                return builder.bitcast(pointer, vector.as_pointer())

            each = [builder.add(args[1], context.get_constant(types.intp, i)) for i in range(height)]
            lines, wide = [line(left, row, depth) for row in each], context.get_constant(types.intp, WIDTH)
            sums, zero = [cgutils.alloca_once(builder, vector) for _ in each], ir.Constant(vector, [0.0] * WIDTH)
            begin, most = context.get_constant(types.intp, 0), context.get_constant(types.intp, DEPTH)
            with cgutils.for_range_slice(builder, begin, depth, most) as (first, _):
                for total in sums:
                    builder.store(zero, total)
                last = builder.add(first, most)
                last = builder.select(builder.icmp_signed("<", last, depth), last, depth)
                with cgutils.for_range(builder, last, start=first) as loop:
                    weights = builder.load(vector_at(line(right, loop.index, wide)))
                    weights.align = size
                    for start, total in zip(lines, sums, strict=True):
                        value = builder.insert_element(empty, builder.load(builder.gep(start, [loop.index])), index(0))
                        value = builder.shuffle_vector(value, empty, everywhere)
                        builder.store(builder.call(fma, (value, weights, builder.load(total))), total)
                for row, total in zip(each, sums, strict=True):
                    place = vector_at(line(result, row, wide))
                    before = builder.load(place)
                    before.align = size
                    before = builder.select(builder.icmp_signed("==", first, begin), zero, before)
                    builder.store(builder.fadd(before, builder.load(total)), place).align = size
            return context.get_dummy_value()

        return types.void(rows, types.intp, panel, out), generate

    return compute


_compute_tile, _compute_row = _tile(HEIGHT), _tile(1)


@overload(tile, inline="always")
def _overload_tile(rows, t, panel, out):
    return lambda rows, t, panel, out: _compute_tile(rows, t, panel, out)


@overload(row_tile, inline="always")
def _overload_row(rows, t, panel, out):
    return lambda rows, t, panel, out: _compute_row(rows, t, panel, out)
