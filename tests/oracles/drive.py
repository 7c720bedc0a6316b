"""Input for all oracles, and our spikes for it."""

from __future__ import annotations

import numpy as np
import torch

from lib.kernels import cpu, naive

N_STEPS, N_NEURONS = 200, 30


def current(seed: int, mean: float, spread: float) -> np.ndarray:
    """Input of every neuron in every step, (N_STEPS, N_NEURONS), float64."""
    rng = np.random.default_rng(seed)
    return rng.normal(mean, spread, (N_STEPS, N_NEURONS)) * (rng.random((N_STEPS, N_NEURONS)) < 0.5)


def our_spikes(drive: np.ndarray, neuron, decay: np.ndarray | None, kernel=naive) -> np.ndarray:
    """Spikes of a layer, 0 or 1, (N_STEPS, N_NEURONS): one input unit a step, whose weights are the drive."""
    steps = torch.eye(len(drive), dtype=torch.float64)[None]
    weight = torch.from_numpy(drive.T.copy())
    decay = None if decay is None else torch.from_numpy(decay)
    out = kernel.layer(kernel.encode(steps, weight), weight, None, decay, neuron, len(drive))
    return (out.lists.dense(weight) if kernel is cpu else out)[0].numpy()


def decays(seed: int) -> np.ndarray:
    """One a neuron, of time constants from 2 to 30 steps."""
    return np.exp(-1 / np.random.default_rng([seed, 1]).uniform(2, 30, N_NEURONS))
