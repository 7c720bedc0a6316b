"""The compiled scans behind `cpu`: spikes are lists, and only the weights of neurons that spike are touched.

Those that are told lo and hi work on samples lo to hi - 1 of a batch; all release the interpreter lock. Inner loops run
over the postsynaptic neurons, contiguous in memory and `padded`, in vectors (`lanes`); what is padding has no weights
and never fires. What is done in a time step stands here too, but for operations on vectors: compiled code is kept on
disk, and a change in another file would not be noticed.
"""

from __future__ import annotations

import numpy as np

from .. import surrogate
from .compiled import AHEAD, compiled, inlined, prefetch, trailing_zeros
from .lanes import LANES, flags, floor, put, spread, take, where

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
    potential, drive, later = np.zeros_like(decay), np.zeros_like(decay), np.zeros_like(decay)
    emitted, ends, count = np.empty(64 * max(n, 8), np.uint16), np.empty((hi - lo, n_steps + 1), np.int64), 0
    at_once = late[:0]
    for b in range(lo, hi):
        potential[:], drive[:], later[:] = zero, zero, zero
        potentials, ends[b - lo, 0] = stored[b], count
        rest[b], last = n_steps, last_arrival(starts[b])
        for t in range(n_steps):
            if t > last + 1 and synaptic == zero and ends[b - lo, t - 1] == count:  # potentials can only decay
                ends[b - lo, t + 1 :] = count
                rest[b] = t + subside(potential, decay, slope, potentials[t:])
                break
            if t + AHEAD < len(potentials):
                prefetch(potentials, t + AHEAD)
            if count + n > len(emitted):
                emitted = np.concatenate((emitted, np.empty_like(emitted)))
            for m in range(0, n, LANES):
                put(drive, m, synaptic * take(drive, m) + take(later, m))
            if len(late):
                later[:] = zero
            gather(units, starts[b, t], starts[b, t + 1], rows, late, drive, later)
            if t > 0 and own.size:
                gather(emitted, ends[b - lo, t - 1], ends[b - lo, t], own, at_once, drive, later)
            for word in range(0, n, 64):
                firing = np.uint64(0)
                for m in range(word, min(word + 64, n), LANES):
                    reached = take(decay, m) * take(potential, m) + take(drive, m)
                    fires = reached >= one
                    if len(potentials) == n_steps:
                        keep(reached - one, slope, potentials, t, m)
                    put(potential, m, reached - where(fires, kept * reached + subtract, zero))
                    firing |= flags(fires) << np.uint64(m - word)
                count = emit(firing, word, emitted, count)
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
    distance, steepness, back = np.empty_like(decay), np.empty_like(decay), np.zeros_like(decay)
    adjoint, now = np.empty_like(decay), np.empty_like(decay)
    summed = len(weighting) > 0
    for b in range(lo, hi):
        adjoint[:], now[:] = zero, zero
        potentials, upstreams, room = stored[b], grad[b], current[(b - lo) % len(current)]
        for t in range(n_steps - 1, -1, -1):
            if t >= AHEAD:
                if t - AHEAD <= rest[b]:
                    prefetch(potentials, t - AHEAD)
                prefetch(upstreams, 0 if summed else t - AHEAD)
                prefetch(room, t - AHEAD)
            if t < rest[b] or t == n_steps - 1:
                steepen(potentials, min(t, rest[b]), kind, slope, distance, steepness)
            if own.size:
                send_back(now, own, back)
            up, weight = (0, weighting[t]) if summed else (t, one)
            for m in range(0, n, LANES):
                far, steep, past, soon = take(distance, m), take(steepness, m), take(adjoint, m), take(now, m)
                fired, potential = far >= zero, far + one
                jump = kept * potential + subtract
                if len(grad_decay):
                    left = where(fired, potential - jump, potential)
                    put(grad_decay, m, take(grad_decay, m) + past * left)
                remains = one - where(fired, kept, zero) - through * jump * steep
                here = weight * take(upstreams, (up, m)) * steep + take(decay, m) * remains * past
                if own.size:
                    here = here + take(back, m) * steep
                put(adjoint, m, here)
                put(now, m, here + synaptic * soon)
                put(room, (t, m), here + synaptic * soon)
        scatter(units, starts[b], room, grad_now, grad_later)
        if own.size:
            scatter(emitted, ends[b], room, own[:0], grad_own)


