"""A spiking network in event time, for tasks with few input spikes: inter-spike intervals, polychrony, coincidence.

input events -> axonal delays -> weights -> one layer of LIF neurons -> spike counts -> linear read-out

Its cost depends on the number of events, not on the duration, and delays are continuous (`kernels.event_time_naive`
says what is computed and what is differentiated). Delays of the hidden layer would change nothing: a count does not
depend on when its spikes arrive.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy, linear

from .data.events import Events
from .errors import InputError
from .kernels import event_time, event_time_naive

TAU_LR = 2e-2  # peak learning rate of the log time constants; ours, of a prototype
ENGINES = {"cpu": event_time, "naive": event_time_naive}


@dataclass(frozen=True)
class EventNetworkConfig:
    """Shape, neurons and delays of a network in event time.

    Attributes:
        n_inputs, hidden, n_classes: numbers of neurons.
        tau_ms: membrane time constant at the start, ms.
        tau_spread: s.d. of the neurons' log time constants at the start; 0: all equal.
        train_tau: learn one time constant a neuron; otherwise they stay as they start.
        weight_mean, weight_sd: of the normal distribution of the input weights, in thresholds.
        count_scale: the read-out sees spike counts times this (0.1 where a neuron spikes more than about 20 times).
        delays: "none", "fixed" (random, never changed) or "trained".
        delay_init_ms: delays start uniformly between 0 and this, ms.
        delay_cap_ms: trained delays stay between 0 and this, ms.
        slope: of the surrogate gradient.
        backend: "cpu" (compiled) or "naive" (the specification).
    """

    n_inputs: int
    n_classes: int
    hidden: int = 100
    tau_ms: float = 50.0
    tau_spread: float = 0.0
    train_tau: bool = True
    weight_mean: float = 0.3
    weight_sd: float = 0.4
    count_scale: float = 1.0
    delays: str = "none"
    delay_init_ms: float = 0.0
    delay_cap_ms: float = 100.0
    slope: float = 5.0
    backend: str = "cpu"

    def __post_init__(self) -> None:
        for field, allowed in (("delays", ("none", "fixed", "trained")), ("backend", tuple(ENGINES))):
            if getattr(self, field) not in allowed:
                raise InputError(f"{field}: {getattr(self, field)!r} is not known; choose from {', '.join(allowed)}")
        if not 0 <= self.delay_init_ms <= self.delay_cap_ms:
            raise InputError(f"delay_init_ms: {self.delay_init_ms} is not between 0 and delay_cap_ms; raise the cap")


class EventNetwork(nn.Module):
    """The network; weights, time constants and delays come from `generator`.

    Attributes:
        weight: (hidden, n_inputs), no biases, so that without input nothing happens.
        log_tau: (hidden,), natural logarithm of the membrane time constants in ms.
        delays: (n_inputs,), ms; zeros without delays.
        readout: linear, from hidden spike counts to classes.
        hidden_rates: [spikes a hidden neuron and sample in the last forward pass].
    """

    def __init__(self, config: EventNetworkConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config

        def normal(mean: float, sd: float, *shape: int) -> torch.Tensor:
            return mean + sd * torch.randn(*shape, generator=generator)

        self.weight = nn.Parameter(normal(config.weight_mean, config.weight_sd, config.hidden, config.n_inputs))
        log_tau = normal(math.log(config.tau_ms), config.tau_spread, config.hidden)
        self.log_tau = nn.Parameter(log_tau, requires_grad=config.train_tau)
        bound = 1 / math.sqrt(config.hidden)  # torch's own choice for linear layers
        self.readout = nn.Linear(config.hidden, config.n_classes)
        with torch.no_grad():
            for parameter in self.readout.parameters():
                parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1) * bound)
        longest = 0.0 if config.delays == "none" else config.delay_init_ms
        start = longest * torch.rand(config.n_inputs, generator=generator)
        self.delays = nn.Parameter(start, requires_grad=config.delays == "trained")
        self.hidden_rates: list[float] = []

    def forward(self, events: Events) -> torch.Tensor:
        """Evidence for each class, (samples, n_classes); of a `stack` (networks, samples, n_classes).

        Raises:
            InputError: the events are not of `n_inputs` units.
        """
        n_inputs = self.config.n_inputs
        if events.n_units != n_inputs:
            raise InputError(f"n_inputs: {n_inputs}, but the events have {events.n_units} units; make them agree")
        engine = ENGINES[self.config.backend]
        counts = engine.spike_counts(
            events.times * 1e3, events.units, events.offsets, self.weight, self.log_tau, self.delays, self.config.slope
        )
        self.hidden_rates = [counts.detach().mean().item() if len(counts) else 0.0]
        counts, readout = counts * self.config.count_scale, self.readout
        if counts.ndim == 2:
            return readout(counts)
        # Copied, and gradients too (times 1): the bits of a matrix product depend on where in memory its factors begin
        each = zip(counts, readout.weight, readout.bias, strict=True)
        return torch.stack([linear(*(values.clone() for values in one)) * 1 for one in each])

    def loss(self, evidence: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """What training lowers, of one network: cross-entropy of evidence (samples, n_classes)."""
        return cross_entropy(evidence, labels)

    def parameter_groups(self, lr: float, delay_lr: float) -> list[dict]:
        """For an optimiser: weights, log time constants and delays (ms), each with its own rate; fixed ones stay."""
        weights = [self.weight, *self.readout.parameters()]
        groups = (weights, lr), ([self.log_tau], TAU_LR), ([self.delays], delay_lr)
        return [{"params": params, "lr": rate} for params, rate in groups]

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keep delays causal and below their cap; call it after every optimiser step."""
        self.delays.clamp_(0, self.config.delay_cap_ms)

    def end_epoch_(self, epoch: int) -> None:
        """Nothing changes between epochs."""


def stack(networks: Sequence[EventNetwork]) -> EventNetwork:
    """Several networks of one configuration as one, with a leading axis on every parameter, for training side by side.

    A step of small networks is mostly the overhead of its calls, which they now share. It takes the first network's
    samples, then as many of the next one's, and computes each network to the bits that it has alone. Their own
    parameters become views of the new ones, so that they change with them.
    """
    stacked = copy.deepcopy(networks[0])
    for name, parameter in stacked.named_parameters():
        own = [network.get_parameter(name) for network in networks]
        parameter.data = torch.stack([values.data for values in own])
        for values, view in zip(own, parameter.data, strict=True):
            values.data = view
    return stacked
