"""Training: surrogate gradients, Adam, one-cycle schedule, best epoch on validation voices.

Nothing here can see the test part: `train` is handed training samples and validation samples, and the reader of the
parts opens one file a part (`lib.data.speech`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from .data.events import Binned
from .kernels.spikes import SpikeList
from .network import NetworkConfig, SpikingNetwork
from .scores import balanced_accuracy


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    Attributes:
        epochs: passes over the training samples.
        batch: samples a step.
        lr: peak learning rate of the weights.
        delay_lr: peak learning rate of the delays, bins.
        clip: largest norm of the gradient.
    """

    epochs: int
    batch: int = 128  # paper: 128 for SHD
    lr: float = 2e-3
    delay_lr: float = 0.3
    clip: float = 1.0


@dataclass
class Trained:
    """A trained network at its best epoch, and how it got there.

    Attributes:
        network: with the weights of `best_epoch`.
        best_epoch: the epoch of highest validation balanced accuracy (the lower loss decides ties).
        loss, validation_accuracy: one value an epoch.
    """

    network: SpikingNetwork
    best_epoch: int = -1
    loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)


def train(
    network_config: NetworkConfig,
    config: TrainingConfig,
    samples: Callable[[int], Binned],
    validation: Binned,
    seed: int,
    device: str = "cpu",
) -> Trained:
    """Train one network.

    Args:
        network_config: its shape, neuron and delays.
        config: optimiser.
        samples: epoch -> training samples of that epoch (so that surviving spikes can be drawn anew).
        validation: samples of the validation voices.
        seed: of weights, delays and the order of samples (separate streams).
        device: "cpu" or "cuda".

    Raises:
        FloatingPointError: the loss is not a number.
    """
    weights = torch.Generator().manual_seed(seed)
    order = np.random.default_rng([seed, 1])
    network = SpikingNetwork(network_config, weights).to(device)
    groups = network.parameter_groups(config.lr, config.delay_lr)
    optimiser = torch.optim.Adam(groups)
    n_steps = -(-len(samples(0)) // config.batch) * config.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [group["lr"] for group in groups], n_steps)
    trained = Trained(network)
    best = (-1.0, 0.0)
    state: dict[str, torch.Tensor] = {}
    for epoch in range(config.epochs):
        epoch_loss = _epoch(network, samples(epoch), config, optimiser, schedule, order, device)
        accuracy, validation_loss = evaluate(network, validation, device)
        trained.loss.append(epoch_loss)
        trained.validation_accuracy.append(accuracy)
        if (accuracy, -validation_loss) > best:
            best, trained.best_epoch = (accuracy, -validation_loss), epoch
            state = copy.deepcopy(network.state_dict())
    network.load_state_dict(state)
    return trained


def _epoch(network, data, config, optimiser, schedule, order, device) -> float:
    """One pass over `data` in a new order; returns the mean loss."""
    total = 0.0
    shuffled = order.permutation(len(data))
    for start in range(0, len(data), config.batch):
        chosen = shuffled[start : start + config.batch]
        logits = network(batch_of(data, chosen))
        loss = cross_entropy(logits, torch.from_numpy(data.labels[chosen]).to(device))
        if not torch.isfinite(loss):
            raise FloatingPointError("training diverged: the loss is not a number; lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        optimiser.step()
        network.clamp_()
        schedule.step()
        total += loss.item() * len(chosen)
    return total / len(data)


def batch_of(data: Binned, chosen: np.ndarray) -> SpikeList:
    """The spikes of these samples as a network takes them: lists, never dense."""
    samples = data.select(chosen)
    return SpikeList.of_events(samples.bins, samples.units, samples.offsets, data.n_bins, data.n_units)


@torch.no_grad()
def predict(network: SpikingNetwork, data: Binned, device: str = "cpu", batch: int = 256) -> np.ndarray:
    """Logits, float32 (n_samples, n_classes)."""
    pieces = [
        network(batch_of(data, np.arange(start, min(start + batch, len(data))))).cpu().numpy()
        for start in range(0, len(data), batch)
    ]
    return np.concatenate(pieces)


def decide(logits: np.ndarray) -> np.ndarray:
    """The class of the largest logit, or -1 where two are equally large (a silent output decides nothing)."""
    best = logits.max(axis=1, keepdims=True)
    return np.where((logits == best).sum(axis=1) == 1, logits.argmax(axis=1), -1)


def evaluate(network: SpikingNetwork, data: Binned, device: str = "cpu") -> tuple[float, float]:
    """Balanced accuracy and mean cross-entropy on `data`."""
    logits = predict(network, data, device)
    loss = cross_entropy(torch.from_numpy(logits), torch.from_numpy(data.labels)).item()
    return balanced_accuracy(decide(logits), data.labels), loss
