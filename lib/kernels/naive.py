"""The specification: every operation in plain torch, to be read, on any device and in any float type.

Tensors are (batch, time, neurons). Gradients are autograd's own; the fast kernels are tested against these.
"""

from __future__ import annotations

import torch

from .. import surrogate


class Spike(torch.autograd.Function):
    """1 where the membrane potential reaches threshold; backward: the surrogate derivative."""

    @staticmethod
    def forward(ctx, distance: torch.Tensor, slope: float) -> torch.Tensor:
        ctx.save_for_backward(distance)
        ctx.slope = slope
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        (distance,) = ctx.saved_tensors
        return grad * surrogate.derivative(distance, ctx.slope), None


def synapse(
    spikes: torch.Tensor, weight: torch.Tensor, delays: torch.Tensor | None = None, n_steps: int | None = None
) -> torch.Tensor:
    """Synaptic current of a layer: delayed spikes times weights.

    Args:
        spikes: (batch, time, presynaptic).
        weight: (postsynaptic, presynaptic).
        delays: (presynaptic,), bins, see `delay_spikes`; None: no delays.
        n_steps: length of the output (with delays).

    Returns:
        (batch, n_steps or time, postsynaptic).
    """
    if delays is not None:
        spikes = delay_spikes(spikes, delays, n_steps)
    return spikes @ weight.T


def delay_spikes(spikes: torch.Tensor, delays: torch.Tensor, n_steps: int) -> torch.Tensor:
    """Axonal delays: neuron n's spikes arrive `delays[n]` bins later.

    With d = k + a, k whole and 0 <= a < 1, a spike in bin t arrives as 1 - a in bin t + k and a in bin t + k + 1
    (linear interpolation), which makes the output differentiable in d. What would arrive at `n_steps` or later is lost.

    Args:
        spikes: (batch, time, neurons).
        delays: (neurons,), bins, >= 0.
        n_steps: length of the output.
    """
    batch, steps, neurons = spikes.shape
    whole = delays.detach().floor()
    late = delays - whole
    padded = torch.cat([spikes.new_zeros(batch, 1, neurons), spikes, spikes.new_zeros(batch, 1, neurons)], 1)
    source = torch.arange(n_steps, device=spikes.device)[:, None] - whole.long()  # (n_steps, neurons)
    now = (source.clamp(-1, steps) + 1).expand(batch, -1, -1)
    before = ((source - 1).clamp(-1, steps) + 1).expand(batch, -1, -1)
    return (1 - late) * padded.gather(1, now) + late * padded.gather(1, before)


def lif(current: torch.Tensor, decay: float, slope: float = surrogate.SLOPE) -> torch.Tensor:
    """Leaky integrate-and-fire neurons with one state, threshold 1 and reset to zero.

    v[t] = decay * v[t-1] * (1 - s[t-1]) + I[t] and s[t] = 1 if v[t] >= 1 else 0. No gradient flows through the reset.

    Args:
        current: (batch, time, neurons).
        decay: exp(-bin width / membrane time constant).
        slope: of the surrogate gradient.

    Returns:
        Spikes, 0 or 1, like `current`.
    """
    potential = torch.zeros_like(current[:, 0])
    spiked = torch.zeros_like(potential)
    spikes = []
    for now in current.unbind(1):
        potential = decay * potential * (1 - spiked.detach()) + now
        spiked = Spike.apply(potential - 1, slope)
        spikes.append(spiked)
    return torch.stack(spikes, 1)


def leaky_integrator(current: torch.Tensor, decay: float) -> torch.Tensor:
    """Membrane potential without threshold, v[t] = decay * v[t-1] + I[t]; (batch, time, neurons)."""
    potential = torch.zeros_like(current[:, 0])
    potentials = []
    for now in current.unbind(1):
        potential = decay * potential + now
        potentials.append(potential)
    return torch.stack(potentials, 1)
