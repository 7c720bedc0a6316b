"""The operations of `naive` on a GPU: same signatures, same numbers.

Spikes stay dense: input spikes as bytes, those of layers as numbers 0 and 1. A layer is one kernel that delays spikes,
one matrix product for all networks, and one kernel that scans over time; each kernel has an adjoint. A program of a
kernel owns one sample of one network and a block of neurons that lie side by side in memory. It holds their states in
registers, and the scans fetch inputs ahead of their use. The host never waits for the GPU; sums have a fixed order.

Equal to the specification under Triton's interpreter; its speed on a GPU is still to be measured.
"""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl

from ..neurons import LIF
from . import naive
from .spikes import SpikeList

NEURONS = 32  # of a program: one for each lane of a warp, so that small networks still spread over the whole GPU
TIMES = tl.constexpr(16)  # steps that the delay kernels move at once
AHEAD = tl.constexpr(8)  # steps whose inputs the scans have under way

counts, rate = naive.counts, naive.rate


def encode(batch: SpikeList | torch.Tensor | tuple, like: torch.Tensor) -> torch.Tensor:
    """See `naive.encode`; of several networks: a tuple. Lists travel as they are and become bytes on the device."""
    if isinstance(batch, tuple):
        return torch.stack([encode(one, like) for one in batch])
    if isinstance(batch, torch.Tensor):
        return batch.to(like.device, torch.uint8, non_blocking=True)
    samples, steps, n = batch.shape
    listed = batch.units[batch.starts[0, 0] : batch.starts[-1, -1]]
    units, spikes_of_step = (
        torch.from_numpy(numbers).to(like.device, non_blocking=True)
        for numbers in (listed.astype(np.int64), np.diff(batch.starts).ravel())
    )
    step = torch.arange(samples * steps, device=like.device).repeat_interleave(spikes_of_step, output_size=len(units))
    dense = torch.zeros(samples * steps * n, dtype=torch.uint8, device=like.device)
    return dense.index_fill_(0, step * n + units, 1).view(samples, steps, n)


def decode(spikes: torch.Tensor) -> SpikeList:
    """See `naive.decode`."""
    return SpikeList.of_dense(spikes)


def layer(
    spikes: torch.Tensor,
    weight: torch.Tensor,
    delays: torch.Tensor | None,
    decay: torch.Tensor | None,
    neuron: LIF,
    n_steps: int,
) -> torch.Tensor:
    """See `naive.layer`, which also computes all neurons but LIF."""
    if not isinstance(neuron, LIF):
        return naive.layer(spikes.to(weight.dtype), weight, delays, decay, neuron, n_steps)
    spikes = spikes.to(weight.dtype) if delays is None else delay_spikes(spikes, delays, n_steps, neuron.delays)
    current = spikes.flatten(-3, -2) @ weight.mT
    return lif(current.unflatten(-2, spikes.shape[-3:-1]), decay, neuron)


def summed_potential(spikes: torch.Tensor, weight: torch.Tensor, decay: float) -> torch.Tensor:
    """See `naive.summed_potential`. A spike with k steps to go adds its weights 1 + decay + ... + decay^k times."""
    powers = decay ** torch.arange(spikes.shape[-2], dtype=torch.float64, device=weight.device)
    return powers.cumsum(0).flip(0).to(weight.dtype) @ spikes.to(weight.dtype) @ weight.mT


def delay_spikes(spikes: torch.Tensor, delays: torch.Tensor, n_steps: int, mode: str = "linear") -> torch.Tensor:
    """See `naive.delay_spikes`."""
    delays = delays.expand(*spikes.shape[:-3], -1).contiguous()
    return _Delay.apply(spikes.contiguous(), delays, n_steps, mode == "whole")


def lif(current: torch.Tensor, decay: torch.Tensor, neuron: LIF) -> torch.Tensor:
    """See `naive.lif`."""
    decay = decay.expand(*current.shape[:-3], -1).contiguous()
    return _Scan.apply(current.contiguous(), decay, neuron, torch.is_grad_enabled())


