"""Training of networks in event time: surrogate gradients, Adam, one-cycle schedule, a fixed number of epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from .data.events import Events
from .event_network import EventNetwork, EventNetworkConfig

WARM_UP = 0.15  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class EventTrainingConfig:
    """How a network in event time is trained.

    Attributes:
        epochs: passes over the training samples.
        batch: samples a step.
        lr: peak learning rate of the weights.
        tau_lr: peak learning rate of the log time constants.
        delay_lr: peak learning rate of the delays, ms; a hundredth of the longest lag suits a wide start.
        clip: largest norm of the gradient of the input weights.
    """

    epochs: int = 20
    batch: int = 64
    lr: float = 5e-3
    tau_lr: float = 2e-2
    delay_lr: float = 1.0
    clip: float = 1.0


def train_events(
    network_config: EventNetworkConfig,
    config: EventTrainingConfig,
    samples: Callable[[int], Events],
    seed: int,
) -> tuple[EventNetwork, list[float]]:
    """Train one network.

    Args:
        network_config: its shape, neurons and delays.
        config: optimiser.
        samples: epoch -> training samples of that epoch, always as many (so that they can be drawn anew).
        seed: of the network's start and the order of samples (separate streams).

    Returns:
        The network after the last epoch, and the mean loss of each epoch.

    Raises:
        FloatingPointError: the loss or its gradient is not a number.
    """
    network = EventNetwork(network_config, torch.Generator().manual_seed(seed))
    order = np.random.default_rng([seed, 1])
    groups = network.parameter_groups(config.lr, config.tau_lr, config.delay_lr)
    optimiser = torch.optim.Adam(groups, fused=True)  # one compiled call for all parameters: these steps are short
    n_steps = -(-len(samples(0)) // config.batch) * config.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [group["lr"] for group in groups], n_steps, pct_start=WARM_UP
    )
    losses = [_epoch(network, samples(epoch), config, optimiser, schedule, order) for epoch in range(config.epochs)]
    return network, losses


def _epoch(network, data, config, optimiser, schedule, order) -> float:
    """One pass over `data` in a new order; returns the mean loss."""
    total = 0.0
    shuffled = order.permutation(len(data))
    for start in range(0, len(data), config.batch):
        batch = data.select(shuffled[start : start + config.batch])
        loss = cross_entropy(network(batch), torch.from_numpy(batch.labels))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([network.weight], config.clip)
        if not torch.isfinite(loss + norm):  # potentials that are not numbers never spike: the loss alone looks sound
            raise FloatingPointError("training diverged: loss or gradient is not a number; lower the learning rate")
        optimiser.step()
        network.clamp_()
        schedule.step()
        total += loss.item() * len(batch)
    return total / len(data)


@torch.no_grad()
def predict(network: EventNetwork, data: Events, batch: int = 256) -> np.ndarray:
    """Logits, (n_samples, n_classes)."""
    starts = range(0, len(data), batch)
    return np.concatenate([network(data.select(np.arange(i, min(i + batch, len(data))))).numpy() for i in starts])
