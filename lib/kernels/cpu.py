"""The operations of `naive`, event-driven on the CPU: same signatures, same numbers.

Spikes go from layer to layer as lists. Between autograd nodes travels a carrier that has their shape and no memory.
Batches are cut into chunks of a fixed size, which threads take (torch.get_num_threads() of them); sums over a batch are
sums over chunks in order, so that no bit depends on the number of threads.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
import torch
from numba.core import event

from .. import surrogate
from ..neurons import LIF, SRM
from . import delays as axons
from . import product, scans
from .lanes import aligned, padded
from .spikes import SpikeList

CHUNK = 32  # samples
FEW = 8  # samples whose gradient goes back through the weights while it lies in the cache
KEEP_BELOW = 1 << 30  # bytes
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
Batch = SpikeList | torch.Tensor


@dataclass(frozen=True)
class Spikes:
    """Spikes of a layer.

    Attributes:
        lists: the spikes.
        carrier: as autograd knows them, (batch, time, neurons); None: of the inputs, no gradient.
        total: as autograd knows their weighted sum over time, (batch, neurons): its gradient has no number a step.
        weighting: of each step in this sum, from its reader; a second reader takes the long way, by `carrier`.
    """

    lists: SpikeList
    carrier: torch.Tensor | None = None
    total: torch.Tensor | None = None
    weighting: list[np.ndarray] = field(default_factory=list)


def encode(batch: Batch | tuple[Batch, ...], like: torch.Tensor) -> Spikes | tuple[Spikes, ...]:
    """See `naive.encode`. Spikes of several networks are a tuple."""
    if isinstance(batch, SpikeList):
        return Spikes(batch)
    if isinstance(batch, tuple) or batch.ndim == 4:
        return tuple(encode(one, like) for one in batch)
    return Spikes(SpikeList.of_dense(batch))


def decode(spikes: Spikes) -> SpikeList:
    """See `naive.decode`."""
    return spikes.lists


def layer(
    spikes: Spikes | tuple[Spikes, ...],
    weight: torch.Tensor,
    delays: torch.Tensor | None,
    decay: torch.Tensor | None,
    neuron: LIF | SRM,
    n_steps: int,
    recurrent: torch.Tensor | None = None,
) -> Spikes | tuple[Spikes, ...]:
    """See `naive.layer`. Several networks are computed one after the other, to the bits of each alone."""
    if weight.ndim == 3:
        each = (_unbind(values, len(weight)) for values in (spikes, weight, delays, decay, recurrent))
        return tuple(layer(*one, neuron, n_steps, own) for *one, own in zip(*each, strict=True))
    recorded = torch.is_grad_enabled()
    weighting = []
    carrier, total, lists = _Layer.apply(
        spikes.carrier, weight, delays, decay, recurrent, spikes.lists, neuron, n_steps, recorded, weighting
    )
    return Spikes(lists, carrier, total, weighting)


def summed_potential(spikes: Spikes | tuple[Spikes, ...], weight: torch.Tensor, decay: float) -> torch.Tensor:
    """See `naive.summed_potential`. A spike with k steps to go counts (1 - decay^(k+1)) / (1 - decay) times."""
    if weight.ndim == 3:
        each = zip(_unbind(spikes, len(weight)), _unbind(weight, len(weight)), strict=True)
        # Times 1: each gradient is copied to memory of its own, see `_unbind`
        return torch.stack([summed_potential(*one, decay) * 1 for one in each])
    kernel = _remaining(decay, spikes.lists.shape[1], _array(weight).dtype)
    carrier = spikes.carrier if spikes.weighting else spikes.total
    spikes.weighting.append(kernel)  # the first is that of `total`
    return _Weigh.apply(carrier, spikes.lists, kernel) @ weight.T


def counts(spikes: Spikes | tuple[Spikes, ...]) -> torch.Tensor:
    """See `naive.counts`."""
    if isinstance(spikes, tuple):
        return torch.stack([counts(one) for one in spikes])
    kind = np.float32 if spikes.carrier is None else _array(spikes.carrier[:0]).dtype
    return _Weigh.apply(spikes.carrier, spikes.lists, np.ones(spikes.lists.shape[1], kind))


def rate(spikes: Spikes | tuple[Spikes, ...]) -> float:
    """See `naive.rate`: the same division, in the type of the layer's numbers."""
    networks = spikes if isinstance(spikes, tuple) else (spikes,)
    number = _array(networks[0].total[:0]).dtype.type
    fired, neurons = zip(*((len(one.lists.units), one.total.numel()) for one in networks), strict=True)
    return float(number(sum(fired)) / number(sum(neurons)))


