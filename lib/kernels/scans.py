"""The compiled scans behind `cpu`: spikes are lists, and only the weights of neurons that spike are touched.

Every function works on samples lo to hi - 1 of a batch and releases the interpreter lock. Inner loops run over the
neurons of a layer, contiguous in memory, so that they vectorise. What they do in a time step stands here too: compiled
code is kept on disk, and a change in another file would not be noticed.
"""

from __future__ import annotations

import numpy as np

from .. import surrogate
from .compiled import AHEAD, compiled, inlined, low_bits, prefetch, trailing_zeros

SQUASHED = 32767  # largest number of the compact store
FAST_SIGMOID, EXPONENTIAL, ARCTAN = range(len(surrogate.NAMES))


@compiled
def lif_forward(units, starts, rows, late, decay, synaptic, subtract, own, slope, rest, stored, lo, hi):
    """Potentials and spikes of a layer of LIF neurons.

    Args:
        units, starts: arriving spikes.
        rows: weights, (presynaptic, postsynaptic).
        late: share of a spike that arrives one step later, (presynaptic,); empty: none does.
        decay, synaptic, subtract: of the membrane (postsynaptic,), of the current, and 1 where the reset subtracts.
        own: recurrent weights, (from, to); empty: none.
        slope: of the surrogate gradient, see `keep`.
        rest: (batch,), receives the step in which a sample's potentials have come to rest for good, or n_steps.
        stored: (batch, n_steps, postsynaptic), receives the potentials up to this step, see `keep`; with no steps
            nothing is kept.

    Returns:
        Spikes as units and starts, the latter from 0 on.
    """
    n_steps, n = starts.shape[1] - 1, rows.shape[1]
    zero, one = rows.dtype.type(0), rows.dtype.type(1)
    kept = one - subtract
    potential, drive, later = np.empty_like(decay), np.empty_like(decay), np.zeros_like(decay)
    fired, at_once = np.zeros(-(-n // 64) * 64, np.uint8), np.zeros(0, rows.dtype)
    eights = fired.view(np.uint64)
    emitted, ends, count = np.empty(64 * max(n, 8), np.uint16), np.empty((hi - lo, n_steps + 1), np.int64), 0
    for b in range(lo, hi):
        potential[:], drive[:], later[:] = zero, zero, zero
        potentials, ends[b - lo, 0] = stored[b], count
        rest[b], last = n_steps, last_arrival(starts[b])
        for t in range(n_steps):
            if t > last + 1 and synaptic == zero and ends[b - lo, t - 1] == count:  # potentials can only decay
                ends[b - lo, t + 1 :] = count
                rest[b] = t + subside(potential, decay, slope, potentials[t:])
                break
            for m in range(n):
                drive[m] = synaptic * drive[m] + later[m]
            if len(late):
                later[:] = zero
            gather(units, starts[b, t], starts[b, t + 1], rows, late, drive, later)
            if t > 0 and own.size:
                gather(emitted, ends[b - lo, t - 1], ends[b - lo, t], own, at_once, drive, later)
            for m in range(n):
                potential[m] = decay[m] * potential[m] + drive[m]
            if len(potentials) == n_steps:
                if t + AHEAD < n_steps:
                    prefetch(potentials, t + AHEAD)
                keep(potential, slope, potentials, t)
            if count + n > len(emitted):
                emitted = np.concatenate((emitted, np.empty_like(emitted)))
            count = emit(potential, fired, eights, emitted, count)
            for m in range(n):
                jump = kept * potential[m] + subtract
                potential[m] -= jump if potential[m] >= one else zero
            ends[b - lo, t + 1] = count
    return emitted[:count], ends


@compiled
def lif_backward(
    units, starts, grad, weighting, stored, decay, synaptic, subtract, through, kind, slope, rest,
    own, emitted, ends, grad_now, grad_later, grad_decay, grad_own, current, lo, hi,
):  # fmt: skip
    """The adjoint of `lif_forward`: one scan back in time.

    Args:
        grad: of the layer's spikes, (batch, n_steps, postsynaptic).
        weighting: of each step, if `grad` (batch, 1, postsynaptic) is of the spikes' weighted sum; empty: it is not.
        stored, rest: of `lif_forward`.
        through, kind: 1 if the gradient flows through the reset; index of the surrogate.
        own: recurrent weights, (to, from); empty: none.
        emitted, ends: units and starts of the layer's own spikes.
        grad_now, grad_later: see `scatter`.
        grad_decay: (postsynaptic,), receives its sum; empty: not wanted.
        grad_own: (from, to), receives that of recurrent weights.
        current: (hi - lo, n_steps, postsynaptic), receives the current's gradient; (1, ...): room for one sample.
    """
    n_steps, n = starts.shape[1] - 1, stored.shape[2]
    zero, one = grad.dtype.type(0), grad.dtype.type(1)
    kept = one - subtract
    distance, steepness = np.empty_like(decay), np.empty_like(decay)
    adjoint, now, after, back = np.empty_like(decay), np.empty_like(decay), np.empty_like(decay), np.empty_like(decay)
    nothing = grad_own[:0]
    summed = len(weighting) > 0
    for b in range(lo, hi):
        adjoint[:], after[:] = zero, zero
        potentials, upstreams, room = stored[b], grad[b], current[(b - lo) % len(current)]
        for t in range(n_steps - 1, -1, -1):
            if t >= AHEAD:
                if t - AHEAD <= rest[b]:
                    prefetch(potentials, t - AHEAD)
                prefetch(upstreams, 0 if summed else t - AHEAD)
                prefetch(room, t - AHEAD)
            if t < rest[b] or t == n_steps - 1:
                load(potentials, min(t, rest[b]), slope, distance)
                steepen(distance, kind, slope, steepness)
            up, weight = (0, weighting[t]) if summed else (t, one)
            # Each loop writes one array: with more, the compiler gives up proving that they do not overlap
            for m in range(len(grad_decay)):
                potential = distance[m] + one
                jump = kept * potential + subtract
                grad_decay[m] += adjoint[m] * (potential - jump if distance[m] >= zero else potential)
            for m in range(n):
                jump = kept * (distance[m] + one) + subtract
                remains = one - (kept if distance[m] >= zero else zero) - through * jump * steepness[m]
                adjoint[m] = weight * upstreams[up, m] * steepness[m] + decay[m] * remains * adjoint[m]
            if own.size:
                scatter(emitted, ends[b, t], ends[b, t + 1], after, after, grad_own, nothing)
                send_back(after, own, back)
                for m in range(n):
                    adjoint[m] += back[m] * steepness[m]
            for m in range(n):
                now[m] = adjoint[m] + synaptic * after[m]
            scatter(units, starts[b, t], starts[b, t + 1], now, after, grad_now, grad_later)
            for m in range(n):
                after[m] = now[m]
            for m in range(n):  # not summed there: taking a row counts references
                room[t, m] = now[m]


@compiled
def srm_forward(units, starts, rows, late, psp, refractory, slope, rest, stored, lo, hi):
    """Potentials and spikes of a layer of SRM neurons; arguments and results as of `lif_forward`.

    Args:
        psp, refractory: kernels, one value a step from the spike on, in thresholds.
    """
    n_steps, n, taps = starts.shape[1] - 1, rows.shape[1], len(refractory)
    zero = rows.dtype.type(0)
    potential = np.empty(n, rows.dtype)
    current, ahead = np.empty((n_steps + 1, n), rows.dtype), np.empty((n_steps + taps, n), rows.dtype)
    fired = np.zeros(-(-n // 64) * 64, np.uint8)
    eights = fired.view(np.uint64)
    emitted, ends, count = np.empty(64 * max(n, 8), np.uint16), np.empty((hi - lo, n_steps + 1), np.int64), 0
    for b in range(lo, hi):
        current[:], ahead[:] = zero, zero
        potentials, ends[b - lo, 0] = stored[b], count
        rest[b], last = n_steps, last_arrival(starts[b])
        for t in range(n_steps):
            if t > last + len(psp) and ends[b - lo, max(t - taps, 0)] == count:  # neither input nor reset lasts
                ends[b - lo, t + 1 :] = count
                if len(potentials) == n_steps:
                    potential[:] = zero
                    keep(potential, slope, potentials, t)
                rest[b] = t
                break
            gather(units, starts[b, t], starts[b, t + 1], rows, late, current[t], current[t + 1])
            potential[:] = zero
            for j in range(min(len(psp), t + 1)):
                for m in range(n):
                    potential[m] += psp[j] * current[t - j, m]
            for m in range(n):
                potential[m] += ahead[t, m]
            if len(potentials) == n_steps:
                if t + AHEAD < n_steps:
                    prefetch(potentials, t + AHEAD)
                keep(potential, slope, potentials, t)
            if count + n > len(emitted):
                emitted = np.concatenate((emitted, np.empty_like(emitted)))
            first, count = count, emit(potential, fired, eights, emitted, count)
            for m in emitted[first:count]:
                for j in range(taps):
                    ahead[t + j, m] += refractory[j]
            ends[b - lo, t + 1] = count
    return emitted[:count], ends


@compiled
def srm_backward(
    units, starts, grad, weighting, stored, psp, scale, kind, slope, rest, grad_now, grad_later, current, lo, hi
):
    """The adjoint of `srm_forward`, the refractory potential being taken as constant; arguments as of `lif_backward`.

    Args:
        scale: of the surrogate gradient.
    """
    n_steps, n = starts.shape[1] - 1, stored.shape[2]
    zero, one = grad.dtype.type(0), grad.dtype.type(1)
    distance, steepness, silence = np.empty(n, grad.dtype), np.empty(n, grad.dtype), np.zeros(n, grad.dtype)
    summed = len(weighting) > 0
    adjoint = np.empty((n_steps, n), grad.dtype)
    for b in range(lo, hi):
        potentials, upstreams, room = stored[b], grad[b], current[(b - lo) % len(current)]
        for t in range(n_steps - 1, -1, -1):
            if t >= AHEAD:
                if t - AHEAD <= rest[b]:
                    prefetch(potentials, t - AHEAD)
                prefetch(upstreams, 0 if summed else t - AHEAD)
                prefetch(room, t - AHEAD)
            if t < rest[b] or t == n_steps - 1:
                load(potentials, min(t, rest[b]), slope, distance)
                steepen(distance, kind, slope, steepness)
            upstream, here, now = upstreams[0 if summed else t], adjoint[t], room[t]
            weight = weighting[t] if summed else one
            for m in range(n):
                here[m] = scale * (weight * upstream[m]) * steepness[m]
            now[:] = zero
            for j in range(min(len(psp), n_steps - t)):
                for m in range(n):
                    now[m] += psp[j] * adjoint[t + j, m]
            after = room[t + 1] if t + 1 < n_steps else silence
            scatter(units, starts[b, t], starts[b, t + 1], now, after, grad_now, grad_later)


@compiled
def last_arrival(starts):
    """The last step in which a spike arrives at a sample; -1: none does.

    Args:
        starts: of the sample, (n_steps + 1,).
    """
    t = len(starts) - 2
    while t >= 0 and starts[t] == starts[-1]:
        t -= 1
    return t


@compiled
def subside(potential, decay, slope, stored):
    """Potentials after the last spike has arrived and been answered: they fall below threshold for good.

    Args:
        potential, decay: (postsynaptic,).
        stored: (steps, postsynaptic), receives them, see `keep`, up to the step in which all have rounded to rest.

    Returns:
        This step, or len(stored).
    """
    one = potential.dtype.type(1)
    for t in range(len(stored)):
        if t + AHEAD < len(stored):
            prefetch(stored, t + AHEAD)
        resting = True
        for m in range(len(potential)):
            potential[m] *= decay[m]
        for m in range(len(potential)):
            resting &= potential[m] - one == -one
        keep(potential, slope, stored, t)
        if resting:
            return t
    return len(stored)


@inlined
def gather(units, first, last, rows, late, drive, later):
    """Add the weights of arriving spikes to the current of this step and, where a share is late, of the next.

    Four rows a loop: the current is read and written once for them, and summed in the same order as one by one.
    """
    one, fours = rows.dtype.type(1), first + (last - first) // 4 * 4
    for i in range(first, fours, 4):
        a, b, c, d = units[i], units[i + 1], units[i + 2], units[i + 3]
        if len(late):
            e, f, g, h = late[a], late[b], late[c], late[d]
            for m in range(len(later)):
                later[m] = later[m] + e * rows[a, m] + f * rows[b, m] + g * rows[c, m] + h * rows[d, m]
            e, f, g, h = one - e, one - f, one - g, one - h
            for m in range(len(drive)):
                drive[m] = drive[m] + e * rows[a, m] + f * rows[b, m] + g * rows[c, m] + h * rows[d, m]
        else:
            for m in range(len(drive)):
                drive[m] = drive[m] + rows[a, m] + rows[b, m] + rows[c, m] + rows[d, m]
    for i in range(fours, last):
        unit = units[i]
        if len(late):
            share, rest = late[unit], one - late[unit]
            for m in range(len(drive)):
                drive[m] += rest * rows[unit, m]
            for m in range(len(drive)):
                later[m] += share * rows[unit, m]
        else:
            for m in range(len(drive)):
                drive[m] += rows[unit, m]


@inlined
def scatter(units, first, last, now, after, grad_now, grad_later):
    """The adjoint of `gather`: the current's gradient, summed over the spikes of each presynaptic neuron.

    Args:
        now, after: of the step of arrival and of the next.
        grad_now, grad_later: (presynaptic, postsynaptic), receive the sums; grad_later empty: not wanted.
    """
    for i in range(first, last):
        unit = units[i]
        for m in range(len(now)):
            grad_now[unit, m] += now[m]
        if len(grad_later):
            for m in range(len(now)):
                grad_later[unit, m] += after[m]


@inlined
def send_back(grad, weights, back):
    """The gradient of a step's current through recurrent weights (to, from): what the spikes that drove it receive.

    Four rows a loop, as in `gather`; grad, back: (neurons,).
    """
    fours = len(grad) // 4 * 4
    back[:] = grad.dtype.type(0)
    for j in range(0, fours, 4):
        e, f, g, h = grad[j], grad[j + 1], grad[j + 2], grad[j + 3]
        for m in range(len(back)):
            back[m] = (
                back[m] + e * weights[j, m] + f * weights[j + 1, m] + g * weights[j + 2, m] + h * weights[j + 3, m]
            )
    for j in range(fours, len(grad)):
        for m in range(len(back)):
            back[m] += grad[j] * weights[j, m]


@inlined
def emit(potential, fired, eights, emitted, count):
    """Append the neurons at threshold; returns the new count.

    Which of 64 fire is gathered in one number, without a branch, and then only they are visited: which they are cannot
    be foreseen, and a branch gone wrong costs as much as a hundred sums.

    Args:
        fired: uint8, a multiple of 64, zero behind the last neuron; receives 1 where a neuron fires.
        eights: the same memory, eight neurons a number.
        emitted: with room for len(potential) more.
    """
    one = potential.dtype.type(1)
    for m in range(len(potential)):
        fired[m] = potential[m] >= one
    for first in range(0, len(eights), 8):
        firing = np.uint64(0)
        for i in range(8):
            firing |= low_bits(eights[first + i]) << np.uint64(8 * i)
        while firing:
            emitted[count] = 8 * first + trailing_zeros(firing)
            count += 1
            firing &= firing - np.uint64(1)
    return count


@inlined
def keep(potential, slope, kept, t):
    """Keep a potential as its distance to threshold: as it is, or as int16 of k x / (1 + k |x|), x < 0 staying < 0."""
    one = potential.dtype.type(1)
    for m in range(len(potential)):
        distance = potential[m] - one
        if kept.itemsize == 2:
            kept[t, m] = np.int16(np.floor(SQUASHED * slope * distance / (one + slope * abs(distance))))
        else:
            kept[t, m] = distance


@inlined
def load(kept, t, slope, distance):
    """The inverse of `keep`."""
    one = distance.dtype.type(1)
    for m in range(len(distance)):
        if kept.itemsize == 2:
            squashed = kept[t, m] / distance.dtype.type(SQUASHED + 1)
            distance[m] = squashed / (slope * (one - abs(squashed)))
        else:
            distance[m] = kept[t, m]


@inlined
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
def weigh(units, starts, weights, totals, lo, hi):
    """Spikes of each neuron, summed with a weight for each step: totals (batch, neurons)."""
    for b in range(lo, hi):
        for t in range(starts.shape[1] - 1):
            for i in range(starts[b, t], starts[b, t + 1]):
                totals[b, units[i]] += weights[t]
