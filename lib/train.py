"""Training: surrogate gradients, Adam, one-cycle schedule, best epoch on validation samples.

Both kinds of network are trained here: on bins (`lib.network`) and in event time (`lib.event_network`). Nothing here can see the test part: `train` is handed training samples and validation samples, and the reader of the
parts opens one file a part (`lib.data.speech`).
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from .data.events import Binned, Events
from .errors import InputError, RunFailed
from .event_network import EventNetwork, EventNetworkConfig
from .files import write_atomically
from .kernels.spikes import SpikeList
from .network import NetworkConfig, SpikingNetwork
from .scores import balanced_accuracy

CHECKPOINT_EVERY = 10.0  # s, at least: what an interruption may cost


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    Attributes:
        epochs: passes over the training samples.
        batch: samples a step.
        lr: peak learning rate of the weights.
        delay_lr: peak learning rate of the delays, bins (in event time: ms).
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

    network: SpikingNetwork | EventNetwork
    best_epoch: int = -1
    loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)


def train(
    network_config: NetworkConfig | EventNetworkConfig,
    config: TrainingConfig,
    samples: Callable[[int], Binned | Events],
    validation: Binned | Events,
    seed: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
) -> Trained:
    """Train one network.

    Args:
        network_config: its shape, neuron and delays.
        config: optimiser.
        samples: epoch -> training samples of that epoch (so that surviving spikes can be drawn anew); `Binned`, or
            `Events` for a network in event time.
        validation: samples that choose the best epoch (of speech: those of the validation voices).
        seed: of weights and delays (torch), and of the order of samples (numpy, [seed, 1]).
        device: "cpu" or "cuda".
        checkpoint: file of the state between two epochs. Training goes on from it, to the same bits as without
            an interruption; None: nothing is kept.

    Raises:
        InputError: no epochs, an empty batch, or no samples.
        RunFailed: the loss or its gradient is not a number.
    """
    if config.epochs < 1 or config.batch < 1:
        raise InputError(f"epochs, batch: {config.epochs} and {config.batch} train nothing; give 1 or more")
    kind = EventNetwork if isinstance(network_config, EventNetworkConfig) else SpikingNetwork
    network = kind(network_config, torch.Generator().manual_seed(seed)).to(device)
    groups = network.parameter_groups(config.lr, config.delay_lr)
    optimiser = torch.optim.Adam(groups)
    n_steps = -(-len(samples(0)) // config.batch) * config.epochs
    if not n_steps:
        raise InputError("samples: there are none to train on")
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [group["lr"] for group in groups], n_steps)
    progress = Progress(network, optimiser, schedule, np.random.default_rng([seed, 1]))
    if checkpoint is not None:
        progress.load(checkpoint, device)
    saved = time.monotonic()
    for epoch in range(len(progress.loss), config.epochs):
        progress.loss.append(_epoch(progress, samples(epoch), config, device))
        network.end_epoch_(epoch + 1)
        progress.judge(evaluate(network, validation, device))
        if checkpoint is not None and time.monotonic() - saved >= CHECKPOINT_EVERY:
            progress.save(checkpoint)
            saved = time.monotonic()
    network.load_state_dict(progress.best_state)
    return Trained(network, progress.best_epoch, progress.loss, progress.accuracy)


class Progress:
    """All that training changes: what a checkpoint holds between two epochs.

    Args:
        network, optimiser, schedule: of the training.
        order: draws the order of samples.

    Attributes:
        loss, accuracy: one value an epoch; accuracy is balanced, on validation samples.
        best: accuracy and negative loss on validation samples at `best_epoch`.
        best_state: the network's state there, a copy.
    """

    def __init__(self, network, optimiser, schedule, order: np.random.Generator) -> None:
        self.network, self.optimiser, self.schedule, self.order = network, optimiser, schedule, order
        self.loss: list[float] = []
        self.accuracy: list[float] = []
        self.best, self.best_epoch = (-1.0, 0.0), -1
        self.best_state: dict[str, torch.Tensor] = {}

    def judge(self, validation: Evaluation) -> None:
        """Note an epoch's validation scores; keep a copy of the network if it is the best so far."""
        self.accuracy.append(validation.accuracy)
        if (validation.accuracy, -validation.loss) > self.best:
            self.best, self.best_epoch = (validation.accuracy, -validation.loss), len(self.accuracy) - 1
            self.best_state = copy.deepcopy(self.network.state_dict())

    def save(self, path: Path) -> None:
        """Write everything, whole or not at all."""
        state = {name: getattr(self, name).state_dict() for name in ("network", "optimiser", "schedule")}
        state |= {name: getattr(self, name) for name in ("loss", "accuracy", "best", "best_epoch", "best_state")}
        content = io.BytesIO()
        torch.save(state | {"order": json.dumps(self.order.bit_generator.state)}, content)
        with write_atomically(path) as temporary:
            temporary.write_bytes(seal(content.getvalue()))

    def load(self, path: Path, device: str) -> None:
        """Go back to what was saved, if anything was; a damaged file is said and left aside.

        Raises:
            InputError: it is whole, but of something else.
        """
        try:
            content = unseal(path.read_bytes())
        except FileNotFoundError:  # never there, or just removed by another process that has finished this run
            return
        if content is None:
            warnings.warn(f"{path}: damaged checkpoint, training starts anew", stacklevel=3)
            return
        try:
            state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            for name in ("network", "optimiser", "schedule"):
                getattr(self, name).load_state_dict(state[name])
            for name in ("loss", "accuracy", "best", "best_epoch", "best_state"):
                setattr(self, name, state[name])
            self.order.bit_generator.state = json.loads(state["order"])
        except Exception as error:  # there is no end to what a file of another hand can be
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:120]
            raise InputError(f"{path}: no checkpoint of this training ({reason}); delete it") from None