@compiled
def srm_forward(units, starts, rows, late, psp, refractory, slope, rest, stored, lo, hi):
    """Potentials and spikes of a layer of SRM neurons; arguments and results as of `lif_forward`.

    Args:
        psp, refractory: kernels, one value a step from the spike on, in thresholds.
    """
    n_steps, n, taps = starts.shape[1] - 1, rows.shape[1], len(refractory)
    zero, one = rows.dtype.type(0), rows.dtype.type(1)
    current, ahead = np.empty((n_steps + 1, n), rows.dtype), np.empty((n_steps + taps, n), rows.dtype)
    emitted, ends, count = np.empty(64 * max(n, 8), np.uint16), np.empty((hi - lo, n_steps + 1), np.int64), 0
    for b in range(lo, hi):
        current[:], ahead[:] = zero, zero
        potentials, ends[b - lo, 0] = stored[b], count
        rest[b], last = n_steps, last_arrival(starts[b])
        for t in range(n_steps):
            if t > last + len(psp) and ends[b - lo, max(t - taps, 0)] == count:  # neither input nor reset lasts
                ends[b - lo, t + 1 :] = count
                for m in range(0, n if len(potentials) == n_steps else 0, LANES):
                    keep(spread(-one), slope, potentials, t, m)
                rest[b] = t
                break
            if t + AHEAD < len(potentials):
                prefetch(potentials, t + AHEAD)
            if count + n > len(emitted):
                emitted = np.concatenate((emitted, np.empty_like(emitted)))
            gather(units, starts[b, t], starts[b, t + 1], rows, late, current[t], current[t + 1])
            first = count
            for word in range(0, n, 64):
                firing = np.uint64(0)
                for m in range(word, min(word + 64, n), LANES):
                    reached = spread(zero)
                    for j in range(min(len(psp), t + 1)):
                        reached = reached + psp[j] * take(current, (t - j, m))
                    reached = reached + take(ahead, (t, m))
                    if len(potentials) == n_steps:
                        keep(reached - one, slope, potentials, t, m)
                    firing |= flags(reached >= one) << np.uint64(m - word)
                count = emit(firing, word, emitted, count)
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
    distance, steepness = np.empty(n, grad.dtype), np.empty(n, grad.dtype)
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
                steepen(potentials, min(t, rest[b]), kind, slope, distance, steepness)
            up, weight = (0, weighting[t]) if summed else (t, one)
            for m in range(0, n, LANES):
                here = scale * (weight * take(upstreams, (up, m))) * take(steepness, m)
                put(adjoint, (t, m), here)
                now = spread(zero)
                for j in range(min(len(psp), n_steps - t)):
                    now = now + psp[j] * take(adjoint, (t + j, m))
                put(room, (t, m), now)
        scatter(units, starts[b], room, grad_now, grad_later)


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
        for m in range(0, len(potential), LANES):
            put(potential, m, take(decay, m) * take(potential, m))
            keep(take(potential, m) - one, slope, stored, t, m)
        for m in range(len(potential)):
            resting &= potential[m] - one == -one
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
            for m in range(0, len(drive), LANES):
                w, x, y, z = take(rows, (a, m)), take(rows, (b, m)), take(rows, (c, m)), take(rows, (d, m))
                put(later, m, take(later, m) + e * w + f * x + g * y + h * z)
                put(drive, m, take(drive, m) + (one - e) * w + (one - f) * x + (one - g) * y + (one - h) * z)
        else:
            for m in range(0, len(drive), LANES):
                w, x, y, z = take(rows, (a, m)), take(rows, (b, m)), take(rows, (c, m)), take(rows, (d, m))
                put(drive, m, take(drive, m) + w + x + y + z)
    for i in range(fours, last):
        unit = units[i]
        if len(late):
            share, rest = late[unit], one - late[unit]
            for m in range(0, len(drive), LANES):
                put(drive, m, take(drive, m) + rest * take(rows, (unit, m)))
                put(later, m, take(later, m) + share * take(rows, (unit, m)))
        else:
            for m in range(0, len(drive), LANES):
                put(drive, m, take(drive, m) + take(rows, (unit, m)))


@compiled
def scatter(units, starts, grad_current, grad_now, grad_later):
    """The adjoint of `gather`, of all steps of a sample: the current's gradient, summed over each neuron's spikes.

    Neuron by neuron, so that a sum stays in registers until it is complete; its spikes from the last to the first, as
    if they were met on the way back in time.

    Args:
        units: arriving spikes of the batch, in any number a neuron and step.
        starts: of the sample, (n_steps + 1,).
        grad_current: (n_steps, postsynaptic).
        grad_now, grad_later: (presynaptic, postsynaptic); to them are added the sums in the steps of arrival, and in
            those that follow; empty: not wanted.
    """
    first, last, end = starts[0], starts[-1], len(grad_current)
    # Where in `steps` a neuron's next spike goes; in the end, where its spikes end
    places, steps = np.zeros(max(len(grad_now), len(grad_later)), np.int64), np.empty(last - first, np.int64)
    for i in range(first, last):
        places[units[i]] += 1
    total = 0
    for unit in range(len(places)):
        total += places[unit]
        places[unit] = total - places[unit]
    for t in range(end - 1, -1, -1):
        for i in range(starts[t], starts[t + 1]):
            steps[places[units[i]]] = t
            places[units[i]] += 1
    begin = 0
    for unit in range(len(places)):
        if begin == places[unit]:
            continue
        if len(grad_now):
            add_steps(grad_current, steps[begin : places[unit]], 0, grad_now, unit)
        while begin < places[unit] and steps[begin] == end - 1:  # no step follows the last
            begin += 1
        if len(grad_later):
            add_steps(grad_current, steps[begin : places[unit]], 1, grad_later, unit)
        begin = places[unit]


