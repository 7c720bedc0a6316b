"""The operations of `naive` as compiled scans for the CPU (numba): one pass forwards, one adjoint pass backwards.

Same signatures, same results. Kernels are single-threaded: networks, not neurons, are what runs in parallel.
"""

from __future__ import annotations

import numba
import numpy as np
import torch

from ..surrogate import SLOPE


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


class _Synapse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, spikes: torch.Tensor, weight: torch.Tensor, delays: torch.Tensor, n_steps: int) -> torch.Tensor:
        source, shift = _array(spikes), _array(delays)
        current = np.zeros((source.shape[0], n_steps, weight.shape[0]), source.dtype)
        _synapse_forward(source, np.ascontiguousarray(_array(weight).T), shift, current)
        ctx.save_for_backward(spikes, weight, delays)
        return torch.from_numpy(current)

    @staticmethod
    def backward(ctx, grad: torch.Tensor):
        spikes, weight, delays = ctx.saved_tensors
        source, shift, upstream = _array(spikes), _array(delays), _array(grad)
        rows = np.ascontiguousarray(_array(weight).T)
        grad_rows, grad_delays = np.zeros_like(rows), np.zeros(len(shift), np.float64)
        _synapse_backward(source, rows, shift, upstream, grad_rows, grad_delays, ctx.needs_input_grad[2])
        grad_spikes = None
        if ctx.needs_input_grad[0]:  # silent neurons have a surrogate gradient too: this one is dense
            arrived = _array(grad @ weight)
            grad_spikes = np.empty_like(source)
            _shift_back(arrived, shift, grad_spikes)
            grad_spikes = torch.from_numpy(grad_spikes)
        return grad_spikes, torch.from_numpy(grad_rows).T, torch.from_numpy(grad_delays).to(delays.dtype), None


class _LIF(torch.autograd.Function):
    @staticmethod
    def forward(ctx, current: torch.Tensor, decay: float, slope: float) -> torch.Tensor:
        drive = _array(current)
        potential, spikes = np.empty_like(drive), np.empty_like(drive)
        _lif_forward(drive, drive.dtype.type(decay), potential, spikes)
        ctx.potential, ctx.decay, ctx.slope = potential, decay, slope
        return torch.from_numpy(spikes)

    @staticmethod
    def backward(ctx, grad: torch.Tensor):
        upstream, kind = _array(grad), ctx.potential.dtype.type
        grad_current = np.empty_like(upstream)
        _lif_backward(upstream, ctx.potential, kind(ctx.decay), kind(ctx.slope), grad_current)
        return torch.from_numpy(grad_current), None, None


class _LeakyIntegrator(torch.autograd.Function):
    @staticmethod
    def forward(ctx, current: torch.Tensor, decay: float) -> torch.Tensor:
        drive = _array(current)
        potential = np.empty_like(drive)
        _leak(drive, drive.dtype.type(decay), potential)
        ctx.decay = decay
        return torch.from_numpy(potential)

    @staticmethod
    def backward(ctx, grad: torch.Tensor):
        upstream = _array(grad)
        grad_current = np.empty_like(upstream)
        # The adjoint of a leaky integrator is one that runs backwards
        _leak(upstream[:, ::-1], upstream.dtype.type(ctx.decay), grad_current[:, ::-1])
        return torch.from_numpy(grad_current), None


def synapse(
    spikes: torch.Tensor, weight: torch.Tensor, delays: torch.Tensor | None = None, n_steps: int | None = None
) -> torch.Tensor:
    """See `naive.synapse`. Spikes are rare: only the weights of neurons that spike are touched."""
    if delays is None:
        delays, n_steps = spikes.new_zeros(spikes.shape[2]), spikes.shape[1]
    return _Synapse.apply(spikes, weight, delays, n_steps)


def lif(current: torch.Tensor, decay: float, slope: float = SLOPE) -> torch.Tensor:
    """See `naive.lif`."""
    return _LIF.apply(current, decay, slope)


def leaky_integrator(current: torch.Tensor, decay: float) -> torch.Tensor:
    """See `naive.leaky_integrator`."""
    return _LeakyIntegrator.apply(current, decay)


