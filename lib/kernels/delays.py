"""Axonal delays of spike lists, whole time steps, behind `cpu`; `product` takes gradients back through them."""

from __future__ import annotations

import numpy as np

from .compiled import compiled


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
