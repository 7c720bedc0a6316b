"""The compiled scans behind `cpu`: spikes are lists, and only the weights of neurons that spike are touched.

Every function works on samples lo to hi - 1 of a batch and releases the interpreter lock. Inner loops run over the
neurons of a layer, contiguous in memory, so that they vectorise.
"""

from __future__ import annotations

import numba
import numpy as np

from .. import surrogate

SQUASHED = 32767  # largest number of the compact store
FAST_SIGMOID, EXPONENTIAL, ARCTAN = range(len(surrogate.NAMES))
compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@compiled
def shift(units, starts, whole, n_steps, moved, arrivals, lo, hi):
    """Spikes ordered by the step in which they arrive, `whole[unit]` steps later; those after the end are lost."""
    cursor = np.empty(n_steps + 1, np.int64)
    for b in range(lo, hi):
        cursor[:] = 0
        for t in range(starts.shape[1] - 1):
            for i in range(starts[b, t], starts[b, t + 1]):
                arrival = t + whole[units[i]]
                if arrival < n_steps:
                    cursor[arrival + 1] += 1
        arrivals[b, 0] = starts[b, 0]
        for t in range(n_steps):
            arrivals[b, t + 1] = arrivals[b, t] + cursor[t + 1]
        cursor[:] = arrivals[b]
        for t in range(starts.shape[1] - 1):
            for i in range(starts[b, t], starts[b, t + 1]):
                arrival = t + whole[units[i]]
                if arrival < n_steps:
                    moved[cursor[arrival]] = units[i]
                    cursor[arrival] += 1


@compiled
def forward(units, starts, rows, late, delayed, decay, synaptic, subtract, slope, stored, lo, hi):
    """Potentials and spikes of a layer.

    Args:
        units, starts: arriving spikes.
        rows: weights, (presynaptic, postsynaptic).
        late: share of a spike that arrives one step later, (presynaptic,).
        stored: receives the membrane potential before the reset, (batch, n_steps, postsynaptic), or squashed int16;
            with no steps nothing is kept.

    Returns:
        Spikes as units and starts, the latter from 0 on.
    """
    n_steps, n = starts.shape[1] - 1, rows.shape[1]
    zero, one = rows.dtype.type(0), rows.dtype.type(1)
    kept = one - subtract
    potential, drive, later = np.empty_like(decay), np.empty_like(decay), np.empty_like(decay)
    emitted, ends, count = np.empty(max(n, 1) * 64, np.uint16), np.empty((hi - lo, n_steps + 1), np.int64), 0
    for b in range(lo, hi):
        potential[:], drive[:], later[:] = zero, zero, zero
        ends[b - lo, 0] = count
        for t in range(n_steps):
            for m in range(n):
                drive[m] = synaptic * drive[m] + later[m]
                later[m] = zero
            for i in range(starts[b, t], starts[b, t + 1]):
                unit = units[i]
                if delayed:
                    share, rest = late[unit], one - late[unit]
                    for m in range(n):
                        drive[m] += rest * rows[unit, m]
                        later[m] += share * rows[unit, m]
                else:
                    for m in range(n):
                        drive[m] += rows[unit, m]
            for m in range(n):
                potential[m] = decay[m] * potential[m] + drive[m]
            if stored.shape[1] == n_steps:
                store(potential, slope, stored[b, t])
            if count + n > len(emitted):
                emitted = np.concatenate((emitted, np.empty_like(emitted)))
            for m in range(n):  # without a branch: whether a neuron spikes is hard to predict
                emitted[count] = m
                count += potential[m] >= one
            for m in range(n):
                jump = kept * potential[m] + subtract
                potential[m] -= jump if potential[m] >= one else zero
            ends[b - lo, t + 1] = count
    return emitted[:count], ends


