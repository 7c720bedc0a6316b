"""What is timed: one step of training (forward, backward, Adam) on random spikes. NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

DECAY = math.exp(-1 / 20)  # of every membrane: a time constant of 20 bins
SLOPE = 10.0  # of the surrogate gradient
LR = 1e-4  # so small that rates stay where they start
GAIN = 1.0  # s.d. of a hidden membrane potential, in thresholds: hidden rates of some per cent
HIDDEN_RATE = 0.03  # spikes a bin, which the weights of deeper layers count on


@dataclass(frozen=True)
class Task:
    """A network, a batch and a duration.

    Attributes:
        sizes: neurons of inputs, hidden layers and classes.
        batch: samples.
        n_bins: time steps of the data.
        longest_delay: trained axonal delays of inputs and of all hidden layers but the last, bins; 0: none.
        density: spikes of an input a bin.
    """

    sizes: tuple[int, ...]
    batch: int
    n_bins: int
    longest_delay: int = 0
    density: float = 0.03

    @property
    def neuron_steps(self) -> int:
        """Updates of a neuron in one step of training, without those that delays add at the end."""
        return self.batch * self.n_bins * sum(self.sizes[1:])


SPEECH, INTERVALS = (700, 128, 128, 20), (20, 100, 2)  # SHD's shape; the synthetic interval code's
BATCH = {SPEECH: 128, INTERVALS: 32}
SHAPES = {"S": (SPEECH, 0), "D": (SPEECH, 25), "C": (INTERVALS, 0), "CD": (INTERVALS, 25)}
TASKS = {
    f"{name} {n_bins}": Task(sizes, BATCH[sizes], n_bins, longest)
    for name, (sizes, longest) in SHAPES.items()
    for n_bins in (100, 250, 1000)
}


@dataclass(frozen=True)
class Problem:
    """A task with its numbers, the same for every contestant.

    Attributes:
        task: what they belong to.
        sample, unit, bin: int64, one entry a spike, sorted in this order.
        labels: int64 (batch,).
        weights: float32 (out, in), one a layer.
        delays: float32 (in,), bins, one a delayed layer; empty without delays.
    """

    task: Task
    sample: np.ndarray
    unit: np.ndarray
    bin: np.ndarray
    labels: np.ndarray
    weights: list[np.ndarray]
    delays: list[np.ndarray]

    def dense(self) -> np.ndarray:
        """Spikes as float32 (n_bins, batch, n_inputs): time first, as most libraries want them."""
        spikes = np.zeros((self.task.n_bins, self.task.batch, self.task.sizes[0]), np.float32)
        spikes[self.bin, self.sample, self.unit] = 1
        return spikes


def problem(task: Task, seed: int = 0) -> Problem:
    """Draw spikes, labels, weights and delays."""
    rng = np.random.default_rng(seed)
    n_inputs, n_classes = task.sizes[0], task.sizes[-1]
    spikes = [np.nonzero(rng.random((n_inputs, task.n_bins), np.float32) < task.density) for _ in range(task.batch)]
    rates = [task.density, *[HIDDEN_RATE] * (len(task.sizes) - 3)]
    spread = [GAIN * math.sqrt((1 - DECAY**2) / (n * rate)) for n, rate in zip(task.sizes, rates, strict=False)]
    spread.append(1 / math.sqrt(task.sizes[-2]))
    shapes = zip(task.sizes[1:], task.sizes[:-1], strict=True)
    delayed = task.sizes[:-2] if task.longest_delay else ()
    return Problem(
        task=task,
        sample=np.repeat(np.arange(task.batch), [len(unit) for unit, _ in spikes]),
        unit=np.concatenate([unit for unit, _ in spikes]),
        bin=np.concatenate([bin_ for _, bin_ in spikes]),
        labels=rng.integers(n_classes, size=task.batch),
        weights=[(sd * rng.standard_normal(s)).astype(np.float32) for sd, s in zip(spread, shapes, strict=True)],
        delays=[(task.longest_delay * rng.random(n)).astype(np.float32) for n in delayed],
    )