def seal(content: bytes) -> bytes:
    """A line with the SHA-256 of the content, and the content."""
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def unseal(sealed: bytes) -> bytes | None:
    """The content, if not a byte has changed."""
    content = sealed[len(seal(b"")) :]
    return content if sealed == seal(content) else None


def weights_checksum(network: torch.nn.Module) -> str:
    """SHA-256 of all parameters, as bytes: equal if and only if two networks are equal to the bit."""
    digest = hashlib.sha256()
    for name, values in sorted(network.state_dict().items()):
        digest.update(name.encode() + values.cpu().numpy().tobytes())
    return digest.hexdigest()


def _epoch(progress: Progress, data: Binned | Events, config: TrainingConfig, device: str) -> float:
    """One pass over `data` in a new order; returns the mean loss."""
    network, optimiser = progress.network, progress.optimiser
    total = 0.0
    shuffled = progress.order.permutation(len(data))
    for start in range(0, len(data), config.batch):
        chosen = shuffled[start : start + config.batch]
        logits = network(batch_of(data, chosen))
        loss = network.loss(logits, torch.from_numpy(data.labels[chosen]).to(device))
        network.zero_grad()
        loss.backward()
        slope = torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        value = loss.item()
        if not math.isfinite(value + slope.item()):
            raise RunFailed("training diverged: loss or gradient is not a number; lower the learning rate")
        optimiser.step()
        network.clamp_()
        progress.schedule.step()
        total += value * len(chosen)
    return total / len(data)


def batch_of(data: Binned | Events, chosen: np.ndarray) -> SpikeList | Events:
    """The spikes of these samples as a network takes them: lists, never dense."""
    samples = data.select(chosen)
    if isinstance(samples, Events):
        return samples
    return SpikeList.of_events(samples.bins, samples.units, samples.offsets, data.n_bins, data.n_units)


class Evaluation(NamedTuple):
    """Scores of a network on samples: balanced accuracy, mean loss, spikes a hidden neuron and sample, and
    the class that it decided for in every sample (-1: none)."""

    accuracy: float
    loss: float
    hidden_rates: list[float]
    decisions: np.ndarray


def decide(logits: np.ndarray) -> np.ndarray:
    """The class of the largest logit, or -1 where two are equally large (a silent output decides nothing)."""
    best = logits.max(axis=1, keepdims=True)
    return np.where((logits == best).sum(axis=1) == 1, logits.argmax(axis=1), -1)


@torch.no_grad()
def evaluate(
    network: SpikingNetwork | EventNetwork,
    data: Binned | Events,
    device: str = "cpu",
    batch: int = 256,
    **from_layer: int,
) -> Evaluation:
    """Score a network on `data`, `batch` samples at a time.

    Args:
        from_layer: `first` and `n_bins` of `SpikingNetwork.forward`, if `data` are spikes of a hidden layer.

    Raises:
        InputError: there are no samples.
    """
    if not len(data):
        raise InputError("data: there are no samples to score")
    logits, rates = [], []
    for start in range(0, len(data), batch):
        chosen = np.arange(start, min(start + batch, len(data)))
        logits.append(network(batch_of(data, chosen), **from_layer).cpu())
        rates.append(len(chosen) * np.array(network.hidden_rates, np.float64))
    loss = network.loss(torch.cat(logits), torch.from_numpy(data.labels)).item()
    decisions = decide(torch.cat(logits).numpy())
    accuracy = balanced_accuracy(decisions, data.labels)
    return Evaluation(accuracy, loss, (sum(rates) / len(data)).tolist(), decisions)