class _Delay(torch.autograd.Function):
    @staticmethod
    def forward(ctx, spikes, delays, n_steps: int, whole: bool):
        delayed = delays.new_empty(*spikes.shape[:-2], n_steps, spikes.shape[-1])
        _launch(_delay, spikes, delays, delayed, *_sizes(spikes), n_steps, WHOLE=whole)
        ctx.save_for_backward(spikes, delays)
        ctx.whole = whole
        return delayed

    @staticmethod
    def backward(ctx, grad):
        spikes, delays = ctx.saved_tensors
        grad_spikes = grad.new_empty(spikes.shape if ctx.needs_input_grad[0] else 0)
        grad_delays = grad.new_empty(*spikes.shape[:-2], spikes.shape[-1])
        _launch(
            _delay_adjoint, spikes, delays, grad.contiguous(), grad_spikes, grad_delays, *_sizes(spikes),
            grad.shape[-2], WHOLE=ctx.whole, KEEP=ctx.needs_input_grad[0],
        )  # fmt: skip
        return grad_spikes if ctx.needs_input_grad[0] else None, grad_delays.sum(-2), None, None


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, current, decay, neuron: LIF, keep: bool):
        spikes, potentials = torch.empty_like(current), current.new_empty(current.shape if keep else 0)
        _launch(
            _scan, current, decay, potentials, spikes, *_sizes(current),
            SYNAPTIC=neuron.synaptic_decay, ZERO=neuron.reset == "zero", KEEP=keep,
        )  # fmt: skip
        ctx.save_for_backward(potentials, decay)
        ctx.neuron = neuron
        return spikes

    @staticmethod
    def backward(ctx, grad):
        (potentials, decay), neuron = ctx.saved_tensors, ctx.neuron
        grad_current = torch.empty_like(potentials)
        grad_decay = grad.new_empty(*grad.shape[:-2], grad.shape[-1])
        _launch(
            _scan_adjoint, potentials, decay, grad.contiguous(), grad_current, grad_decay, *_sizes(potentials),
            SYNAPTIC=neuron.synaptic_decay, ZERO=neuron.reset == "zero", THROUGH=neuron.reset_gradient,
            SURROGATE=neuron.surrogate, SLOPE=neuron.slope,
        )  # fmt: skip
        return grad_current, grad_decay.sum(-2), None, None


def _sizes(spikes: torch.Tensor) -> tuple[int, int, int]:
    """Samples of each network, time steps, neurons."""
    return spikes.shape[-3], spikes.shape[-2], spikes.shape[-1]


