"""Axonal delays of spike lists, whole time steps, and their adjoint: compiled loops behind `cpu`."""

from __future__ import annotations

import numpy as np

from .compiled import AHEAD, compiled, prefetch


@compiled
def shift(units, starts, whole, n_steps, moved, arrivals, lo, hi):
    """Spikes ordered by the step in which they arrive, `whole[unit]` steps later; those after the end are lost.

    Args:
        units, starts: spikes, and where those of each step begin, (batch, steps + 1).
        whole: int64, steps, of each presynaptic neuron.
        n_steps: of the arrivals.
        moved, arrivals: receive units and starts, (n_spikes,) and (batch, n_steps + 1).
    """
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
        for t in range(n_steps):
            cursor[t] = arrivals[b, t]
        for t in range(starts.shape[1] - 1):
            for i in range(starts[b, t], starts[b, t + 1]):
                arrival = t + whole[units[i]]
                if arrival < n_steps:
                    moved[cursor[arrival]] = units[i]
                    cursor[arrival] += 1


@compiled
def shift_back(grad, whole, late, grad_spikes):
    """The adjoint of the delays: what arrived at t + delay, brought back to t.

    Args:
        grad: of the arrived spikes, (samples, n_steps, presynaptic).
        whole, late: steps, and the share that arrives one step later, (presynaptic,).
        grad_spikes: (samples, steps, presynaptic), receives the gradient of the spikes as they were sent.
    """
    steps, n = grad_spikes.shape[1:]
    offset, rest, soon = (whole * n + np.arange(n)).astype(np.uint32), grad.dtype.type(1) - late, whole.max() + AHEAD
    arrived, next_ = np.empty(n, grad.dtype), np.empty(n, grad.dtype)
    for b in range(len(grad)):
        for t in range(-1, steps):  # what arrives next at t is what arrives at t + 1: each is looked for once
            if t + soon < grad.shape[1]:
                prefetch(grad[b], t + soon)
            following = grad[b, t + 1 :].ravel()
            for m in range(n):
                next_[m] = following[offset[m]] if offset[m] < len(following) else 0
            if t >= 0:
                sent = grad_spikes[b, t]
                for m in range(n):
                    sent[m] = rest[m] * arrived[m] + late[m] * next_[m]
            arrived, next_ = next_, arrived
