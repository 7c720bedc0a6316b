"""The spiking layer in event time (specification: `event_time_naive`), compiled: one pass forwards, one adjoint back.

Adjoint. Let u_m be a neuron's potential at moment m, v_m = u_m - s_m what the reset leaves, a_m its decay from the
moment before, over the gap D_m, g the gradient of its spike count and h the surrogate derivative. Then, backwards,

    l_m = g h(u_m) + a_(m+1) l_(m+1)               gradient of u_m
    dL/dw_c        = sum of l_m over the events of unit c
    dL/d(log tau)  = sum_m l_m a_m v_(m-1) D_m / tau
    dL/dD_m        = -q_m, with q_m = sum over neurons of l_m a_m v_(m-1) / tau

A later moment m lengthens D_m and shortens D_(m+1): its gradient is q_(m+1) - q_m, divided among its events.

Of several networks the first samples belong to the first, the same number to each: sample b to b * networks // batch.
"""

from __future__ import annotations

import numba
import numpy as np
import torch

from .event_time_naive import SIMULTANEOUS


class _SpikeCounts(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, log_tau, delays, trains, slope) -> torch.Tensor:
        rows, arrived, decay, potential, counts = _simulate(trains, weight, log_tau, delays)
        ctx.saved = rows, arrived, decay, potential
        ctx.rates, ctx.slope, ctx.delay_type = _rates(log_tau), slope, delays.dtype
        return torch.from_numpy(counts).view(*log_tau.shape[:-1], -1, counts.shape[1])

    @staticmethod
    def backward(ctx, grad: torch.Tensor):
        rows, arrived, decay, potential = ctx.saved
        upstream, slope = grad.contiguous().flatten(0, -2).numpy(), rows.dtype.type(ctx.slope)
        grad_rows, grad_log_tau = np.zeros_like(rows), np.zeros_like(ctx.rates)
        grad_delays = np.zeros(rows.shape[:2], np.float64)
        _backward(
            upstream, rows, *arrived, decay, potential, ctx.rates, slope,
            grad_rows, grad_log_tau, grad_delays, ctx.needs_input_grad[2],
        )  # fmt: skip
        grads = torch.from_numpy(grad_rows).mT, torch.from_numpy(grad_log_tau), torch.from_numpy(grad_delays)
        weight, log_tau, delays = grads if grad.ndim == 3 else (values[0] for values in grads)
        return weight, log_tau, delays.to(ctx.delay_type), None, None


def spike_counts(
    times: np.ndarray,
    units: np.ndarray,
    offsets: np.ndarray,
    weight: torch.Tensor,
    log_tau: torch.Tensor,
    delays: torch.Tensor,
    slope: float,
) -> torch.Tensor:
    """See `event_time_naive.spike_counts`. Arrival times are float64 whatever the type of the weights.

    Several networks are computed to the bits of each alone.
    """
    return _SpikeCounts.apply(weight, log_tau, delays, (times, units, offsets), slope)


