"""The operations of `naive`, event-driven on the CPU: same signatures, same numbers.

Spikes go from layer to layer as lists. Between autograd nodes travels a carrier that has their shape and no memory.
Batches are cut into chunks of a fixed size, which threads take (torch.get_num_threads() of them); sums over a batch are
sums over chunks in order, so that no scan depends on the number of threads. The one matrix product left is torch's.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from .. import surrogate
from ..neurons import LIF
from . import scans
from .spikes import SpikeList

CHUNK = 32  # samples


@dataclass(frozen=True)
class Spikes:
    """Spikes of a layer: as lists, and as the tensor by which autograd knows them (None: input, no gradient)."""

    lists: SpikeList
    carrier: torch.Tensor | None = None


def encode(batch: SpikeList | torch.Tensor, like: torch.Tensor) -> Spikes:
    """See `naive.encode`."""
    return Spikes(batch if isinstance(batch, SpikeList) else SpikeList.of_dense(batch))


def layer(
    spikes: Spikes, weight: torch.Tensor, delays: torch.Tensor | None, decay: torch.Tensor, neuron: LIF, n_steps: int
) -> Spikes:
    """See `naive.layer`."""
    keep = torch.is_grad_enabled()
    carrier, lists = _Layer.apply(spikes.carrier, weight, delays, decay, spikes.lists, neuron, n_steps, keep)
    return Spikes(lists, carrier)


def summed_potential(spikes: Spikes, weight: torch.Tensor, decay: float) -> torch.Tensor:
    """See `naive.summed_potential`. A spike with k steps to go adds its weights (1 - decay^(k+1)) / (1 - decay) times."""
    kernel = np.cumsum(decay ** np.arange(spikes.lists.shape[1], dtype=np.float64))[::-1]
    return _Weigh.apply(spikes.carrier, spikes.lists, kernel.astype(_array(weight).dtype)) @ weight.T


def counts(spikes: Spikes) -> torch.Tensor:
    """See `naive.counts`."""
    kind = np.float32 if spikes.carrier is None else _array(spikes.carrier[:0]).dtype
    return _Weigh.apply(spikes.carrier, spikes.lists, np.ones(spikes.lists.shape[1], kind))


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, carrier, weight, delays, decay, lists: SpikeList, neuron: LIF, n_steps: int, keep: bool):
        rows, number = np.ascontiguousarray(_array(weight).T), _array(weight).dtype.type
        late, arriving = np.zeros(len(rows), rows.dtype), lists
        if delays is not None:
            whole = np.floor(_array(delays)).astype(np.int64)
            arriving = _shift(lists, whole, n_steps)
            if neuron.delays == "linear":
                late = _array(delays) - whole.astype(rows.dtype)
        batch, n = len(lists.starts), rows.shape[1]
        stored = np.empty((batch, n_steps if keep else 0, n), np.int16 if neuron.compact else rows.dtype)
        subtract = number(neuron.reset == "subtract")
        constants = (_array(decay), number(neuron.synaptic_decay), subtract)
        pieces = _over_chunks(
            lambda lo, hi: scans.forward(
                arriving.units, arriving.starts, rows, late, delays is not None, *constants, number(neuron.slope), stored,
                lo, hi,
            ),
            batch,
        )  # fmt: skip
        ctx.save_for_backward(weight, delays, decay)
        ctx.neuron, ctx.constants, ctx.late, ctx.arriving, ctx.stored = neuron, constants, late, arriving, stored
        ctx.n_source_steps = lists.shape[1]
        return weight.new_zeros(()).expand(batch, n_steps, n), _join(pieces, n)

    @staticmethod
    def backward(ctx, grad: torch.Tensor, _):
        weight, delays, _ = ctx.saved_tensors
        upstream, neuron, arriving, late = _array(grad), ctx.neuron, ctx.arriving, ctx.late
        number, (batch, n_steps, n) = upstream.dtype.type, upstream.shape
        grad_current = np.empty((batch, n_steps if ctx.needs_input_grad[0] else 0, n), upstream.dtype)
        flags = (number(neuron.reset_gradient), surrogate.NAMES.index(neuron.surrogate), number(neuron.slope))

        def work(lo, hi):
            now = np.zeros((arriving.n_units, n), upstream.dtype)
            later, decays = np.zeros_like(now if delays is not None else now[:0]), np.zeros(n, upstream.dtype)
            scans.backward(
                arriving.units, arriving.starts, delays is not None, upstream, ctx.stored, *ctx.constants, *flags,
                now, later, decays, grad_current, lo, hi,
            )  # fmt: skip
            return now, later, decays

        now, later, grad_decay = (functools.reduce(np.add, parts) for parts in zip(*_over_chunks(work, batch), strict=True))
        grad_rows, grad_delays, grad_spikes = now, None, None
        if delays is not None:
            grad_rows = now + late[:, None] * (later - now)
            grad_delays = torch.from_numpy(((later - now) * _array(weight).T).sum(1))
        if ctx.needs_input_grad[0]:  # silent neurons have a surrogate gradient too: this one is dense
            arrived = torch.from_numpy(grad_current) @ weight
            grad_spikes = arrived if delays is None else _shift_back(arrived, delays, late, ctx.n_source_steps)
        rest = (None, None, None, None)
        return grad_spikes, torch.from_numpy(grad_rows.T), grad_delays, torch.from_numpy(grad_decay), *rest


class _Weigh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, carrier, lists: SpikeList, kernel: np.ndarray):
        totals = np.zeros((len(lists.starts), lists.n_units), kernel.dtype)
        scans.weigh(lists.units, lists.starts, kernel, totals, 0, len(totals))
        ctx.kernel = torch.from_numpy(kernel)
        return torch.from_numpy(totals)

    @staticmethod
    def backward(ctx, grad: torch.Tensor):
        return ctx.kernel[:, None] * grad[:, None, :], None, None


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _shift(lists: SpikeList, whole: np.ndarray, n_steps: int) -> SpikeList:
    moved, arrivals = np.empty_like(lists.units), np.empty((len(lists.starts), n_steps + 1), np.int64)
    scans.shift(lists.units, lists.starts, whole, n_steps, moved, arrivals, 0, len(arrivals))
    return SpikeList(moved, arrivals, lists.n_units)


def _shift_back(arrived: torch.Tensor, delays: torch.Tensor, late: np.ndarray, steps: int) -> torch.Tensor:
    source = _array(arrived)
    grad = np.empty((len(source), steps, source.shape[2]), source.dtype)
    whole = np.floor(_array(delays)).astype(np.int64)
    _over_chunks(lambda lo, hi: scans.shift_back(source, whole, late, grad, lo, hi), len(grad))
    return torch.from_numpy(grad)


def _join(pieces: list[tuple[np.ndarray, np.ndarray]], n_units: int) -> SpikeList:
    firsts = np.cumsum([0, *(len(units) for units, _ in pieces)])
    starts = np.concatenate([ends + first for (_, ends), first in zip(pieces, firsts, strict=False)])
    return SpikeList(np.concatenate([units for units, _ in pieces]), starts, n_units)


def _over_chunks(work: Callable[[int, int], object], batch: int) -> list:
    """work(lo, hi) of every chunk of the batch, in order."""
    bounds = [(lo, min(lo + CHUNK, batch)) for lo in range(0, batch, CHUNK)]
    threads = min(torch.get_num_threads(), len(bounds))
    if threads == 1:
        return [work(lo, hi) for lo, hi in bounds]
    return list(_pool(threads).map(lambda bound: work(*bound), bounds))


@functools.lru_cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "kernel")


if hasattr(os, "register_at_fork"):  # a forked process inherits the pool, but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