@numba.njit(cache=True, error_model="numpy")
def _synapse_forward(source, rows, delays, current):
    batch, steps, neurons = source.shape
    n_steps, targets = current.shape[1:]
    whole = np.floor(delays).astype(np.int64)
    late = delays - whole.astype(delays.dtype)
    for b in range(batch):
        for t in range(steps):
            for n in range(neurons):
                value = source[b, t, n]
                if value != 0:
                    arrival = t + whole[n]
                    if arrival < n_steps:
                        share = value * (1 - late[n])
                        for m in range(targets):
                            current[b, arrival, m] += share * rows[n, m]
                    if late[n] > 0 and arrival + 1 < n_steps:
                        share = value * late[n]
                        for m in range(targets):
                            current[b, arrival + 1, m] += share * rows[n, m]


@numba.njit(cache=True, error_model="numpy", fastmath={"reassoc"})
def _synapse_backward(source, rows, delays, grad, grad_rows, grad_delays, train_delays):
    batch, steps, neurons = source.shape
    n_steps, targets = grad.shape[1:]
    whole = np.floor(delays).astype(np.int64)
    late = delays - whole.astype(delays.dtype)
    for b in range(batch):
        for t in range(steps):
            for n in range(neurons):
                value = source[b, t, n]
                if value != 0:
                    arrival = t + whole[n]
                    for step in range(min(2, n_steps - arrival)):
                        weight = late[n] if step else 1 - late[n]
                        if weight > 0:
                            share = value * weight
                            for m in range(targets):
                                grad_rows[n, m] += share * grad[b, arrival + step, m]
                        if train_delays:
                            dot = grad.dtype.type(0)
                            for m in range(targets):
                                dot += rows[n, m] * grad[b, arrival + step, m]
                            grad_delays[n] += value * dot if step else -value * dot


@numba.njit(cache=True, error_model="numpy")
def _shift_back(grad, delays, grad_spikes):
    batch, steps, neurons = grad_spikes.shape
    n_steps = grad.shape[1]
    whole = np.floor(delays).astype(np.int64)
    late = delays - whole.astype(delays.dtype)
    for b in range(batch):
        for t in range(steps):
            for n in range(neurons):
                arrival = t + whole[n]
                total = grad[b, arrival, n] * (1 - late[n]) if arrival < n_steps else grad.dtype.type(0)
                if arrival + 1 < n_steps:
                    total += grad[b, arrival + 1, n] * late[n]
                grad_spikes[b, t, n] = total


@numba.njit(cache=True, error_model="numpy")
def _lif_forward(current, decay, potential, spikes):
    batch, steps, neurons = current.shape
    zero, one = current.dtype.type(0), current.dtype.type(1)
    for b in range(batch):
        for n in range(neurons):
            potential[b, 0, n] = current[b, 0, n]
            spikes[b, 0, n] = one if current[b, 0, n] >= one else zero
        for t in range(1, steps):
            for n in range(neurons):
                before = potential[b, t - 1, n]
                value = (decay * before if before < one else zero) + current[b, t, n]
                potential[b, t, n] = value
                spikes[b, t, n] = one if value >= one else zero


@numba.njit(cache=True, error_model="numpy")
def _lif_backward(grad, potential, decay, slope, grad_current):
    batch, steps, neurons = grad.shape
    zero, one = grad.dtype.type(0), grad.dtype.type(1)
    for b in range(batch):
        later = np.zeros(neurons, grad.dtype)
        for t in range(steps - 1, -1, -1):
            for n in range(neurons):
                value = potential[b, t, n]
                steepness = one + slope * abs(value - one)
                kept = decay if value < one else zero
                later[n] = grad[b, t, n] / (steepness * steepness) + kept * later[n]
                grad_current[b, t, n] = later[n]


@numba.njit(cache=True, error_model="numpy")
def _leak(current, decay, potential):
    batch, steps, neurons = current.shape
    for b in range(batch):
        for n in range(neurons):
            potential[b, 0, n] = current[b, 0, n]
        for t in range(1, steps):
            for n in range(neurons):
                potential[b, t, n] = decay * potential[b, t - 1, n] + current[b, t, n]