@compiled
def backward(
    units, starts, delayed, grad, stored, decay, synaptic, subtract, through, kind, slope,
    grad_now, grad_later, grad_decay, grad_current, lo, hi,
):  # fmt: skip
    """The adjoint of `forward`: one scan back in time.

    Args:
        grad: of the layer's spikes, (batch, n_steps, postsynaptic).
        grad_now, grad_later: (presynaptic, postsynaptic), receive the sums over spikes of the current's gradient
            in the step of arrival and (when `delayed`) in the step after it.
        grad_decay: (postsynaptic,), receives its sum.
        grad_current: like `grad`, receives the current's gradient; with no steps it is not kept.
    """
    n_steps, n = starts.shape[1] - 1, stored.shape[2]
    zero, one = grad.dtype.type(0), grad.dtype.type(1)
    kept = one - subtract
    distance, steepness = np.empty_like(decay), np.empty_like(decay)
    adjoint, now, after = np.empty_like(decay), np.empty_like(decay), np.empty_like(decay)
    for b in range(lo, hi):
        adjoint[:], now[:] = zero, zero
        for t in range(n_steps - 1, -1, -1):
            load(stored[b, t], slope, distance)
            steepen(distance, kind, slope, steepness)
            upstream = grad[b, t]
            now, after = after, now
            # Loops over few arrays each: with more, the compiler gives up proving that they do not overlap
            for m in range(n):
                potential = distance[m] + one
                jump = kept * potential + subtract
                grad_decay[m] += adjoint[m] * (potential - jump if distance[m] >= zero else potential)
            for m in range(n):
                jump = kept * (distance[m] + one) + subtract
                remains = one - (kept if distance[m] >= zero else zero) - through * jump * steepness[m]
                distance[m] = decay[m] * remains
            for m in range(n):
                adjoint[m] = upstream[m] * steepness[m] + distance[m] * adjoint[m]
            for m in range(n):
                now[m] = adjoint[m] + synaptic * after[m]
            if grad_current.shape[1] == n_steps:
                grad_current[b, t] = now
            for i in range(starts[b, t], starts[b, t + 1]):
                unit = units[i]
                for m in range(n):
                    grad_now[unit, m] += now[m]
                if delayed:
                    for m in range(n):
                        grad_later[unit, m] += after[m]


@compiled
def store(potential, slope, kept):
    """Keep a potential as its distance to threshold: as it is, or as int16 of k x / (1 + k |x|), x < 0 staying < 0."""
    one = potential.dtype.type(1)
    for m in range(len(potential)):
        distance = potential[m] - one
        if kept.itemsize == 2:
            kept[m] = np.int16(np.floor(SQUASHED * slope * distance / (one + slope * abs(distance))))
        else:
            kept[m] = distance


@compiled
def load(kept, slope, distance):
    """The inverse of `store`."""
    one = distance.dtype.type(1)
    for m in range(len(distance)):
        if kept.itemsize == 2:
            squashed = kept[m] / distance.dtype.type(SQUASHED + 1)
            distance[m] = squashed / (slope * (one - abs(squashed)))
        else:
            distance[m] = kept[m]


@compiled
def steepen(distance, kind, slope, steepness):
    """The surrogate derivative, see `lib.surrogate`."""
    one = distance.dtype.type(1)
    if kind == FAST_SIGMOID:
        for m in range(len(distance)):
            steep = one + slope * abs(distance[m])
            steepness[m] = one / (steep * steep)
    elif kind == EXPONENTIAL:
        for m in range(len(distance)):
            steepness[m] = np.exp(-slope * abs(distance[m]))
    else:
        for m in range(len(distance)):
            scaled = slope * distance[m]
            steepness[m] = one / (one + scaled * scaled)


@compiled
def shift_back(grad, whole, late, grad_spikes, lo, hi):
    """The adjoint of the delays: what arrived at t + delay, brought back to t."""
    steps, n = grad_spikes.shape[1:]
    one = grad.dtype.type(1)
    offset, rest = whole * n + np.arange(n), one - late
    for b in range(lo, hi):
        arrived, last = grad[b].ravel(), grad[b].size
        for t in range(steps):
            for m in range(n):
                i = t * n + offset[m]
                if i + n < last:
                    grad_spikes[b, t, m] = rest[m] * arrived[i] + late[m] * arrived[i + n]
                else:
                    grad_spikes[b, t, m] = rest[m] * arrived[i] if i < last else 0


@compiled
def weigh(units, starts, weights, totals, lo, hi):
    """Spikes of each neuron, summed with a weight for each step: totals (batch, neurons)."""
    for b in range(lo, hi):
        for t in range(starts.shape[1] - 1):
            for i in range(starts[b, t], starts[b, t + 1]):
                totals[b, units[i]] += weights[t]
