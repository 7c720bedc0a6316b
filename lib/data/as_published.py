"""Whole, part and norm of SHD and SSC as the paper's authors made them (`protocol="paper"`), to the letter.

For comparison only. The construction has flaws that `lib.data.variants` mends: files of different speakers are
merged, statistics see the test samples, part and norm hold different samples, a tenth is never used.
Spikes stay lists throughout, and SSC (105,000 samples) can be read in chunks: then it is never held whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import variants
from .events import BIN_WIDTH_PAPER, Binned, Events, join, read_shd_chunks
from .ragged import distinct_spikes
from .shd import find
from .variants import MinimumCounts

EDGES = np.linspace(0, 1.4, 100)  # s
BATCH = 256
N_BINS = 200  # 100 and as many empty ones
AT_LEAST = 2
ORDER = {
    "shd": ("shd_train.h5", "shd_test.h5"),
    "ssc": ("ssc_train.h5", "ssc_test.h5", "ssc_valid.h5"),
}
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


def batches(data: str, folder: str | Path) -> Iterator[Events]:
    """The samples of all files of "shd" or "ssc" in the authors' order, a batch at a time.

    Raises:
        InputError: a file is missing or damaged.
    """
    return (chunk for name in ORDER[data] for chunk in read_shd_chunks(find(name, Path(folder)), BATCH))


def whole_chunks(files: Iterable[Events]) -> Iterator[Binned]:
    """As `whole`, one chunk for each of `files`, for data that are too large to be held."""
    for events in files:
        n = len(events) // BATCH * BATCH
        slots = np.minimum(np.digitize(events.times, EDGES), len(EDGES) - 1)
        bins, units, offsets = distinct_spikes(slots, events.units, events.offsets[: n + 1], N_BINS, events.n_units)
        yield Binned(
            bins=bins,
            units=units,
            offsets=offsets,
            labels=events.labels[:n],
            speakers=events.speakers[:n],
            keys=events.keys,
            n_units=events.n_units,
            n_bins=N_BINS,
            bin_width=BIN_WIDTH_PAPER,
        )


def whole(files: Iterable[Events]) -> Binned:
    """All samples in the order of the files; the incomplete last batch of 256 of each file is left out.

    Bin 0 is never used (`numpy.digitize` counts from 1); spikes after 1.4 s fall in bin 99; a bin is 0 or 1.

    Args:
        files: of one data set, or chunks of them of 256 samples or multiples (`batches`); one is held at a time.

    Raises:
        InputError: no file holds 256 samples.
    """
    data = join(whole_chunks(files))
    in_whole_batches([len(data)])
    return data


def in_whole_batches(sizes: list[int]) -> int:
    """Samples that are used, of files (or chunks of `batches`) with so many samples each.

    Raises:
        InputError: there is no whole batch.
    """
    n = sum(size // BATCH * BATCH for size in sizes)
    if not n:
        raise InputError(f"files: none holds {BATCH} samples; the published construction uses whole batches only")
    return n


def part_and_norm(data: Binned, rule: Rule, seed: int) -> tuple[Binned, Binned]:
    """Part (all spikes of the surviving units) and norm (as many of them in every sample), each balanced by itself.

    Args:
        data: from `whole`.
        rule: of the data set, from RULES.
        seed: of the surviving spikes and of both balancings; the authors' draws had none.

    Raises:
        InputError: no unit fires in every sample.
    """
    return part_and_norm_of_chunks(lambda: [data], rule, seed)


def part_and_norm_of_chunks(chunks: Callable[[], Iterable[Binned]], rule: Rule, seed: int) -> tuple[Binned, Binned]:
    """As `part_and_norm`, in three passes over data that are too large to be held.

    Args:
        chunks: called once a pass; `lambda: whole_chunks(batches(data, folder))`. Their size changes nothing.
        rule, seed: as in `part_and_norm`.
    """
    counts, labels = zip(*((chunk.counts(np.uint16), chunk.labels) for chunk in chunks()), strict=True)
    kept, minimum = _survivors(np.concatenate(counts), rule)
    kept_labels = np.concatenate(labels)[kept]
    rng = np.random.default_rng(seed)

    def balanced(variant: Callable[[Binned], Binned]) -> Binned:
        drawn = kept[_balanced(kept_labels, rng)]
        ranks = np.argsort(np.argsort(drawn))  # where a chosen sample is among all that are chosen
        return join(variant(samples) for samples in rows(chunks(), drawn)).select(ranks)

    part = balanced(lambda chosen: variants.part(chosen, minimum))
    return part, balanced(lambda chosen: variants.norm(chosen, minimum, rng))


def rows(chunks: Iterable[Binned], chosen: np.ndarray) -> Iterator[Binned]:
    """The samples with these numbers, in ascending order, chunk by chunk."""
    first = 0
    for chunk in chunks:
        inside = (chosen >= first) & (chosen < first + len(chunk))
        yield chunk.select(np.sort(chosen[inside]) - first)
        first += len(chunk)


def _survivors(counts: np.ndarray, rule: Rule) -> tuple[np.ndarray, MinimumCounts]:
    """Samples that are not removed, and the units that fire in all of them. Raises InputError if there is none."""
    few = counts < AT_LEAST
    marked = few[:, few.mean(axis=0) <= rule.rare].any(axis=1)
    kept = np.flatnonzero(~marked) if 0 < marked.sum() < rule.removable else np.arange(len(counts))
    least = counts[kept].min(axis=0, initial=np.iinfo(counts.dtype).max)
    units = np.flatnonzero(least)
    if not len(kept) or not len(units):
        raise InputError("data: no unit fires in every sample; use more or longer recordings")
    return kept, MinimumCounts(units, least[units].astype(np.int64), counts.shape[1])


def split(data: Binned, part: str) -> Binned:
    """The samples of "train", "validation" or "test": contiguous; the last tenth is in none."""
    return data.select(span(len(data), part))


def span(n: int, part: str) -> np.ndarray:
    """The numbers of a part's samples among `n`."""
    return np.arange(*(int(share * n) for share in SHARES[part]))


def _balanced(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many samples of every class as the smallest has, in random order."""
    classes, sizes = np.unique(labels, return_counts=True)
    drawn = [rng.choice(np.flatnonzero(labels == label), sizes.min(), replace=False) for label in classes]
    return rng.permutation(np.concatenate(drawn))
