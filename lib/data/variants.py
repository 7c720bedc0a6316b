"""Whole, part and norm: the same utterances with all their spikes, and with nothing left in their rates.

*norm* (paper, section on timing-only data sets): every unit keeps the same number of spikes in every sample, so
spike counts say nothing about the class; only the times of the spikes that survive do. *whole* keeps everything,
*part* all spikes of the units that survive in norm. *norm_aligned* (ours) is norm with time stretched so that every
sample begins and ends in the same bins: norm's duration still tells something of the class, and with fixed counts
a duration is a mean rate.

This is the strict protocol: which units stay and how many spikes each keeps is decided on the training voices
alone; a validation or test sample that has too few spikes is dropped and counted; all variants use the same
samples. The original construction took minima over training, validation and test samples together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba
import numpy as np

from ..errors import InputError
from . import ragged
from .events import BIN_WIDTH_PAPER, Binned

VARIANTS = ("whole", "part", "norm", "norm_aligned")
ALIGNED_S = 50 * BIN_WIDTH_PAPER  # ours: 0.71 s, about as long as a digit


@dataclass(frozen=True)
class MinimumCounts:
    """How many spikes each surviving unit keeps.

    Attributes:
        units: int64 (n_kept,), the surviving units' numbers in the original data, ascending.
        counts: int64 (n_kept,), spikes that each of them keeps in every sample.
        n_units: units of the original data.
    """

    units: np.ndarray
    counts: np.ndarray
    n_units: int

    def enough(self, data: Binned) -> np.ndarray:
        """bool (n_samples,): does every surviving unit have its number of spikes?"""
        return (data.counts()[:, self.units] >= self.counts).all(axis=1)


def minimum_counts(training: Binned, at_least: int = 2, rare: float = 0.01, removable: float = 0.2) -> MinimumCounts:
    """Minimum spike counts over the training samples (the paper's rule, on training voices only).

    A unit that falls below `at_least` in no more than a share `rare` of the samples costs those samples, not the
    unit: they are set aside, if they are fewer than a share `removable` of all. Then a unit survives if its minimum
    over the remaining samples is `at_least` or more. (The original code kept minima of 1 too.)

    Args:
        training: binned training samples.
        at_least: spikes a unit must have in every sample (paper: 2).
        rare: share of samples (paper: 0.01 for SHD).
        removable: share of samples (paper: 2,000 of 9,984).

    Raises:
        InputError: no unit survives.
    """
    return minimum_of_counts(training.counts(), at_least, rare, removable)


def minimum_of_counts(
    counts: np.ndarray, at_least: int = 2, rare: float = 0.01, removable: float = 0.2
) -> MinimumCounts:
    """As `minimum_counts`, from the spike counts of the training samples, (n_samples, n_units)."""
    n_units = counts.shape[1]
    few = counts < at_least
    share = few.mean(axis=0)
    poor = few[:, (share > 0) & (share <= rare)].any(axis=1)
    if poor.mean() < removable:
        counts = counts[~poor]
    minimum = counts.min(axis=0) if len(counts) else np.zeros(n_units, np.int64)
    units = np.flatnonzero(minimum >= at_least)
    if len(units) == 0:
        raise InputError(f"training data: no unit has {at_least} spikes in every sample; use more or longer recordings")
    return MinimumCounts(units, minimum[units].astype(np.int64), n_units)


@dataclass(frozen=True)
class Dropped:
    """Samples of a part that fall below the minimum counts.

    Attributes:
        total: samples before.
        by_class: int64 (n_classes,), dropped samples a class.
        by_speaker: {speaker: dropped samples}.
    """

    total: int
    by_class: np.ndarray
    by_speaker: dict[int, int]

    @property
    def share(self) -> float:
        """Share of the part that was dropped."""
        return float(self.by_class.sum() / self.total)


def keep_enough(data: Binned, minimum: MinimumCounts) -> tuple[Binned, Dropped]:
    """The samples of a part that have enough spikes, and a count of those that have not."""
    enough = minimum.enough(data)
    by_class = np.bincount(data.labels[~enough], minlength=len(data.keys))
    speakers = {int(s): int((~enough[data.speakers == s]).sum()) for s in np.unique(data.speakers)}
    return data.select(np.flatnonzero(enough)), Dropped(len(data), by_class, speakers)


def norm(data: Binned, minimum: MinimumCounts, rng: np.random.Generator) -> Binned:
    """Keep `minimum.counts` spikes of each surviving unit, drawn without replacement, in every sample.

    Args:
        data: samples that have enough spikes (`keep_enough`).
        minimum: surviving units and their spike counts.
        rng: draws which spikes survive; draw anew each epoch in training, once for validation and test.

    Returns:
        Binned spikes of the surviving units, renumbered 0 to n_kept - 1; `counts()` is the same in every row.

    Raises:
        InputError: a sample has too few spikes.
    """
    quota = np.zeros(data.n_units, np.int64)
    quota[minimum.units] = minimum.counts
    kept, offsets = _draw(data.units, data.offsets, quota, rng)
    short = np.flatnonzero(np.diff(offsets) < minimum.counts.sum())
    if len(short):
        raise InputError(f"sample {short[0]}: fewer spikes than the minimum counts ask; drop it with keep_enough first")
    units = _new_numbers(minimum, data.units.dtype)[data.units[kept]]
    return replace(data, bins=data.bins[kept], units=units, offsets=offsets, n_units=len(minimum.units))


def part(data: Binned, minimum: MinimumCounts) -> Binned:
    """All spikes of the surviving units, renumbered as in `norm`."""
    survives = np.zeros(data.n_units, bool)
    survives[minimum.units] = True
    number = _new_numbers(minimum, data.units.dtype)
    bins, units, offsets = ragged.renumber(data.bins, data.units, data.offsets, survives[data.units], number)
    return replace(data, bins=bins, units=units, offsets=offsets, n_units=len(minimum.units))


def align(data: Binned, n_bins: int | None = None) -> Binned:
    """Shift and stretch time so that every sample's first spike is in bin 0 and its last in bin n_bins - 1.

    Without `n_bins`, to 0.71 s.

    Bins are rounded to the nearest. A spike that would merge with another of its unit goes to the nearest free bin,
    the earlier of two, so that all counts stay as they are. Nothing is drawn.

    Raises:
        InputError: a sample has no two different bins, or a unit more spikes than there are bins.
    """
    n_bins = n_bins or round(ALIGNED_S / data.bin_width)
    bins = np.empty_like(data.bins)
    failed = _align(data.bins.astype(np.int64), data.units, data.offsets, n_bins, bins)
    if failed >= 0:
        raise InputError(f"sample {failed}: its spikes cannot be spread over {n_bins} bins; drop it or use more bins")
    return replace(data, bins=bins, n_bins=n_bins)


def make_variant(name: str, data: Binned, minimum: MinimumCounts, rng: np.random.Generator) -> Binned:
    """`data` (samples with enough spikes) as one of VARIANTS; `rng` as in `norm`.

    Raises:
        InputError: there is no such variant; or as `norm` and `align`.
    """
    if name not in VARIANTS:
        raise InputError(f"variant: {name!r} is not a variant; choose from {', '.join(VARIANTS)}")
    if name == "whole":
        return data
    if name == "part":
        return part(data, minimum)
    drawn = norm(data, minimum, rng)
    return align(drawn) if name == "norm_aligned" else drawn


def _new_numbers(minimum: MinimumCounts, kind: np.dtype) -> np.ndarray:
    """Old number of a unit -> its number among those that survive, 0 to n_kept - 1; of the others 0."""
    number = np.zeros(minimum.n_units, kind)
    number[minimum.units] = np.arange(len(minimum.units))
    return number


@numba.njit(cache=True)
def _align(bins, units, offsets, n_bins, out):
    """Fill `out` with the aligned bins; the first sample that cannot be aligned, or -1."""
    for sample in range(len(offsets) - 1):
        start, end = offsets[sample], offsets[sample + 1]
        if start == end or bins[start:end].min() == bins[start:end].max():
            return sample
        first, span = bins[start:end].min(), bins[start:end].max() - bins[start:end].min()
        while start < end:
            taken = np.zeros(n_bins, np.bool_)
            stop = start
            while stop < end and units[stop] == units[start]:
                target = (2 * (bins[stop] - first) * (n_bins - 1) + span) // (2 * span)
                if stop - start == n_bins:
                    return sample
                taken[_nearest_free(taken, target)] = True
                stop += 1
            for bin_ in np.flatnonzero(taken):
                out[start] = bin_
                start += 1
    return -1


@numba.njit(cache=True)
def _nearest_free(taken, target):
    """The bin next to `target` that is not taken; of two, the earlier."""
    for distance in range(len(taken)):
        if target - distance >= 0 and not taken[target - distance]:
            return target - distance
        if target + distance < len(taken) and not taken[target + distance]:
            return target + distance
    return -1


@numba.njit(cache=True)
def _draw(units, offsets, quota, rng):
    """Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S) inside each unit's run of spikes.

    Returns:
        The numbers of the spikes that are kept, and where among them each sample begins and ends.
    """
    kept, new_offsets, n = np.empty(quota.sum() * (len(offsets) - 1), np.int64), np.zeros_like(offsets), 0
    for sample in range(len(offsets) - 1):
        start, end = offsets[sample], offsets[sample + 1]
        while start < end:
            unit = units[start]
            stop = start
            while stop < end and units[stop] == unit:
                stop += 1
            wanted = quota[unit]
            for spike in range(start, stop):
                if wanted == 0:
                    break
                kept[n] = spike
                take = rng.random() * (stop - spike) < wanted
                n += take
                wanted -= take
            start = stop
        new_offsets[sample + 1] = n
    return kept[:n], new_offsets
