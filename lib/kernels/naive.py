"""The specification: every operation in plain torch, to be read, on any device and in any float type.

Spikes are (batch, time, neurons), or (networks, batch, time, neurons) with one leading axis more on weights, delays,
decays and recurrent weights. Gradients are autograd's own; the fast kernels are tested against these.
"""

from __future__ import annotations

import torch

from .. import surrogate
from ..neurons import LIF, SRM, Neuron
from .spikes import SpikeList


class Spike(torch.autograd.Function):
    """1 where the membrane potential reaches threshold; backward: the surrogate derivative."""

    @staticmethod
    def forward(ctx, distance: torch.Tensor, slope: float, name: str, scale: float = 1.0) -> torch.Tensor:
        ctx.save_for_backward(distance)
        ctx.slope, ctx.name, ctx.scale = slope, name, scale
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (distance,) = ctx.saved_tensors
        return grad * ctx.scale * surrogate.derivative(distance, ctx.slope, ctx.name), None, None, None


def encode(batch: SpikeList | torch.Tensor | tuple, like: torch.Tensor) -> torch.Tensor:
    """Input spikes (of several networks: a tuple) as the other operations take them, typed and placed as `like`."""
    if isinstance(batch, tuple):
        return torch.stack([encode(one, like) for one in batch])
    return batch.dense(like) if isinstance(batch, SpikeList) else batch.to(like)


def decode(spikes: torch.Tensor) -> SpikeList:
    """The spikes of a layer as lists."""
    return SpikeList.of_dense(spikes)


def layer(
    spikes: torch.Tensor,
    weight: torch.Tensor,
    delays: torch.Tensor | None,
    decay: torch.Tensor | None,
    neuron: LIF | SRM | Neuron,
    n_steps: int,
    recurrent: torch.Tensor | None = None,
) -> torch.Tensor:
    """Delayed spikes, times weights, into neurons.

    Args:
        spikes: (batch, time, presynaptic).
        weight: (postsynaptic, presynaptic).
        delays: (presynaptic,), bins, see `delay_spikes`; None: no delays, n_steps = time.
        decay: of LIF membranes, exp(-bin width / membrane time constant), (postsynaptic,); None: SRM neurons.
        neuron: the rest of its description.
        n_steps: length of the output.
        recurrent: (postsynaptic, postsynaptic), from each neuron's spikes to the next step of LIF neurons.

    Returns:
        Spikes, 0 or 1, (batch, n_steps, postsynaptic).
    """
    if delays is not None:
        spikes = delay_spikes(spikes, delays, n_steps, neuron.delays)
    current = spikes @ weight.mT.unsqueeze(-3)
    if isinstance(neuron, Neuron):
        return neuron.spikes(current, decay)
    return srm(current, neuron) if isinstance(neuron, SRM) else lif(current, decay, neuron, recurrent)


def delay_spikes(spikes: torch.Tensor, delays: torch.Tensor, n_steps: int, mode: str = "linear") -> torch.Tensor:
    """Axonal delays: neuron n's spikes arrive `delays[n]` bins later.

    With d = k + a, k whole and 0 <= a < 1, a spike in bin t arrives as 1 - a in bin t + k and a in bin t + k + 1
    (linear interpolation), which makes the output differentiable in d. Mode "whole" moves by k bins and keeps that
    gradient at a = 0: SLAYER's. What would arrive at `n_steps` or later is lost.

    Args:
        spikes: (batch, time, neurons).
        delays: (neurons,), bins, >= 0.
        n_steps: length of the output.
        mode: "linear" or "whole".
    """
    *leading, steps, neurons = spikes.shape
    whole = delays.detach().floor()
    late = (delays - whole if mode == "linear" else delays - delays.detach()).unsqueeze(-2).unsqueeze(-2)
    blank = spikes.new_zeros(*leading, 1, neurons)
    padded = torch.cat([blank, spikes, blank], -2)
    source = torch.arange(n_steps, device=spikes.device)[:, None] - whole.long().unsqueeze(-2)  # (n_steps, neurons)
    now, before = ((source - lag).clamp(-1, steps).unsqueeze(-3) + 1 for lag in (0, 1))
    now, before = (padded.gather(-2, index.expand(*leading, -1, -1)) for index in (now, before))
    return (1 - late) * now + late * before


