"""A feed-forward spiking network with axonal delays.

input spikes -> [delay] -> weights -> LIF -> [delay] -> weights -> LIF -> weights -> read-out

One delay belongs to each presynaptic neuron of all weight matrices but the last. The axons of the last hidden layer
feed a read-out that averages over time, which a delay would hardly change: they have none, unless the read-out spikes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from . import kernels
from .kernels.spikes import SpikeList
from .neurons import LIF, SRM, Neuron

TAU_LR = 0.01  # change of log tau a step
RIGHT_SPIKES, WRONG_SPIKES, RATE_STEPS = 40.0, 4.0, 200  # paper, SHD: rates of 0.2 and 0.02 in 200 steps
HIDDEN_RATE = 0.05  # spikes a bin that the initialisation expects of a hidden neuron


@dataclass(frozen=True)
class NetworkConfig:
    """Shape, neurons and delays of a network.

    Attributes:
        n_inputs, hidden, n_classes: numbers of neurons (paper: two hidden layers of 128 for SHD).
        bin_width_ms: duration of a time step, ms.
        tau_ms: membrane time constant of LIF neurons, ms.
        train_tau: each hidden LIF neuron's time constant starts at tau_ms and is trained.
        tau_readout_ms: membrane time constant of the read-out, ms.
        delays: "none", "fixed" (random, never changed) or "trained".
        delay_init_bins: delays start uniformly between 0 and this, bins.
        delay_cap_bins: trained delays stay between 0 and this, bins (paper: 64).
        widen_cap: after many epochs, the cap gives way where most delays press against it (the paper's rule for SHD).
        delayed: layers whose axons have delays: 0 the inputs, 1, 2, ... hidden layers; default all but the last.
        recurrent: each hidden layer's spikes come back to it one step later through trained weights; a GPU
            runs it on naive.
        weight_scale: s.d. of a membrane potential before training, in thresholds.
        input_rate: mean spikes of an input neuron a bin, which the initialisation counts on.
        readout: "membrane" (mean potential of leaky integrators that never spike; cross-entropy) or "count" (spikes of
            neurons; the paper's loss on spike rates).
        neuron: the hidden neurons: LIF, but for their membrane time constant, SRM (the paper's), or one's own.
        backend: of `lib.kernels`.
    """

    n_inputs: int
    n_classes: int
    bin_width_ms: float
    input_rate: float
    hidden: tuple[int, ...] = (128, 128)
    tau_ms: float = 60.0
    train_tau: bool = False
    tau_readout_ms: float = 60.0
    delays: str = "none"
    delay_init_bins: float = 0.0
    delay_cap_bins: float = 64.0
    widen_cap: bool = False
    delayed: tuple[int, ...] | None = None
    recurrent: bool = False
    weight_scale: float = 1.0
    readout: str = "membrane"
    neuron: LIF | SRM | Neuron = LIF()
    backend: str = "auto"

    def __post_init__(self) -> None:
        for field, allowed in (("delays", ("none", "fixed", "trained")), ("readout", ("membrane", "count"))):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field}: {getattr(self, field)!r} is not one of {', '.join(allowed)}")
        if self.train_tau and isinstance(self.neuron, SRM):
            raise ValueError("train_tau: SRM neurons have no membrane time constant to train; choose LIF")
        if self.recurrent and not isinstance(self.neuron, LIF):
            raise ValueError("recurrent: only LIF neurons have recurrent weights; choose these")
        if self.backend in ("cpu", "gpu") and self.backend not in self.fast_kernels:
            raise ValueError(
                f"backend: {self.backend} kernels have no {'recurrent weights' if self.recurrent else 'such neuron'}; "
                "choose auto or naive"
            )
        last = len(self.hidden) - (self.readout == "membrane")
        if any(not 0 <= layer <= last for layer in self.delayed or ()):
            raise ValueError(f"delayed: {self.delayed} are no layers with delays; choose from 0 to {last}")

    @property
    def fast_kernels(self) -> tuple[str, ...]:
        """The fast kernels that know all of it; naive knows everything."""
        if isinstance(self.neuron, Neuron):
            return ()
        return ("cpu",) if self.recurrent else ("cpu", "gpu")

    @property
    def delay_layers(self) -> tuple[int, ...]:
        """Layers whose axons have delays."""
        if self.delays == "none":
            return ()
        return tuple(range(len(self.hidden))) if self.delayed is None else self.delayed


class SpikingNetwork(nn.Module):
    """The network; weights and delays come from `generator`.

    Attributes:
        weights: one matrix (out, in) a layer, no biases, so that without input nothing happens.
        delays: bins, of the inputs and of all hidden layers but the last (unless it is `delayed`); zeros, not trained,
            where there are none between layers that have some; empty without delays.
        recurrent: one matrix (n, n) a hidden layer, or empty.
        log_tau: two vectors, log of ms, of the hidden layers; empty unless time constants are trained.
        hidden_rates: spikes a neuron and sample of every hidden layer, in the last forward pass.
    """

    def __init__(self, config: NetworkConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        sizes = (config.n_inputs, *config.hidden, config.n_classes)
        self.decay = math.exp(-config.bin_width_ms / config.tau_ms)
        self.readout_decay = math.exp(-config.bin_width_ms / config.tau_readout_ms)
        rates = (config.input_rate, *[HIDDEN_RATE] * (len(config.hidden) - 1))
        energy = 1 / (1 - self.decay**2)
        if isinstance(config.neuron, SRM):
            energy = (config.neuron.kernels()[0] ** 2).sum()
        scale = config.weight_scale
        spread = [fluctuation_sd(n, rate, energy, scale) for n, rate in zip(sizes, rates, strict=False)]
        spread.append(1 / math.sqrt(config.hidden[-1]))
        shapes = zip(sizes[1:], sizes[:-1], strict=True)
        self.weights = nn.ParameterList(
            sd * torch.randn(*shape, generator=generator) for sd, shape in zip(spread, shapes, strict=True)
        )
        self.delays = nn.ParameterList()
        if config.delay_layers:
            for layer, n in enumerate(sizes[: max(len(sizes) - 2, config.delay_layers[-1] + 1)]):
                delayed = layer in config.delay_layers
                start = delayed * config.delay_init_bins * torch.rand(n, generator=generator)
                self.delays.append(nn.Parameter(start, requires_grad=delayed and config.delays == "trained"))
        starts = config.hidden if config.train_tau else ()
        self.log_tau = nn.ParameterList(torch.full((n,), math.log(config.tau_ms)) for n in starts)
        own = [fluctuation_sd(n, HIDDEN_RATE, energy, scale) for n in config.hidden if config.recurrent]
        self.recurrent = nn.ParameterList(
            sd * torch.randn(n, n, generator=generator) for sd, n in zip(own, config.hidden, strict=False)
        )
        if config.widen_cap:  # of each layer: cap, and the epoch in which it was last widened
            self.register_buffer("caps", torch.full((len(self.delays),), config.delay_cap_bins))
            self.register_buffer("widened", torch.full((len(self.delays),), 250.0))
        self.hidden_rates: list[float] = []

    def forward(self, batch: SpikeList | torch.Tensor, first: int = 0, n_bins: int | None = None) -> torch.Tensor:
        """Evidence for each class.

        Every delay lengthens the simulation by as many bins as the slowest axon needs, so that no spike is lost. The
        read-out is divided by the bins of the data, not of the simulation: a silent tail does not dilute it.

        Args:
            batch: spikes of the inputs: lists, or (batch, time, n_inputs), 0 or 1.
            first: given spikes of hidden layer 1, 2, ... instead, go on from there.
            n_bins: of the data; default: of the batch.

        Returns:
            (batch, n_classes).
        """
        run, last = self._kernels(), len(self.config.hidden)
        spikes, n_steps = self._propagate(batch, first, last)
        if self.config.readout == "count":
            return run.counts(self._layer(run, spikes, last, n_steps)[0])
        return run.summed_potential(spikes, self.weights[-1], self.readout_decay) / (n_bins or batch.shape[1])

    @torch.no_grad()
    def hidden_spikes(self, batch: SpikeList | torch.Tensor, layer: int) -> SpikeList:
        """Spikes of hidden layer 1, 2, ... on input `batch`; later by the delays before it, so over more time steps."""
        return self._kernels().decode(self._propagate(batch, 0, layer)[0])

    def _propagate(self, batch: SpikeList | torch.Tensor, first: int, last: int):
        """Spikes of layer `last` given those of layer `first` (0: the inputs), and how many steps they take."""
        run, n_steps = self._kernels(), batch.shape[1]
        spikes, rates = run.encode(batch, self.weights[0]), []
        for layer in range(first, last):
            spikes, n_steps = self._layer(run, spikes, layer, n_steps)
            rates.append(run.rate(spikes))
        self.hidden_rates = rates
        return spikes, n_steps

    def _layer(self, run, spikes, layer: int, n_steps: int):
        """Spikes behind a weight matrix, and how many steps they take."""
        delays = self.delays[layer] if layer < len(self.delays) else None
        if delays is not None:
            n_steps += math.ceil(delays.detach().max().item())
        more = {"recurrent": self.recurrent[layer]} if layer < len(self.recurrent) else {}
        neuron = self.config.neuron
        return run.layer(spikes, self.weights[layer], delays, self._decay(layer), neuron, n_steps, **more), n_steps

    def _kernels(self):
        backend, device = self.config.backend, self.weights[0].device
        if backend == "auto" and kernels.FAST.get(device.type) not in self.config.fast_kernels:
            backend = "naive"
        return kernels.choose(backend, device)

    def loss(self, evidence: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """What training lowers: cross-entropy, or of a read-out that spikes the paper's loss on spike rates."""
        return (cross_entropy if self.config.readout == "membrane" else spike_rate_loss)(evidence, labels)

    def _decay(self, layer: int) -> torch.Tensor | None:
        """Of the membranes behind a weight matrix, (neurons,); None: SRM."""
        if isinstance(self.config.neuron, SRM):
            return None
        if layer < len(self.log_tau):
            return torch.exp(-self.config.bin_width_ms * torch.exp(-self.log_tau[layer]))
        return self.weights[layer].new_full((len(self.weights[layer]),), self.decay)

    def parameter_groups(self, lr: float, delay_lr: float, tau_lr: float = TAU_LR) -> list[dict]:
        """Parameters for an optimiser: weights with `lr`, trained delays with their own `delay_lr` (bins a step), and
        trained time constants with `tau_lr` (of their logarithm, a step)."""
        groups = [{"params": [*self.weights, *self.recurrent], "lr": lr}]
        if self.config.delays == "trained":
            groups.append({"params": [delay for delay in self.delays if delay.requires_grad], "lr": delay_lr})
        if self.config.train_tau:
            groups.append({"params": list(self.log_tau), "lr": tau_lr})
        return groups

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep trained delays causal and below their cap; call it after every optimiser step."""
        if self.config.delays == "trained":
            for layer, delay in enumerate(self.delays):
                delay.clamp_(0, self.caps[layer].item() if self.config.widen_cap else self.config.delay_cap_bins)

    @torch.no_grad()
    def end_epoch_(self, epoch: int) -> None:
        """Widen caps, if the configuration says so: the authors' rule.

        More than 150 epochs after epoch 250 or after the last time (the first epoch is 1): if 15 % of a layer's delays
        (floored) lie within 5 bins of the longest, its cap becomes that plus 1.
        """
        if not self.config.widen_cap:
            return
        for layer, delay in enumerate(self.delays):
            if not delay.requires_grad or epoch - self.widened[layer] <= 150:
                continue
            floored = delay.floor().sort().values
            if floored[math.ceil(0.85 * len(delay)) - 1] > floored[-1] - 5:
                self.caps[layer], self.widened[layer] = floored[-1] + 1, epoch


def spike_rate_loss(counts: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """SLAYER's "SpikeRate" as the paper sets it: 40 spikes of the right class, 4 of the others, in 200 steps.

    Half the squared distance to these counts over 200, summed over classes, mean over samples. (The paper sums over
    samples too; Adam does not see the difference.)

    Args:
        counts: output spikes, (batch, n_classes).
        labels: (batch,).
    """
    wanted = torch.full_like(counts, WRONG_SPIKES).scatter(1, labels[:, None], RIGHT_SPIKES)
    return ((counts - wanted) ** 2).sum(dim=1).mean() / 2 / RATE_STEPS


def fluctuation_sd(n_inputs: int, rate: float, energy: float, scale: float) -> float:
    """Standard deviation of zero-mean weights that makes a membrane potential fluctuate by `scale` thresholds.

    n independent inputs of `rate` spikes a bin give Var[v] = n rate E[w^2] energy, with energy the sum of squares of
    the potential that one spike leaves, 1 / (1 - decay^2) of a LIF neuron (fluctuation-driven initialisation:
    Rossbroich, Gygax, Zenke 2022, Neuromorph. Comput. Eng. 2, 044016).
    """
    return scale / math.sqrt(n_inputs * rate * energy)
