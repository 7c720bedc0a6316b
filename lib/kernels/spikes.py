"""Binary spike trains of a batch as lists, ordered by sample and time step. Nothing is dense."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch


@dataclass(frozen=True)
class SpikeList:
    """The neurons that spike, step after step.

    Attributes:
        units: uint16 (n_spikes,), neurons.
        starts: int64 (batch, n_steps + 1); sample b, step t has units[starts[b, t] : starts[b, t + 1]].
        n_units: neurons that could have spiked.
    """

    units: np.ndarray
    starts: np.ndarray
    n_units: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(batch, n_steps, n_units)."""
        return len(self.starts), self.starts.shape[1] - 1, self.n_units

    @classmethod
    def of_events(
        cls, steps: np.ndarray, units: np.ndarray, offsets: np.ndarray, n_steps: int, n_units: int
    ) -> SpikeList:
        """From the spikes of one sample after the other, in any order within a sample.

        Args:
            steps, units: uint16 (n_spikes,).
            offsets: int64 (batch + 1,); sample b owns offsets[b] to offsets[b + 1] - 1.
        """
        ordered, starts = np.empty_like(units), np.empty((len(offsets) - 1, n_steps + 1), np.int64)
        _order(steps, units, offsets, ordered, starts)
        return cls(ordered, starts, n_units)

    @classmethod
    def of_dense(cls, spikes: torch.Tensor) -> SpikeList:
        """From (batch, time, neurons), 0 or 1."""
        sample, steps, units = (index.cpu().numpy() for index in spikes.nonzero(as_tuple=True))
        offsets = np.searchsorted(sample, np.arange(len(spikes) + 1))
        return cls.of_events(steps.astype(np.uint16), units.astype(np.uint16), offsets, *spikes.shape[1:])

    def dense(self, like: torch.Tensor) -> torch.Tensor:
        """(batch, time, neurons), 0 or 1, of the type and on the device of `like`."""
        spikes = np.zeros(self.shape, np.uint8)
        _fill(self.units, self.starts, spikes)
        return torch.from_numpy(spikes).to(like)


@numba.njit(cache=True)
def _order(steps, units, offsets, ordered, starts):
    n_steps = starts.shape[1] - 1
    for b in range(len(offsets) - 1):
        cursor = np.zeros(n_steps + 1, np.int64)
        for i in range(offsets[b], offsets[b + 1]):
            cursor[steps[i] + 1] += 1
        starts[b, 0] = offsets[b]
        for t in range(n_steps):
            starts[b, t + 1] = starts[b, t] + cursor[t + 1]
        for t in range(n_steps):
            cursor[t] = starts[b, t]
        for i in range(offsets[b], offsets[b + 1]):
            ordered[cursor[steps[i]]] = units[i]
            cursor[steps[i]] += 1


@numba.njit(cache=True)
def _fill(units, starts, spikes):
    for b in range(spikes.shape[0]):
        for t in range(spikes.shape[1]):
            for i in range(starts[b, t], starts[b, t + 1]):
                spikes[b, t, units[i]] = 1
