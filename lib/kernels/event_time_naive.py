"""The specification of a spiking layer in event time, in plain torch, to be read. Gradients are autograd's own.

A layer of LIF neurons with delta synapses and no bias. An input event of unit c at time t arrives at t + d_c (axonal
delay) and adds weight w_jc to the membrane potential of every neuron j. Between arrivals a potential decays
exactly, u_j(t') = u_j(t) exp(-(t' - t) / tau_j). It can only move towards zero there, so threshold 1 can be reached at
arrivals only, and nothing else needs to be visited: the cost depends on the number of events, not on the duration.

Events that arrive within `SIMULTANEOUS` of the first of them make one moment, at their mean arrival. Their weights are
added before the potential is compared with threshold. A neuron spikes at most once a moment; a spike subtracts 1
(soft reset). On a grid of bins this is the dense simulation, unless a potential reaches 2: what is left after the
reset then still exceeds threshold, and a dense simulation spikes again in the next bin.

What is differentiated: a spike's derivative in the potential is the surrogate one, taken at moments; bins without an
event, where a dense simulation has surrogate terms too, do not exist here. No gradient flows through the reset. The
derivative in an arrival time is that of the exact decays before and after it; the order of arrivals, which moments
exist and the jump of a potential seen by a neuron when two arrivals change places are held fixed. Simultaneous events
share the derivative of their moment equally.
"""

from __future__ import annotations

import numpy as np
import torch

from .. import surrogate

SIMULTANEOUS = 1e-6  # ms; far above rounding errors of times, far below any bin


def spike_counts(
    times: np.ndarray,
    units: np.ndarray,
    offsets: np.ndarray,
    weight: torch.Tensor,
    log_tau: torch.Tensor,
    delays: torch.Tensor,
    slope: float,
) -> torch.Tensor:
    """Spikes of every neuron in every sample.

    Several networks: one leading axis more on weight, log_tau, delays and the counts. The first samples belong to the
    first network, the same number to each.

    Args:
        times: float64 (n_events,), ms, sample after sample, in any order within a sample.
        units: (n_events,), integer, presynaptic.
        offsets: int64 (batch + 1,); sample b holds events offsets[b] to offsets[b + 1]. Of several: of all samples.
        weight: (neurons, presynaptic).
        log_tau: (neurons,), natural logarithm of the membrane time constant in ms.
        delays: (presynaptic,), ms.
        slope: of the surrogate gradient, see `surrogate.derivative`.

    Returns:
        (batch, neurons), differentiable in weight, log_tau and delays.
    """
    if weight.ndim == 3:
        batch = (len(offsets) - 1) // len(weight)
        own = [offsets[r * batch : (r + 1) * batch + 1] for r in range(len(weight))]
        each = zip(own, weight, log_tau, delays, strict=True)
        return torch.stack([spike_counts(times, units, *one, slope) for one in each])
    counts = []
    for first, last in zip(offsets[:-1], offsets[1:], strict=True):
        _, spikes = simulate(times[first:last], units[first:last], weight, log_tau, delays, slope)
        counts.append(spikes.sum(0))
    return torch.stack(counts)


def simulate(times, units, weight, log_tau, delays, slope) -> tuple[torch.Tensor, torch.Tensor]:
    """One sample: its moments (n_moments,), ms, and the spikes at them, 0 or 1 (n_moments, neurons)."""
    units = torch.as_tensor(np.asarray(units, np.int64))
    arrivals = torch.as_tensor(times) + delays.double()[units]
    order = torch.argsort(arrivals.detach(), stable=True)
    arrivals, units = arrivals[order], units[order]
    tau = log_tau.exp()
    potential, before = torch.zeros_like(tau), None
    moments, spikes = [arrivals.new_empty(0)], [weight.new_empty(0, len(tau))]
    for members in _group(arrivals.detach().tolist()):
        now = arrivals[members].mean()
        if before is not None:
            potential = potential * torch.exp(-(now - before).to(tau.dtype) / tau)
        potential = potential + weight[:, units[members]].sum(1)
        spiked = spike(potential - 1, slope)
        potential, before = potential - spiked.detach(), now
        moments.append(now[None])
        spikes.append(spiked[None])
    return torch.cat(moments), torch.cat(spikes)


def spike(distance: torch.Tensor, slope: float) -> torch.Tensor:
    """1 where `distance` from threshold is not negative, else 0, with the gradient of the smooth step."""
    smooth = surrogate.primitive(distance, slope)
    return (distance >= 0).to(distance.dtype) + (smooth - smooth.detach())


def _group(arrivals: list[float]) -> list[slice]:
    """Moments of sorted arrivals."""
    groups: list[slice] = []
    for k, arrival in enumerate(arrivals):
        if groups and arrival - arrivals[groups[-1].start] < SIMULTANEOUS:
            groups[-1] = slice(groups[-1].start, k + 1)
        else:
            groups.append(slice(k, k + 1))
    return groups
