"""From a word to two answers: its spikes, perturbed; what a network makes of them; and when it knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .. import perturb
from ..data.events import Binned
from ..errors import InputError
from ..inside import hidden_spikes
from ..kernels import naive
from ..network import SpikingNetwork
from ..train import batch_of, decide


@dataclass(frozen=True)
class Change:
    """What is done to the spikes of a word, in this order.

    Attributes:
        f: share of spikes that are relocated to any bin of the grid, as in the paper's f.
        jitter_ms: standard deviation of every spike's displacement, ms, between the first and the last spike.
        reverse: played backwards, between the first and the last spike.
        seed: of what is random.
    """

    f: float = 0.0
    jitter_ms: float = 0.0
    reverse: bool = False
    seed: int = 0

    def __str__(self) -> str:
        moved = [f"{100 * self.f:.0f} % of the spikes relocated"] if self.f else []
        moved += [f"jitter of {self.jitter_ms:g} ms"] if self.jitter_ms else []
        return ", ".join(moved + (["played backwards"] if self.reverse else [])) or "as spoken"


def changed(word: Binned, change: Change) -> Binned:
    """A word (one sample, or several) with its spikes moved; every unit keeps its count.

    Raises:
        InputError: f is not between 0 and 1, or the jitter is negative or not finite.
    """
    draws = [np.random.default_rng([change.seed, kind]) for kind in (0, 1)]
    moved = perturb.apply("relocate", word, change.f, draws[0], 1e3 * word.n_bins * word.bin_width)
    moved = perturb.apply("jitter", moved, change.jitter_ms, draws[1])
    return perturb.reverse(moved) if change.reverse else moved


@dataclass(frozen=True)
class Response:
    """What a network makes of one word.

    Attributes:
        hidden: spikes of its hidden layers, over as many bins as its delays need.
        evidence: (n_steps, n_classes), for each class up to each bin: the sum of the read-out's potential so far over
            the word's number of bins, thresholds. The last row decides.
        probabilities: (n_classes,), softmax of the last row, which training made large for the right class.
        decision: class of the largest evidence; -1 if two are equal.
    """

    hidden: tuple[Binned, ...]
    evidence: np.ndarray
    probabilities: np.ndarray
    decision: int


@torch.no_grad()
def respond(network: SpikingNetwork, word: Binned) -> Response:
    """The response to one sample.

    Raises:
        InputError: there is not exactly one sample, or its units are not the network's inputs.
    """
    if len(word) != 1 or word.n_units != network.config.n_inputs:
        wanted = f"one sample of {network.config.n_inputs} units"
        raise InputError(f"word: {len(word)} samples of {word.n_units} units; give {wanted} (norm of the digits)")
    layers = range(1, len(network.config.hidden) + 1)
    hidden = tuple(hidden_spikes(network, word, layer) for layer in layers)
    last = batch_of(hidden[-1], np.array([0])).dense(network.weights[-1])
    potential = naive.leaky_integrator(last @ network.weights[-1].mT, network.readout_decay)
    evidence = (potential[0].cumsum(0) / word.n_bins).numpy()
    shares = torch.softmax(torch.from_numpy(evidence[-1]), 0).numpy()
    return Response(hidden, evidence, shares, int(decide(evidence[-1:])[0]))
