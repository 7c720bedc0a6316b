"""Axonal delays behind `cpu`: spike lists moved by whole steps, and gradients of delays; `product` has those of spikes."""

from __future__ import annotations

import numpy as np

from .compiled import compiled
from .lanes import LANES, put, take


@compiled
def shift(units, starts, whole, n_steps, moved, arrivals, lo, hi):
    """Spikes ordered by the step in which they arrive, `whole[unit]` steps later; those after the end are lost.

    Args:
        units, starts: spikes, and where those of each step begin, (batch, steps + 1).
        whole: int64, steps, of each presynaptic neuron, 0 or more.
        n_steps: of the arrivals.
        moved, arrivals: receive units and starts, (n_spikes,) and (batch, n_steps + 1).
    """
    # Unsigned, numba does not ask of each place whether it counts from the end
    cursor, end = np.empty(n_steps, np.int64), np.uintp(n_steps)
    for b in range(lo, hi):
        cursor[:] = 0
        for t in range(starts.shape[1] - 1):
            for i in range(starts[b, t], starts[b, t + 1]):
                arrival = np.uintp(t + whole[units[i]])
                if arrival < end:
                    cursor[arrival] += 1
        arrivals[b, 0] = starts[b, 0]
        for t in range(n_steps):
            arrivals[b, t + 1] = arrivals[b, t] + cursor[t]
            cursor[t] = arrivals[b, t]
        for t in range(starts.shape[1] - 1):
            for i in range(starts[b, t], starts[b, t + 1]):
                arrival = np.uintp(t + whole[units[i]])
                if arrival < end:
                    moved[np.uintp(cursor[arrival])] = units[i]
                    cursor[arrival] += 1


@compiled
def gradients(now, later, rows, late, n, grad_delays):
    """Gradients of weights and delays, summed over chunks of a batch.

    Args:
        now, later: sums of the current's gradient in the steps in which spikes arrive and in those that follow, (chunks,
            presynaptic, postsynaptic); the first chunk of `now` receives the gradient of the weights.
        rows: weights, (presynaptic, postsynaptic).
        late: share of a spike that arrives one step later, (presynaptic,); empty: none does.
        n: postsynaptic neurons without padding.
        grad_delays: (presynaptic,), receives that of delays: what a spike would bring about that arrives a step later.
    """
    slopes, sums = np.empty(rows.shape[1], rows.dtype), np.empty(8, rows.dtype)
    for unit in range(len(rows)):
        for m in range(0, rows.shape[1], LANES):
            first, second = take(now, (0, unit, m)), take(later, (0, unit, m))
            for chunk in range(1, len(now)):
                first, second = first + take(now, (chunk, unit, m)), second + take(later, (chunk, unit, m))
            change = second - first
            put(now, (0, unit, m), first + late[unit] * change if len(late) else first)
            put(slopes, m, change * take(rows, (unit, m)))
        # In the order in which numpy sums up to 128 numbers: eight sums (whatever LANES is), these in pairs, then the rest
        eights = n - n % 8
        for k in range(8):
            sums[k] = slopes[k] if eights else 0
        for m in range(8, eights, 8):
            for k in range(8):
                sums[k] += slopes[m + k]
        total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
        for m in range(eights, n):
            total += slopes[m]
        grad_delays[unit] = total
