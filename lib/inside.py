"""Looking into a trained network: the spikes of its hidden layers as data that can be drawn, counted and perturbed."""

from __future__ import annotations

import numpy as np

from .data.events import Binned, join
from .data.ragged import distinct_spikes
from .kernels.spikes import SpikeList
from .network import SpikingNetwork
from .train import batch_of


def hidden_spikes(network: SpikingNetwork, data: Binned, layer: int, batch: int = 256) -> Binned:
    """Spikes of hidden layer 1, 2, ... on every sample of `data`, in the bins of the simulation.

    `lib.train.evaluate(network, them, first=layer, n_bins=data.n_bins)` goes on from there.
    """
    pieces = []
    for start in range(0, len(data), batch):
        chosen = np.arange(start, min(start + batch, len(data)))
        pieces.append(_binned(network.hidden_spikes(batch_of(data, chosen), layer), data.select(chosen)))
    return join(pieces)


def _binned(spikes: SpikeList, samples: Binned) -> Binned:
    """Spike lists as `Binned`, with the labels and speakers of `samples`."""
    _, n_steps, n_units = spikes.shape
    first, last = spikes.starts[0, 0], spikes.starts[-1, -1]
    steps = np.repeat(np.tile(np.arange(n_steps), len(samples)), np.diff(spikes.starts).ravel())
    offsets = np.append(spikes.starts[:, 0], last) - first
    bins, units, offsets = distinct_spikes(steps, spikes.units[first:last], offsets, n_steps, n_units)
    return Binned(
        bins=bins,
        units=units,
        offsets=offsets,
        labels=samples.labels,
        speakers=samples.speakers,
        keys=samples.keys,
        n_units=n_units,
        n_bins=n_steps,
        bin_width=samples.bin_width,
    )