class _Announcement(event.Listener):
    """Says, once a process, that kernels are compiled now and that the first call therefore takes longer."""

    said = False

    def on_start(self, compilation: event.Event) -> None:
        if not self.said and compilation.data["dispatcher"].py_func.__module__.startswith(__package__):
            self.said = True
            print("cpu kernels: compiling, once on this machine (about 10 s)", file=sys.stderr, flush=True)

    def on_end(self, compilation: event.Event) -> None:
        pass


event.register("numba:compile", _Announcement())


def _keep_freed_memory() -> None:
    """Ask glibc not to give freed blocks back to the system: new pages cost as much as the scans that fill them.

    Other systems are left as they are.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, KEEP_BELOW)
        libc.mallopt(M_TRIM_THRESHOLD, KEEP_BELOW)


_keep_freed_memory()


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, carrier, weight, delays, decay, recurrent, lists, neuron, n_steps, recorded, weighting):
        rows, arriving = padded(_array(weight).T), lists
        batch, n, width = len(lists.starts), len(weight), rows.shape[1]
        whole, late = None, np.zeros(0, rows.dtype)
        if delays is not None:
            whole = np.floor(_array(delays)).astype(np.int64)
            arrivals = np.empty((batch, n_steps + 1), np.int64)
            arriving = SpikeList(np.empty_like(lists.units), arrivals, lists.n_units)
            if neuron.delays == "linear":
                late = _array(delays) - whole.astype(rows.dtype)
        stored = aligned((batch, n_steps if recorded else 0, width), np.int16 if neuron.compact else rows.dtype)
        own = np.empty((0, width), rows.dtype) if recurrent is None else padded(padded(_array(recurrent).T).T)
        (scan, constants), ctx.scan = _scans(neuron, decay, own, rows.dtype.type, np.empty(batch, np.int64))

        def work(lo, hi):
            if whole is not None:
                axons.shift(lists.units, lists.starts, whole, n_steps, arriving.units, arriving.starts, lo, hi)
            return scan(arriving.units, arriving.starts, rows, late, *constants, stored, lo, hi)

        pieces = _over_chunks(work, batch)
        ctx.save_for_backward(weight, delays, recurrent)
        ctx.rows, ctx.late, ctx.arriving, ctx.stored, ctx.source_shape = rows, late, arriving, stored, lists.shape
        ctx.weighting = weighting
        ctx.set_materialize_grads(False)
        ctx.n_decays = 0 if decay is None else width * decay.requires_grad
        emitted = _join(pieces, n)
        ctx.own = () if decay is None else (own, emitted.units, emitted.starts)  # of LIF neurons
        nothing = weight.new_zeros(())
        return nothing.expand(batch, n_steps, n), nothing.expand(batch, n), emitted

    @staticmethod
    def backward(ctx, grad: torch.Tensor | None, grad_total: torch.Tensor | None, _):
        weight, delays, _ = (tensor if tensor is None else tensor.detach() for tensor in ctx.saved_tensors)
        arriving, (scan, constants) = ctx.arriving, ctx.scan
        upstream, weighting = _upstream(grad, grad_total, ctx.weighting)
        upstream, n = padded(upstream), len(weight)
        batch, n_steps, width = ctx.stored.shape
        chunks, rows = -(-batch // CHUNK), [arriving.n_units, 0 if delays is None else arriving.n_units]
        now, later = (aligned((chunks, length, width), upstream.dtype) for length in rows)
        grad_spikes = torch.empty(ctx.source_shape if ctx.needs_input_grad[0] else (0, 0, 0), dtype=weight.dtype)
        wanted = grad_spikes.numel() > 0
        bring_back = _bring_back(weight, delays, ctx.late, n_steps) if wanted else None

        def work(lo, hi):
            sums = [now[lo // CHUNK], later[lo // CHUNK]]
            if ctx.own:
                sums += [np.empty(ctx.n_decays, upstream.dtype), np.empty_like(ctx.own[0])]
            for each in sums:
                each.fill(0)
            few, room = (FEW, FEW) if wanted else (hi - lo, 1)
            current = aligned((room, n_steps, width), upstream.dtype)
            for first in range(lo, hi, few):
                last = min(first + few, hi)
                here = current[: last - first]
                scan(
                    arriving.units, arriving.starts, upstream, weighting, ctx.stored,
                    *constants, *ctx.own, *sums, here, first, last,
                )  # fmt: skip
                if wanted:  # silent neurons have a surrogate gradient too: this product is dense
                    bring_back(here, grad_spikes[first:last])
            return sums[2:]

        more = [functools.reduce(np.ndarray.__iadd__, parts) for parts in zip(*_over_chunks(work, batch), strict=True)]
        grad_delays = None
        if delays is None:
            functools.reduce(np.ndarray.__iadd__, now)
        else:
            grad_delays = torch.empty_like(delays)
            axons.gradients(now, later, ctx.rows, ctx.late, n, grad_delays.numpy())
        grad_weight = torch.from_numpy(now[0, :, :n].T)
        grad_decay = torch.from_numpy(more[0][:n]) if ctx.n_decays else None
        grad_recurrent = torch.from_numpy(more[1][:n, :n].T) if more and len(more[1]) else None
        grad_spikes = grad_spikes if ctx.needs_input_grad[0] else None
        return grad_spikes, grad_weight, grad_delays, grad_decay, grad_recurrent, *[None] * 5


class _Weigh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, carrier, lists: SpikeList, kernel: np.ndarray):
        totals = np.zeros((len(lists.starts), lists.n_units), kernel.dtype)
        scans.weigh(lists.units, lists.starts, kernel, totals)  # threads pay from a million spikes on
        ctx.kernel = torch.from_numpy(kernel)
        ctx.over_time = carrier is not None and carrier.ndim == 3
        return torch.from_numpy(totals)

    @staticmethod
    def backward(ctx, grad: torch.Tensor):
        return ctx.kernel[:, None] * grad[:, None, :] if ctx.over_time else grad, None, None


def _upstream(
    grad: torch.Tensor | None, grad_total: torch.Tensor | None, weighting: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """`grad` and `weighting` of the scans back in time, from the gradients of a layer's spikes and of their sum.

    Args:
        grad: (batch, n_steps, n); None: only the sum was read.
        grad_total: (batch, n); None: it was not.
        weighting: of the sum, (n_steps,), first in the list.
    """
    if grad is None:
        return _array(grad_total)[:, None], weighting[0]
    if grad_total is not None:
        grad = grad + torch.from_numpy(weighting[0])[:, None] * grad_total[:, None]
    grad = _array(grad)
    return grad, np.zeros(0, grad.dtype)


def _scans(
    neuron: LIF | SRM, decay: torch.Tensor | None, own: np.ndarray, number: type, rest: np.ndarray
) -> list[tuple[Callable, tuple]]:
    """Forward and backward scan of a neuron, each with the constants that describe it; `rest` goes from one to the other.

    Args:
        own: recurrent weights of LIF neurons, (to, from); empty: none.
    """
    slope, kind = number(neuron.slope), surrogate.NAMES.index(neuron.surrogate)
    if isinstance(neuron, SRM):
        psp, refractory = (kernel.astype(number) for kernel in neuron.kernels())
        return [
            (scans.srm_forward, (psp, refractory, slope, rest)),
            (scans.srm_backward, (psp, number(neuron.surrogate_scale), kind, slope, rest)),
        ]
    constants = (padded(_array(decay)), number(neuron.synaptic_decay), number(neuron.reset == "subtract"))
    through = number(neuron.reset_gradient)
    return [
        (scans.lif_forward, (*constants, np.ascontiguousarray(own.T), slope, rest)),
        (scans.lif_backward, (*constants, through, kind, slope, rest)),
    ]


def _unbind(values: tuple | torch.Tensor | Spikes | None, networks: int) -> tuple:
    """One value for each network; what has no leading axis is shared.

    Tensors are copied: the bits of a matrix product depend on where in memory its factors begin.
    """
    if isinstance(values, torch.Tensor):
        return tuple(value.clone() for value in values.unbind())
    return values if isinstance(values, tuple) else (values,) * networks


@functools.lru_cache
def _remaining(decay: float, n_steps: int, number: np.dtype) -> np.ndarray:
    """What a spike adds to the summed potential from its step to the last, (n_steps,)."""
    return np.cumsum(decay ** np.arange(n_steps, dtype=np.float64))[::-1].astype(number)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _bring_back(
    weight: torch.Tensor, delays: torch.Tensor | None, late: np.ndarray, n_steps: int
) -> Callable[[np.ndarray, torch.Tensor], None]:
    """A function of the gradient of a current, (samples, n_steps, postsynaptic), padded, and of a tensor that receives
    the gradient of the spikes which drive it through weights and delays, (samples, steps, presynaptic)."""
    rows = padded(_array(weight).T).T
    if delays is None:
        panels = product.panels_of(rows, np.arange(rows.shape[1]))
        return lambda current, grad: product.bring_back_undelayed(current, panels, grad.numpy())
    whole = np.minimum(np.floor(_array(delays)), n_steps).astype(np.int64)  # later ones arrive after the end as well
    order = np.argsort(whole, kind="stable")
    panels = product.panels_of(rows, order)
    late = late if len(late) else np.zeros(len(whole), panels.dtype)
    return lambda current, grad: product.bring_back(current, panels, order, whole, late, grad.numpy())


def _join(pieces: list[tuple[np.ndarray, np.ndarray]], n_units: int) -> SpikeList:
    if len(pieces) == 1:
        return SpikeList(*pieces[0], n_units)
    firsts = np.cumsum([0, *(len(units) for units, _ in pieces)])
    starts = np.concatenate([ends + first for (_, ends), first in zip(pieces, firsts, strict=False)])
    return SpikeList(np.concatenate([units for units, _ in pieces]), starts, n_units)


def _over_chunks(work: Callable[[int, int], object], batch: int) -> list:
    """work(lo, hi) of every chunk of the batch, in order."""
    bounds = [(lo, min(lo + CHUNK, batch)) for lo in range(0, batch, CHUNK)]
    done, waiting = [None] * len(bounds), iter(range(len(bounds)))

    def work_on() -> None:
        for i in waiting:
            done[i] = work(*bounds[i])

    helpers = min(torch.get_num_threads(), len(bounds)) - 1
    helping = [_pool(helpers).submit(work_on) for _ in range(helpers)]
    try:
        work_on()  # here too: to wake a thread takes as long as a small chunk
    finally:
        for _ in waiting:  # after an error nobody begins another
            pass
        begun = [helper for helper in helping if not helper.cancel()]
        wait(begun)
    for helper in begun:
        helper.result()
    return done


@functools.lru_cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "kernel")


if hasattr(os, "register_at_fork"):  # a forked process inherits the pool, but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
