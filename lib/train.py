"""Training: surrogate gradients, Adam, one-cycle schedule, best epoch on validation samples.

Both kinds of network are trained here: on bins (`lib.network`) and in event time (`lib.event_network`). Nothing here can see the test part: `train` is handed training samples and validation samples, and the reader of the
parts opens one file a part (`lib.data.speech`).
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from .data.events import Binned, Events, concatenate
from .errors import InputError, RunFailed
from .event_network import EventNetwork, EventNetworkConfig, stack
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
    (trained,) = train_together(network_config, config, [samples], [validation], [seed], device, checkpoint)
    if isinstance(trained, RunFailed):
        raise trained
    return trained


def train_together(
    network_config: NetworkConfig | EventNetworkConfig,
    config: TrainingConfig,
    samples: Sequence[Callable[[int], Binned | Events]],
    validation: Sequence[Binned | Events],
    seeds: Sequence[int],
    device: str = "cpu",
    checkpoint: Path | None = None,
) -> list[Trained | RunFailed]:
    """Train networks of one configuration side by side, each to the bits that `train` gives it alone.

    Args:
        network_config: of networks in event time, if there are several.
        config: optimiser.
        samples, validation, seeds: one a network, see `train`; as many training samples for each.
        device, checkpoint: see `train`; a checkpoint holds all these networks.

    Returns:
        One a network; RunFailed if its loss or gradient was not a number. The others go on.

    Raises:
        InputError: no epochs, an empty batch, no samples, or not as many for each network.
    """
    if config.epochs < 1 or config.batch < 1:
        raise InputError(f"epochs, batch: {config.epochs} and {config.batch} train nothing; give 1 or more")
    kind = EventNetwork if isinstance(network_config, EventNetworkConfig) else SpikingNetwork
    networks = [kind(network_config, torch.Generator().manual_seed(seed)).to(device) for seed in seeds]
    network = networks[0] if len(networks) == 1 else stack(networks)
    groups = network.parameter_groups(config.lr, config.delay_lr)
    optimiser = torch.optim.Adam(groups)
    sizes = {len(draw(0)) for draw in samples}
    if len(sizes) != 1 or 0 in sizes:
        raise InputError(f"samples: {sorted(sizes)} to train on; give every network the same number, 1 or more")
    n_steps = -(-sizes.pop() // config.batch) * config.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [group["lr"] for group in groups], n_steps)
    progress = Progress(network, optimiser, schedule, [Course(np.random.default_rng([seed, 1])) for seed in seeds])
    if checkpoint is not None:
        progress.load(checkpoint, device)
    saved, drawn = time.monotonic(), []
    for epoch in range(len(progress.courses[0].loss), config.epochs):
        before, drawn = drawn, [draw(epoch) for draw in samples]
        if not before or any(new is not old for new, old in zip(drawn, before, strict=True)):
            data = drawn[0] if len(drawn) == 1 else concatenate(drawn)
        _epoch(progress, data, config, device)
        if all(course.diverged for course in progress.courses):
            break
        network.end_epoch_(epoch + 1)
        for course, member, judged_on in zip(progress.courses, networks, validation, strict=True):
            course.judge(member, evaluate(member, judged_on, device))
        if checkpoint is not None and time.monotonic() - saved >= CHECKPOINT_EVERY:
            progress.save(checkpoint)
            saved = time.monotonic()
    return [course.end(member) for course, member in zip(progress.courses, networks, strict=True)]


class Course:
    """How the training of one network goes.

    Args:
        order: draws the order of samples.

    Attributes:
        loss, accuracy: one value an epoch; accuracy is balanced, on validation samples.
        best: accuracy and negative loss on validation samples at `best_epoch`.
        best_state: the network's state there, a copy.
        diverged: whether its loss or gradient was not a number.
    """

    def __init__(self, order: np.random.Generator) -> None:
        self.order = order
        self.loss: list[float] = []
        self.accuracy: list[float] = []
        self.best, self.best_epoch = (-1.0, 0.0), -1
        self.best_state: dict[str, torch.Tensor] = {}
        self.diverged = False

    def judge(self, network: SpikingNetwork | EventNetwork, validation: Evaluation) -> None:
        """Note an epoch's validation scores; keep a copy of the network if it is the best so far."""
        self.accuracy.append(validation.accuracy)
        if (validation.accuracy, -validation.loss) > self.best:
            self.best, self.best_epoch = (validation.accuracy, -validation.loss), len(self.accuracy) - 1
            self.best_state = {name: values.clone() for name, values in network.state_dict().items()}

    def end(self, network: SpikingNetwork | EventNetwork) -> Trained | RunFailed:
        """The network as it was in its best epoch."""
        if self.diverged:
            return RunFailed("training diverged: loss or gradient is not a number; lower the learning rate")
        network.load_state_dict(self.best_state)
        return Trained(network, self.best_epoch, self.loss, self.accuracy)

    def state_dict(self) -> dict:
        """All of it, for a checkpoint."""
        return vars(self) | {"order": json.dumps(self.order.bit_generator.state)}

    def load_state_dict(self, state: dict) -> None:
        """Go back to it. Raises KeyError if something is missing."""
        self.order.bit_generator.state = json.loads(state["order"])
        for name in vars(self).keys() - {"order"}:
            setattr(self, name, state[name])