@inlined
def add_steps(grad_current, steps, lag, total, unit):
    """Add the current's gradient `lag` steps after each of these to row `unit` of `total`; four vectors a loop.

    Args:
        grad_current, total: (n_steps, postsynaptic), (presynaptic, postsynaptic).
        steps: of the spikes of this neuron, (n_spikes,).
        lag: 0 or 1.
    """
    n = total.shape[1]
    fours = n - n % (4 * LANES)
    for m in range(0, fours, 4 * LANES):
        k, p, q = m + LANES, m + 2 * LANES, m + 3 * LANES
        w, x, y, z = take(total, (unit, m)), take(total, (unit, k)), take(total, (unit, p)), take(total, (unit, q))
        for i in range(len(steps)):
            t = steps[i] + lag
            w, x = w + take(grad_current, (t, m)), x + take(grad_current, (t, k))
            y, z = y + take(grad_current, (t, p)), z + take(grad_current, (t, q))
        put(total, (unit, m), w)
        put(total, (unit, k), x)
        put(total, (unit, p), y)
        put(total, (unit, q), z)
    for m in range(fours, n, LANES):
        w = take(total, (unit, m))
        for i in range(len(steps)):
            w = w + take(grad_current, (steps[i] + lag, m))
        put(total, (unit, m), w)


@inlined
def send_back(grad, weights, back):
    """The gradient of a step's current through recurrent weights (to, from): what the spikes that drove it receive.

    Four rows a loop, as in `gather`; grad, back: (neurons,).
    """
    for m in range(0, len(back), LANES):
        put(back, m, 0)
    for j in range(0, len(grad), 4):
        e, f, g, h = grad[j], grad[j + 1], grad[j + 2], grad[j + 3]
        for m in range(0, len(back), LANES):
            w, x, y, z = (
                take(weights, (j, m)), take(weights, (j + 1, m)), take(weights, (j + 2, m)), take(weights, (j + 3, m)),
            )  # fmt: skip
            put(back, m, take(back, m) + e * w + f * x + g * y + h * z)


@inlined
def emit(firing, first, emitted, count):
    """Append the neurons that fire, of 64 from `first` on; returns the new count.

    Only they are visited: which they are cannot be foreseen, and a branch gone wrong costs as much as a hundred sums.

    Args:
        firing: uint64, a bit for each of the 64.
        emitted: with room for them.
    """
    while firing:
        emitted[count] = first + trailing_zeros(firing)
        count += 1
        firing &= firing - np.uint64(1)
    return count


@inlined
def keep(distance, slope, kept, t, m):
    """Keep distances to threshold x, from neuron m on: as they are, or as int16 of k x / (1 + k |x|), x < 0 staying
    < 0."""
    if kept.itemsize == 2:
        put(kept, (t, m), floor(SQUASHED * slope * distance / (1 + slope * abs(distance))))
    else:
        put(kept, (t, m), distance)


@inlined
def steepen(kept, t, kind, slope, distance, steepness):
    """Distances to threshold of all neurons, see `keep`, and the surrogate derivative there, see `lib.surrogate`."""
    one = distance.dtype.type(1)
    for m in range(0, len(distance), LANES):
        far = one * take(kept, (t, m))
        if kept.itemsize == 2:
            squashed = far / (SQUASHED + 1)
            far = squashed / (slope * (1 - abs(squashed)))
        put(distance, m, far)
        if kind == FAST_SIGMOID:
            steep = 1 + slope * abs(far)
            put(steepness, m, 1 / (steep * steep))
        elif kind == ARCTAN:
            scaled = slope * far
            put(steepness, m, 1 / (1 + scaled * scaled))
    if kind == EXPONENTIAL:
        for m in range(len(distance)):
            steepness[m] = np.exp(-slope * abs(distance[m]))


@compiled
def weigh(units, starts, weights, totals):
    """Spikes of each neuron, summed with a weight for each step: totals (batch, neurons)."""
    for b in range(len(totals)):
        for t in range(starts.shape[1] - 1):
            for i in range(starts[b, t], starts[b, t + 1]):
                totals[b, units[i]] += weights[t]
