"""What an expert writes in torch alone: sparse products, and a hand-made adjoint in place instead of autograd's tape.

The network is the one of `lib.network`; tensors are (time x batch, neurons), so that a time step is contiguous. Spikes
are sparse matrices, kept by rows (for the forward product) and by neurons (for the gradient of the weights), both
summed by `embedding_bag`. Delays move the spikes of a neuron by whole steps, which leaves them sorted by neuron; the
interpolation between two steps is two sums one step apart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn.functional import embedding_bag


class Sparse(NamedTuple):
    """Spikes: neurons and first entries of rows; rows and first entries of neurons; neurons of the latter."""

    units: torch.Tensor
    row_starts: torch.Tensor
    rows: torch.Tensor
    unit_starts: torch.Tensor
    units_sorted: torch.Tensor


def sparse(rows: torch.Tensor, units: torch.Tensor, n_rows: int, n_units: int) -> Sparse:
    """From spikes that are sorted by row."""
    units_sorted, order = units.sort(stable=True)
    return Sparse(units, starts(rows, n_rows), rows[order], starts(units_sorted, n_units), units_sorted)


def starts(values: torch.Tensor, n: int) -> torch.Tensor:
    """Where 0, 1, ..., n - 1 begin among sorted values."""
    return torch.bincount(values, minlength=n).cumsum(0).roll(1).index_fill_(0, torch.tensor([0]), 0)


class Synapse(torch.autograd.Function):
    """Current of a layer, (n_steps x batch, out); `carrier` are the spikes as autograd knows them, None for inputs."""

    @staticmethod
    def forward(ctx, carrier, weight, delays, spikes: Sparse, batch: int, n_steps: int):
        ctx.needs, ctx.batch, ctx.n_steps = carrier is not None, batch, n_steps
        ctx.save_for_backward(weight, delays)
        by_unit = weight.T.contiguous()
        if delays is None:
            ctx.rows, ctx.unit_starts = spikes.rows, spikes.unit_starts
            return embedding_bag(spikes.units, by_unit, spikes.row_starts, mode="sum")
        whole = delays.floor().long()
        late = (delays - whole)[:, None]
        ctx.rows, ctx.unit_starts = spikes.rows + batch * whole[spikes.units_sorted], spikes.unit_starts
        arrivals, order = ctx.rows.sort()
        both = torch.cat([(1 - late) * by_unit, late * by_unit], 1)
        sums = embedding_bag(spikes.units_sorted[order], both, starts(arrivals, n_steps * batch), mode="sum")
        current, later = sums.split(len(weight), 1)
        current[batch:] += later[:-batch]
        return current.contiguous()

    @staticmethod
    def backward(ctx, grad):
        weight, delays = ctx.saved_tensors
        batch, grad_delays = ctx.batch, None
        back = grad @ weight if ctx.needs else None
        if delays is None:
            grad_weight = embedding_bag(ctx.rows, grad, ctx.unit_starts, mode="sum").T
        else:
            whole = delays.floor().long()
            late = (delays - whole)[:, None]
            after = torch.cat([grad[batch:], grad.new_zeros(batch, grad.shape[1])])
            now = embedding_bag(ctx.rows, grad, ctx.unit_starts, mode="sum")
            next_ = embedding_bag(ctx.rows, after, ctx.unit_starts, mode="sum")
            grad_weight = ((1 - late) * now + late * next_).T
            grad_delays = (weight.T * (next_ - now)).sum(1)
            if ctx.needs:
                back = back.addcmul_(late[:, 0], torch.cat([back[batch:], back.new_zeros(batch, len(late))]) - back)
                back = back.view(ctx.n_steps, batch, -1)
                longest = int(delays.max().ceil())
                arrival = torch.arange(ctx.n_steps - longest)[:, None] + whole
                back = back.gather(0, arrival[:, None].expand(-1, batch, -1)).flatten(0, 1)
        return back, grad_weight, grad_delays, None, None, None


class Neurons(torch.autograd.Function):
    """Leaky integrate-and-fire neurons, reset to zero; v = -potential lets one operation, `threshold`, reset them."""

    @staticmethod
    def forward(ctx, current, decay: float, slope: float, batch: int):
        v = current.neg_()
        steps = v.view(-1, batch, v.shape[1]).unbind(0)
        left = torch.empty_like(steps[0])
        for before, now in zip(steps, steps[1:], strict=False):
            torch.threshold(before, -1, 0, out=left)
            now.add_(left, alpha=decay)
        ctx.v, ctx.decay, ctx.slope, ctx.batch = v, decay, slope, batch
        return torch.le(v, -1, out=torch.empty_like(v))

    @staticmethod
    def backward(ctx, grad):
        kept = torch.gt(ctx.v, -1, out=torch.empty_like(ctx.v)).mul_(ctx.decay)
        grad = ctx.v.add_(1).abs_().mul_(ctx.slope).add_(1).square_().reciprocal_().mul_(grad)  # in place of v
        shape = (-1, ctx.batch, grad.shape[1])
        adjoint, remains = grad.view(shape).unbind(0), kept.view(shape).unbind(0)
        for t in range(len(adjoint) - 2, -1, -1):
            adjoint[t].addcmul_(remains[t], adjoint[t + 1])
        return grad, None, None, None


def evidence(
    spikes: Sparse, weights: list, delays: list, decay: float, slope: float, batch: int, n_bins: int
) -> tuple[torch.Tensor, list[float]]:
    """Mean potential of leaky integrators, (batch, n_classes), and spikes of a hidden neuron a bin, layer by layer."""
    carrier, n_steps, rates = None, n_bins, []
    for layer, weight in enumerate(weights[:-1]):
        delay = delays[layer] if delays else None
        n_steps += int(delay.detach().max().ceil()) if delays else 0
        carrier = Neurons.apply(Synapse.apply(carrier, weight, delay, spikes, batch, n_steps), decay, slope, batch)
        rates.append(carrier.detach().sum().item() / (batch * n_bins * len(weight)))
        if layer < len(weights) - 2:
            fired = carrier.detach().nonzero()
            spikes = sparse(fired[:, 0], fired[:, 1], len(carrier), len(weight))
    # A spike with k steps to go adds its weight 1 + decay + ... + decay^k times
    kernel = torch.cumsum(decay ** torch.arange(n_steps, dtype=carrier.dtype), 0).flip(0) / n_bins
    weighed = torch.mv(carrier.view(n_steps, -1).T, kernel).view(batch, -1)
    return weighed @ weights[-1].T, rates