class Progress:
    """All that training changes: what a checkpoint holds between two epochs.

    Args:
        network, optimiser, schedule: of the training.
        courses: one a network that is trained side by side.
    """

    def __init__(self, network, optimiser, schedule, courses: list[Course]) -> None:
        self.network, self.optimiser, self.schedule, self.courses = network, optimiser, schedule, courses

    def save(self, path: Path) -> None:
        """Write everything, whole or not at all."""
        state = {name: getattr(self, name).state_dict() for name in ("network", "optimiser", "schedule")}
        content = io.BytesIO()
        torch.save(state | {"courses": [course.state_dict() for course in self.courses]}, content)
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
            warnings.warn(f"{path}: damaged checkpoint, training starts anew", stacklevel=4)
            return
        try:
            state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            for name in ("network", "optimiser", "schedule"):
                getattr(self, name).load_state_dict(state[name])
            for course, saved in zip(self.courses, state["courses"], strict=True):
                course.load_state_dict(saved)
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


def _epoch(progress: Progress, data: Binned | Events, config: TrainingConfig, device: str) -> None:
    """One pass over every network's samples in a new order; `data` holds those of one network after the other.

    Notes the mean loss in each course, and whether it has diverged; once all have, it ends.
    """
    network, courses = progress.network, progress.courses
    n = len(data) // len(courses)
    firsts = n * np.arange(len(courses))[:, None]
    shuffled = firsts + np.stack([course.order.permutation(n) for course in courses])
    totals = [0.0] * len(courses)
    for start in range(0, n, config.batch):
        chosen = shuffled[:, start : start + config.batch]
        labels = torch.from_numpy(data.labels[chosen]).to(device)
        evidence = network(batch_of(data, chosen.ravel())).reshape(*labels.shape, -1)
        losses = [network.loss(*each) for each in zip(evidence, labels, strict=True)]
        network.zero_grad()
        sum(losses).backward()
        slopes = clip_(network, len(courses), config.clip)
        for r, (course, loss, slope) in enumerate(zip(courses, losses, slopes.tolist(), strict=True)):
            totals[r] += loss.item() * chosen.shape[1]
            course.diverged |= not math.isfinite(totals[r] + slope)
        if all(course.diverged for course in courses):
            return
        progress.optimiser.step()
        network.clamp_()
        progress.schedule.step()
    for course, total in zip(courses, totals, strict=True):
        course.loss.append(total / n)


def clip_(network: SpikingNetwork | EventNetwork, n_networks: int, largest: float) -> torch.Tensor:
    """Scale the gradient of each network of a stack down to a norm of `largest`; returns the norms, (n_networks,)."""
    grads = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(grad.reshape(n_networks, -1), dim=1) for grad in grads], 1)
    norm = torch.linalg.vector_norm(norms, dim=1)
    scale = (largest / (norm + 1e-6)).clamp(max=1.0)  # to the bits of torch.nn.utils.clip_grad_norm_
    for grad in grads:
        grad.mul_(scale.view(-1, *[1] * (grad.ndim - 1)))
    return norm


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