def _launch(kernel, first: torch.Tensor, *arguments, **constants) -> None:
    """Run a kernel on every sample of `first` and every block of its neurons."""
    grid = (first.shape[:-2].numel(), triton.cdiv(first.shape[-1], NEURONS))
    with torch.cuda.device_of(first):
        kernel[grid](first, *arguments, **constants, NEURONS=NEURONS, num_warps=NEURONS // 32)


@triton.jit
def _delay(spikes, delays, delayed, samples, steps, n, n_steps, WHOLE: tl.constexpr, NEURONS: tl.constexpr):
    """delayed[t] = (1 - late) spikes[t - whole] + late spikes[t - whole - 1]."""
    row, unit = tl.program_id(0).to(tl.int64), tl.program_id(1) * NEURONS + tl.arange(0, NEURONS)[None, :]
    delay = tl.load(delays + row // samples * n + unit, unit < n, 0)
    whole = tl.floor(delay)
    late = tl.zeros_like(delay) if WHOLE else delay - whole
    for start in tl.range(0, n_steps, TIMES):
        t = start + tl.arange(0, TIMES)[:, None]
        source = t - whole.to(tl.int32)
        origin = spikes + row * steps * n + source * n + unit
        now = tl.load(origin, (unit < n) & (source >= 0) & (source < steps), 0)
        before = tl.load(origin - n, (unit < n) & (source >= 1) & (source <= steps), 0)
        mixed = (1 - late) * now.to(late.dtype) + late * before.to(late.dtype)
        tl.store(delayed + row * n_steps * n + t * n + unit, mixed, (unit < n) & (t < n_steps))


@triton.jit
def _delay_adjoint(
    spikes, delays, grad, grad_spikes, grad_delays, samples, steps, n, n_steps,
    WHOLE: tl.constexpr, KEEP: tl.constexpr, NEURONS: tl.constexpr,
):  # fmt: skip
    """Gradients of spikes, and of each sample's delays: a later arrival exchanges grad then for grad one step after."""
    row, unit = tl.program_id(0).to(tl.int64), tl.program_id(1) * NEURONS + tl.arange(0, NEURONS)[None, :]
    delay = tl.load(delays + row // samples * n + unit, unit < n, 0)
    whole = tl.floor(delay)
    late = tl.zeros_like(delay) if WHOLE else delay - whole
    grad_delay = tl.zeros_like(delay)
    for start in tl.range(0, steps, TIMES):
        t = start + tl.arange(0, TIMES)[:, None]
        arrival, real = t + whole.to(tl.int32), (unit < n) & (t < steps)
        origin = grad + row * n_steps * n + arrival * n + unit
        now = tl.load(origin, real & (arrival < n_steps), 0)
        after = tl.load(origin + n, real & (arrival + 1 < n_steps), 0)
        here = row * steps * n + t * n + unit
        spiked = tl.load(spikes + here, real, 0).to(late.dtype)
        grad_delay += tl.sum(spiked * (after - now), 0)[None, :]
        if KEEP:
            tl.store(grad_spikes + here, (1 - late) * now + late * after, real)
    tl.store(grad_delays + row * n + unit, grad_delay, unit < n)


@triton.jit
def _scan(
    current, decays, potentials, spikes, samples, n_steps, n,
    SYNAPTIC: tl.constexpr, ZERO: tl.constexpr, KEEP: tl.constexpr, NEURONS: tl.constexpr,
):  # fmt: skip
    """Spikes, and membrane potentials before the reset: the loop of `naive.lif`."""
    row, unit = tl.program_id(0).to(tl.int64), tl.program_id(1) * NEURONS + tl.arange(0, NEURONS)
    decay = tl.load(decays + row // samples * n + unit, unit < n, 0)
    filtered, after = tl.zeros_like(decay), tl.zeros_like(decay)
    for t in tl.range(0, n_steps, num_stages=AHEAD):
        here = row * n_steps * n + t * n + unit
        filtered = SYNAPTIC * filtered + tl.load(current + here, unit < n, 0)
        potential = decay * after + filtered
        spiked = potential >= 1
        after = tl.where(spiked, 0 if ZERO else potential - 1, potential)
        if KEEP:
            tl.store(potentials + here, potential, unit < n)
        tl.store(spikes + here, spiked.to(decay.dtype), unit < n)


@triton.jit
def _scan_adjoint(
    potentials, decays, grad, grad_current, grad_decays, samples, n_steps, n,
    SYNAPTIC: tl.constexpr, ZERO: tl.constexpr, THROUGH: tl.constexpr, SURROGATE: tl.constexpr, SLOPE: tl.constexpr,
    NEURONS: tl.constexpr,
):  # fmt: skip
    """Gradients of the current, and of each sample's decays: one scan back in time."""
    row, unit = tl.program_id(0).to(tl.int64), tl.program_id(1) * NEURONS + tl.arange(0, NEURONS)
    decay = tl.load(decays + row // samples * n + unit, unit < n, 0)
    adjoint, filtered, grad_decay = tl.zeros_like(decay), tl.zeros_like(decay), tl.zeros_like(decay)
    for back in tl.range(0, n_steps, num_stages=AHEAD):
        here = row * n_steps * n + (n_steps - 1 - back) * n + unit
        potential = tl.load(potentials + here, unit < n, 0)
        upstream = tl.load(grad + here, unit < n, 0)
        spiked = potential >= 1
        grad_decay += adjoint * tl.where(spiked, 0 if ZERO else potential - 1, potential)
        steep = _surrogate(potential - 1, SURROGATE, SLOPE)
        remains = tl.where(spiked, 0, decay) if ZERO else decay
        if THROUGH:
            remains -= decay * steep * (potential if ZERO else 1)
        adjoint = upstream * steep + remains * adjoint
        filtered = adjoint + SYNAPTIC * filtered
        tl.store(grad_current + here, filtered, unit < n)
    tl.store(grad_decays + row * n + unit, grad_decay, unit < n)


@triton.jit
def _surrogate(distance, NAME: tl.constexpr, SLOPE: tl.constexpr):
    """See `lib.surrogate.derivative`."""
    scaled = SLOPE * tl.abs(distance)
    if NAME == "fast_sigmoid":
        return 1 / ((1 + scaled) * (1 + scaled))
    elif NAME == "exponential":
        return tl.exp(-scaled)
    else:
        return 1 / (1 + scaled * scaled)
