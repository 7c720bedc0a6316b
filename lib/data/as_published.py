"""Whole, part and norm of SHD and SSC as the paper's authors made them (`protocol="paper"`), to the letter.

For comparison only. The construction has flaws that `lib.data.variants` mends: files of different speakers are
merged, statistics see the test samples, part and norm hold different samples, a tenth is never used.
Spikes stay lists throughout, so that SSC (105,000 samples) is never held dense.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numba
import numpy as np

from ..errors import InputError
from .events import BIN_WIDTH_PAPER, Binned, Events
from .variants import MinimumCounts, norm

EDGES = np.linspace(0, 1.4, 100)  # s
BATCH = 256
N_BINS = 200  # 100 and as many empty ones
AT_LEAST = 2
SHARES = {"train": (0.0, 0.6), "validation": (0.6, 0.75), "test": (0.75, 0.9)}


@dataclass(frozen=True)
class Rule:
    """Which samples are removed.

    Attributes:
        rare: a unit that has fewer than two spikes in no more than this share of the samples marks those samples.
        removable: marked samples are removed if they are fewer than this.
    """

    rare: float
    removable: int


RULES = {"shd": Rule(0.01, 2_000), "ssc": Rule(0.02, 20_000)}


def whole(files: Iterable[Events]) -> Binned:
    """All samples in the order of the files; the incomplete last batch of 256 of each file is left out.

    Bin 0 is never used (`numpy.digitize` counts from 1); spikes after 1.4 s fall in bin 99; a bin is 0 or 1.

    Args:
        files: of one data set; an iterator, so that one is held at a time.

    Raises:
        InputError: no file holds 256 samples.
    """
    bins, units, lengths, labels, speakers, keys, n_units = [], [], [], [], [], (), 0
    for events in files:
        keys, n_units = events.keys, events.n_units
        n = len(events) // BATCH * BATCH
        labels.append(events.labels[:n])
        speakers.append(events.speakers[:n])
        for sample in range(n):
            times, unit = events[sample]
            slot = np.minimum(np.digitize(times, EDGES), len(EDGES) - 1)
            cell = np.unique(unit.astype(np.int64) * N_BINS + slot)  # sorted by unit, then bin
            bins.append((cell % N_BINS).astype(np.uint16))
            units.append((cell // N_BINS).astype(np.uint16))
            lengths.append(len(cell))
    if not lengths:
        raise InputError(f"files: none holds {BATCH} samples; the published construction uses whole batches only")
    return Binned(
        bins=np.concatenate(bins),
        units=np.concatenate(units),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=np.concatenate(labels),
        speakers=np.concatenate(speakers),
        keys=keys,
        n_units=n_units,
        n_bins=N_BINS,
        bin_width=BIN_WIDTH_PAPER,
    )


def part_and_norm(data: Binned, rule: Rule, seed: int) -> tuple[Binned, Binned]:
    """Part (all spikes of the surviving units) and norm (as many of them in every sample), each balanced by itself.

    Args:
        data: from `whole`.
        rule: of the data set, from RULES.
        seed: of the surviving spikes and of both balancings; the authors' draws had none.

    Raises:
        InputError: no unit fires in every sample.
    """
    counts = _counts(data.units, data.offsets, data.n_units)
    few = counts < AT_LEAST
    share = few.mean(axis=0)
    marked = few[:, share <= rule.rare].any(axis=1)
    if 0 < marked.sum() < rule.removable:
        data, counts = data.select(np.flatnonzero(~marked)), counts[~marked]
    least = counts.min(axis=0, initial=np.iinfo(np.uint16).max)
    survivors = np.flatnonzero(least > 0)
    if not len(counts) or not len(survivors):
        raise InputError("data: no unit fires in every sample; use more or longer recordings")
    rng = np.random.default_rng(seed)
    kept = norm(data, MinimumCounts(survivors, least[survivors].astype(np.int64), data.n_units), rng)
    number = np.zeros(data.n_units, np.uint16)
    number[survivors] = np.arange(len(survivors))
    taken = (least > 0)[data.units]
    offsets = np.concatenate([[0], np.cumsum(counts[:, survivors].sum(axis=1, dtype=np.int64))])
    part = replace(
        data, bins=data.bins[taken], units=number[data.units[taken]], offsets=offsets, n_units=len(survivors)
    )
    return part.select(_balanced(data.labels, rng)), kept.select(_balanced(data.labels, rng))


def split(data: Binned, part: str) -> Binned:
    """The samples of "train", "validation" or "test": contiguous; the last tenth is in none."""
    start, stop = (int(share * len(data)) for share in SHARES[part])
    return data.select(np.arange(start, stop))


def _balanced(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many samples of every class as the smallest has, in random order."""
    classes, sizes = np.unique(labels, return_counts=True)
    drawn = [rng.choice(np.flatnonzero(labels == label), sizes.min(), replace=False) for label in classes]
    return rng.permutation(np.concatenate(drawn))


@numba.njit(cache=True)
def _counts(units, offsets, n_units):
    """Spikes of every unit in every sample, uint16 (n_samples, n_units): at most 200 of a unit."""
    counts = np.zeros((len(offsets) - 1, n_units), np.uint16)
    for sample in range(len(offsets) - 1):
        for spike in range(offsets[sample], offsets[sample + 1]):
            counts[sample, units[spike]] += 1
    return counts
