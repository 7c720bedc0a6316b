"""Compiled loops over ragged spike trains: sample i holds the events offsets[i] to offsets[i + 1].

Arrays are copied by loops: numba takes 3 s to compile `a[:] = b`.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def distinct_spikes(slots, units, offsets, n_bins, n_units):
    """The different (unit, bin) of every sample, sorted, without those from `n_bins` on.

    Args:
        slots, units, offsets: bin and unit of every event, sample after sample (as in `Events`).

    Returns:
        bins, units, offsets as in `Binned`.
    """
    bins, kept_units = np.empty(len(slots), np.uint16), np.empty(len(slots), np.uint16)
    kept_offsets = np.zeros(len(offsets), np.int64)
    n = 0
    for sample in range(len(offsets) - 1):
        start = np.zeros(n_units + 1, np.int64)  # of each unit's run, when the events are sorted by unit
        for event in range(offsets[sample], offsets[sample + 1]):
            start[units[event] + 1] += slots[event] < n_bins
        start = np.cumsum(start)
        by_unit, free = np.empty(start[-1], np.int64), start.copy()
        for event in range(offsets[sample], offsets[sample + 1]):
            if slots[event] < n_bins:
                by_unit[free[units[event]]] = slots[event]
                free[units[event]] += 1
        for unit in range(n_units):
            begin, end = start[unit], start[unit + 1]
            for i in range(begin + 1, end):
                if by_unit[i] < by_unit[i - 1]:  # not in order of time
                    by_unit[begin:end].sort()
                    break
            for i in range(begin, end):
                if i == begin or by_unit[i] != by_unit[i - 1]:
                    bins[n], kept_units[n] = by_unit[i], unit
                    n += 1
        kept_offsets[sample + 1] = n
    return bins[:n].copy(), kept_units[:n].copy(), kept_offsets


@numba.njit(cache=True)
def by_time(bins, units, offsets, n_bins):
    """Bins and units of every sample in order of bins; within a bin the order stays."""
    sorted_bins, sorted_units = np.empty_like(bins), np.empty_like(units)
    for sample in range(len(offsets) - 1):
        free = np.zeros(n_bins + 1, np.int64)  # where the next spike of each bin goes
        for spike in range(offsets[sample], offsets[sample + 1]):
            free[bins[spike] + 1] += 1
        free = offsets[sample] + np.cumsum(free)
        for spike in range(offsets[sample], offsets[sample + 1]):
            sorted_bins[free[bins[spike]]] = bins[spike]
            sorted_units[free[bins[spike]]] = units[spike]
            free[bins[spike]] += 1
    return sorted_bins, sorted_units


@numba.njit(cache=True)
def renumber(bins, units, offsets, kept, number):
    """Bins, units and offsets of the spikes where `kept` is true; unit u becomes number[u]."""
    new_bins, new_units, new_offsets = np.empty_like(bins), np.empty_like(units), np.zeros_like(offsets)
    n = 0
    for sample in range(len(offsets) - 1):
        for spike in range(offsets[sample], offsets[sample + 1]):
            new_bins[n], new_units[n] = bins[spike], number[units[spike]]
            n += kept[spike]
        new_offsets[sample + 1] = n
    return new_bins[:n].copy(), new_units[:n].copy(), new_offsets


@numba.njit(cache=True)
def gather(values, offsets, samples, new_offsets):
    """The values of these samples, one after the other."""
    out = np.empty(new_offsets[-1], values.dtype)
    for row in range(len(samples)):
        taken = values[offsets[samples[row]] : offsets[samples[row] + 1]]
        given = out[new_offsets[row] : new_offsets[row + 1]]
        for i in range(len(taken)):
            given[i] = taken[i]
    return out


@numba.njit(cache=True)
def fill(out, bins, units, offsets, samples):
    """Set out[row, bin, unit] to 1 for every spike of samples[row]."""
    for row in range(len(samples)):
        for spike in range(offsets[samples[row]], offsets[samples[row] + 1]):
            out[row, bins[spike], units[spike]] = 1


@numba.njit(cache=True)
def count(out, units, offsets):
    """Add to out[sample, unit] the number of the unit's spikes."""
    for sample in range(len(offsets) - 1):
        for spike in range(offsets[sample], offsets[sample + 1]):
            out[sample, units[spike]] += 1