@torch.no_grad()
def spike_times(
    times: np.ndarray,
    units: np.ndarray,
    offsets: np.ndarray,
    weight: torch.Tensor,
    log_tau: torch.Tensor,
    delays: torch.Tensor,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The spikes themselves, one entry a spike, in order of sample, time, neuron.

    Returns:
        Sample (int64), time in ms (float64) and neuron (int64).
    """
    _, (_, _, spans, moments, _), _, potential, _ = _simulate((times, units, offsets), weight, log_tau, delays)
    moment, neuron = np.nonzero(potential >= 1)
    return np.searchsorted(spans, moment, side="right") - 1, moments[moment], neuron


def _simulate(trains, weight, log_tau, delays):
    """Weights by network and presynaptic unit, arrivals, decays and potentials (n_moments, neurons), and counts
    (networks * batch, neurons)."""
    rates = _rates(log_tau)
    networks, neurons = rates.shape
    rows = np.ascontiguousarray(weight.view(networks, neurons, -1).mT.numpy())
    arrived = _arrive(*trains, delays.view(networks, -1).numpy().astype(np.float64))
    # One block for both: the allocator keeps it for the next step, where two would go back to the system each time
    decay, potential = np.empty((2, len(arrived[-1]), neurons), rows.dtype)
    _exponents(arrived[2], arrived[-1], rates, decay)
    np.exp(decay, out=decay)  # numpy's is vectorised, numba's is not
    counts = np.zeros((len(trains[2]) - 1, neurons), rows.dtype)
    _forward(rows, *arrived[:3], decay, potential, counts)
    return rows, arrived, decay, potential, counts


def _rates(log_tau: torch.Tensor) -> np.ndarray:
    """1 / tau, (networks, neurons), in 1 / ms."""
    return torch.exp(-log_tau).view(-1, log_tau.shape[-1]).numpy()


@numba.njit(cache=True, error_model="numpy")
def _arrive(times, units, offsets, delays):
    """Sort each sample's events by arrival and join simultaneous ones.

    Returns:
        sources: (n_events,), unit of each event in order of arrival.
        starts: (n_moments + 1,); moment m holds events starts[m] to starts[m + 1].
        spans: (batch + 1,); sample b holds moments spans[b] to spans[b + 1].
        moments: (n_moments,), ms.
        gaps: (n_moments,), ms since the moment before, 0 for a sample's first.
    """
    sources, starts = np.empty(len(times), np.int64), np.zeros(len(times) + 1, np.int64)
    spans = np.zeros(len(offsets), np.int64)
    moments, gaps = np.empty(len(times)), np.empty(len(times))
    m = 0
    batch = len(offsets) - 1
    for b in range(batch):
        begin, own = offsets[b], delays[b * len(delays) // batch]
        arrivals = np.empty(offsets[b + 1] - begin)
        for k in range(len(arrivals)):
            arrivals[k] = times[begin + k] + own[units[begin + k]]
        order = np.argsort(arrivals, kind="mergesort")
        opened = -np.inf
        for k in range(len(order)):
            arrival = arrivals[order[k]]
            sources[begin + k] = units[begin + order[k]]
            if not arrival - opened < SIMULTANEOUS:  # true of NaN too: it never joins a moment of another sample
                opened, moments[m], starts[m] = arrival, arrival, begin + k
                m += 1
            else:
                moments[m - 1] += (arrival - moments[m - 1]) / (begin + k + 1 - starts[m - 1])
        for i in range(spans[b], m):
            gaps[i] = moments[i] - moments[i - 1] if i > spans[b] else 0.0
        spans[b + 1] = m
    starts[m] = len(times)
    return sources, starts[: m + 1], spans, moments[:m], gaps[:m]


@numba.njit(cache=True, error_model="numpy")
def _exponents(spans, gaps, rates, out):
    batch = len(spans) - 1
    for b in range(batch):
        own = rates[b * len(rates) // batch]
        for m in range(spans[b], spans[b + 1]):
            gap = rates.dtype.type(gaps[m])
            for n in range(len(own)):
                out[m, n] = -gap * own[n]


@numba.njit(cache=True, error_model="numpy")
def _forward(rows, sources, starts, spans, decay, potential, counts):
    batch, neurons = counts.shape
    zero, one = rows.dtype.type(0), rows.dtype.type(1)
    for b in range(batch):
        left, own = np.zeros(neurons, rows.dtype), rows[b * len(rows) // batch]
        for m in range(spans[b], spans[b + 1]):
            for n in range(neurons):
                left[n] *= decay[m, n]
            for k in range(starts[m], starts[m + 1]):
                source = sources[k]
                for n in range(neurons):
                    left[n] += own[source, n]
            for n in range(neurons):
                spiked = one if left[n] >= one else zero
                potential[m, n] = left[n]
                counts[b, n] += spiked
                left[n] -= spiked


@numba.njit(cache=True, error_model="numpy", fastmath={"reassoc"})
def _backward(
    grad, rows, sources, starts, spans, moments, gaps, decay, potential, rates, slope,
    grad_rows, grad_log_tau, grad_delays, train_delays,
):  # fmt: skip
    batch, neurons = grad.shape
    zero, one = rows.dtype.type(0), rows.dtype.type(1)
    for b in range(batch):
        later, after = np.zeros(neurons, rows.dtype), 0.0  # l_m, and the q of the moment after
        network = b * len(rows) // batch
        own, sums = rates[network], grad_rows[network]
        tau_sums, delay_sums = grad_log_tau[network], grad_delays[network]
        for m in range(spans[b + 1] - 1, spans[b] - 1, -1):
            for n in range(neurons):
                steepness = one + slope * abs(potential[m, n] - one)
                later[n] += grad[b, n] / (steepness * steepness)
            for k in range(starts[m], starts[m + 1]):
                source = sources[k]
                for n in range(neurons):
                    sums[source, n] += later[n]
            pull = zero
            if m > spans[b]:
                gap = rows.dtype.type(gaps[m])
                for n in range(neurons):
                    before = potential[m - 1, n]
                    left = before - one if before >= one else before
                    later[n] *= decay[m, n]
                    slowed = later[n] * left * own[n]
                    tau_sums[n] += slowed * gap
                    pull += slowed
            if train_delays:
                share = (after - pull) / (starts[m + 1] - starts[m])
                for k in range(starts[m], starts[m + 1]):
                    delay_sums[sources[k]] += share
                after = pull