def lif(
    current: torch.Tensor, decay: torch.Tensor | float, neuron: LIF, recurrent: torch.Tensor | None = None
) -> torch.Tensor:
    """Spikes of leaky integrate-and-fire neurons, see `lib.neurons.LIF`.

    Args:
        current: synaptic input, (batch, time, neurons).
        decay: exp(-bin width / membrane time constant), (neurons,) or a number.
        recurrent: weights from the neurons' own spikes, one step earlier, (neurons, neurons).

    Returns:
        Spikes, 0 or 1, like `current`.
    """
    if isinstance(decay, torch.Tensor):
        decay = decay.unsqueeze(-2)
    filtered = torch.zeros_like(current[..., 0, :])
    after = torch.zeros_like(filtered)
    spikes = []
    for now in current.unbind(-2):
        if recurrent is not None and spikes:
            now = now + spikes[-1] @ recurrent.mT
        filtered = neuron.synaptic_decay * filtered + now
        potential = decay * after + filtered
        spiked = Spike.apply(potential - 1, neuron.slope, neuron.surrogate)
        reset = spiked if neuron.reset_gradient else spiked.detach()
        after = potential - reset * (potential if neuron.reset == "zero" else 1)
        spikes.append(spiked)
    return torch.stack(spikes, -2)


def srm(current: torch.Tensor, neuron: SRM) -> torch.Tensor:
    """Spikes of spike response neurons, see `lib.neurons.SRM`; `current` and result as of `lif`."""
    psp, refractory = (torch.from_numpy(kernel).to(current) for kernel in neuron.kernels())
    n_steps = current.shape[-2]
    filtered = sum(
        weight * torch.nn.functional.pad(current, (0, 0, lag, 0))[..., :n_steps, :] for lag, weight in enumerate(psp)
    )
    ahead = torch.nn.functional.pad(torch.zeros_like(filtered), (0, 0, 0, len(refractory)))  # no gradient through it
    spikes = []
    for t, now in enumerate(filtered.unbind(-2)):
        spiked = Spike.apply(now + ahead[..., t, :] - 1, neuron.slope, neuron.surrogate, neuron.surrogate_scale)
        ahead[..., t : t + len(refractory), :] += refractory[:, None] * spiked.detach().unsqueeze(-2)
        spikes.append(spiked)
    return torch.stack(spikes, -2)


def leaky_integrator(current: torch.Tensor, decay: float) -> torch.Tensor:
    """Membrane potential without threshold, v[t] = decay * v[t-1] + I[t]; (batch, time, neurons)."""
    potential = torch.zeros_like(current[..., 0, :])
    potentials = []
    for now in current.unbind(-2):
        potential = decay * potential + now
        potentials.append(potential)
    return torch.stack(potentials, -2)


def summed_potential(spikes: torch.Tensor, weight: torch.Tensor, decay: float) -> torch.Tensor:
    """Membrane potentials of leaky integrators, summed over time: (batch, postsynaptic)."""
    return leaky_integrator(spikes @ weight.mT.unsqueeze(-3), decay).sum(-2)


def counts(spikes: torch.Tensor) -> torch.Tensor:
    """Spikes of every neuron, summed over time: (batch, neurons)."""
    return spikes.sum(-2)


def rate(spikes: torch.Tensor) -> float:
    """Mean number of spikes a neuron and sample; of several networks, over all.

    Args:
        spikes: (batch, time, neurons), or (networks, batch, time, neurons).
    """
    return counts(spikes).detach().mean().item()
