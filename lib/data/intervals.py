"""The two synthetic interval codes: inter-spike intervals (ISI) and polychrony (CCISI).

Ten channels hold pairs of spikes at one interval, the lag. In ISI both spikes belong to one unit; in CCISI the second
belongs to another unit, so that the lag lies across units. Three designs say what the class is:

paper: a sample is a point of a plane, spike rate by lag, and the class is the side of an oblique line. Most of the
    class can be read from the lag alone and two thirds from the count. As published, a pair keeps its distance from
    others and is left out if there is no room: a fifth of them at lags to 500 ms, which makes counts tell more.
matched: counts are drawn without regard to the class. ISI: short or long intervals; CCISI: two lags, 0.4 and 0.6 of
    the longest.
comparison: channels 1 to 5 have one lag, 6 to 10 another; the class is which is longer. Neither counts nor all
    intervals thrown together tell it.

Times are whole milliseconds, so a `Binned` with 1-ms bins holds them exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from ..errors import InputError
from .events import Binned

N_CHANNELS = 10
RATES_HZ = np.arange(1, 31) / 10  # pairs a second and channel (paper)
CLASS_NAMES = {"paper": ("above", "below"), "matched": ("short", "long"), "comparison": ("first", "second")}
MARGIN = 2.5  # distance of the paper's points from the boundary; the plane spans 20 by 20
SHARE_OF_LAGS = 0.375  # matched ISI: shortest and longest share of the lags; the middle quarter is left out
LEAST_DIFFERENCE = 0.25  # comparison: of two lags, share of the longest
TRIES = 500  # draws of a start before a pair is left out (paper)


@dataclass(frozen=True)
class IntervalTask:
    """An interval code.

    Attributes:
        code: "isi" (10 units) or "ccisi" (20 units; the second spike of channel c is of unit 2c + 1).
        design: "paper", "matched" or "comparison".
        duration_ms: of a sample.
        longest_ms: lags are 1 to this, ms.
        pairs: fewest and most pairs of a sample. Paper design: spread over channels at random, and None for the
            published 0.1 to 3 Hz in every channel. Other designs: any number between is equally likely and is dealt
            out evenly (comparison: made even, half of it to each half of the channels); fewest = most = multiple of
            10 gives every unit the same count in every sample.

    Raises:
        InputError: a value is not one of these, or does not fit the others.
    """

    code: str
    design: str
    duration_ms: int = 2000
    longest_ms: int = 100
    pairs: tuple[int, int] | None = (1, 30)

    def __post_init__(self) -> None:
        if self.code not in ("isi", "ccisi"):
            raise InputError(f"code: {self.code!r} is not known; choose isi or ccisi")
        if self.design not in CLASS_NAMES:
            raise InputError(f"design: {self.design!r} is not known; choose from {', '.join(CLASS_NAMES)}")
        if self.duration_ms > np.iinfo(np.uint16).max:
            raise InputError(f"duration_ms: {self.duration_ms} ms are too many for bins of 1 ms; give up to 65,535")
        if not 4 <= self.longest_ms < self.duration_ms:
            raise InputError(
                f"longest_ms: {self.longest_ms} is no lag; give 4 to below duration_ms ({self.duration_ms})"
            )
        if self.pairs is None and self.design != "paper":
            raise InputError("pairs: only the paper design has published rates; give the fewest and most pairs")
        if self.pairs is not None and not 0 < self.pairs[0] <= self.pairs[1]:
            raise InputError(f"pairs: {self.pairs} is no range; give the fewest (above 0) and the most")

    @property
    def n_units(self) -> int:
        """Spiking units: 10, or 20 for CCISI."""
        return N_CHANNELS * (2 if self.code == "ccisi" else 1)

    @property
    def groups(self) -> np.ndarray:
        """Which of a sample's lags each channel has, int64 (N_CHANNELS,)."""
        halves = self.design == "comparison"
        return np.repeat([0, 1], N_CHANNELS // 2) if halves else np.zeros(N_CHANNELS, np.int64)


@dataclass(frozen=True)
class IntervalSamples:
    """Generated samples and what they were made from.

    Attributes:
        spikes: on 1-ms bins, labelled; classes are `CLASS_NAMES` of the design.
        lags: int64 (n_samples, 1), or (n_samples, 2) in the comparison design, ms.
        pairs: int64 (n_samples, N_CHANNELS), pairs asked for.
        lost: int64 (n_samples,), pairs that could not be placed (paper design only).
    """

    spikes: Binned
    lags: np.ndarray
    pairs: np.ndarray
    lost: np.ndarray

    @property
    def lost_share(self) -> float:
        """Share of all pairs that could not be placed."""
        return float(self.lost.sum() / self.pairs.sum())


def generate(task: IntervalTask, n_samples: int, rng: np.random.Generator) -> IntervalSamples:
    """Draw samples. Classes are equally frequent, in the paper design as often as they fall.

    Raises:
        InputError: a pair finds no place (matched and comparison designs).
    """
    if task.design == "paper":
        lags, pairs, labels = _paper_samples(task, n_samples, rng)
    else:
        lags, pairs, labels = _balanced_samples(task, n_samples, rng)
    bins, units, offsets, lost = _place(
        pairs, lags[:, task.groups], task.duration_ms, task.code == "isi", task.design == "paper", rng
    )
    if task.design != "paper" and lost.any():
        sample = int(np.flatnonzero(lost)[0])
        raise InputError(
            f"pairs: {lost[sample]} of {pairs[sample].sum()} find no place in {task.duration_ms} ms; "
            "ask for fewer or a longer duration"
        )
    spikes = Binned(
        bins=bins,
        units=units,
        offsets=offsets,
        labels=labels,
        speakers=np.zeros(n_samples, np.int64),
        keys=CLASS_NAMES[task.design],
        n_units=task.n_units,
        n_bins=task.duration_ms,
        bin_width=1e-3,
    )
    return IntervalSamples(spikes, lags, pairs, lost)


def side_of_line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Class of points in [-10, 10]^2: 0 above the line y = -x/2, 1 below, -1 nearer to it than `MARGIN` (paper)."""
    distance = (x + 2 * y) / np.sqrt(5)
    return np.where(distance >= MARGIN, 0, np.where(distance <= -MARGIN, 1, -1))


def combinations(task: IntervalTask) -> tuple[np.ndarray, np.ndarray]:
    """All lags a sample may have in the matched and comparison designs, equally likely within a class.

    Returns:
        lags int64 (n, 1 or 2), ms; class of each, int64 (n,).
    """
    longest = task.longest_ms
    if task.design == "comparison":
        one, other = (grid.ravel() for grid in np.meshgrid(*[np.arange(1, longest + 1)] * 2, indexing="ij"))
        apart = np.abs(one - other) >= LEAST_DIFFERENCE * longest
        lags = np.stack([one[apart], other[apart]], axis=1)
        return lags, (lags[:, 1] > lags[:, 0]).astype(np.int64)
    if task.code == "ccisi":
        return _lag(np.array([[0.4], [0.6]]), longest), np.array([0, 1])
    n = int(SHARE_OF_LAGS * longest)
    short = np.arange(1, n + 1)
    return np.concatenate([short, longest + 1 - short])[:, None], np.repeat([0, 1], n)


def _lag(share: np.ndarray, longest: int) -> np.ndarray:
    """0 to 1 onto the lags 1 to `longest`, evenly."""
    return 1 + np.rint((longest - 1) * share).astype(np.int64)


def _paper_samples(task: IntervalTask, n: int, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of the plane outside the margin: lags, pairs a channel, classes."""
    points = rng.uniform(-10, 10, (2 * n + 100, 2))  # 72 % are kept
    points = points[side_of_line(*points.T) >= 0][:n]
    share = (points + 10) / 20
    if task.pairs is None:
        rate = RATES_HZ[_lag(share[:, 0], len(RATES_HZ)) - 1]
        pairs = np.repeat(np.rint(rate * task.duration_ms / 1000).astype(np.int64)[:, None], N_CHANNELS, axis=1)
    else:
        fewest, most = task.pairs
        total = fewest - 1 + _lag(share[:, 0], most - fewest + 1)
        pairs = rng.multinomial(total, np.full(N_CHANNELS, 1 / N_CHANNELS))
    return _lag(share[:, 1:], task.longest_ms), pairs, side_of_line(*points.T)


def _balanced_samples(task: IntervalTask, n: int, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lags by class, pairs without regard to it: lags, pairs a channel, classes."""
    allowed, classes = combinations(task)
    labels = rng.permutation(n) % 2
    lags = np.empty((n, allowed.shape[1]), np.int64)
    for label in (0, 1):
        of_class = np.flatnonzero(classes == label)
        lags[labels == label] = allowed[rng.choice(of_class, (labels == label).sum())]
    total = rng.integers(task.pairs[0], task.pairs[1] + 1, n)[:, None]
    n_groups = allowed.shape[1]
    n_dealt, share = N_CHANNELS // n_groups, -(-total // n_groups)  # each half gets the same
    rank = rng.permuted(np.tile(np.arange(n_dealt), (n, 1)), axis=1)
    pairs = share // n_dealt + (rank < share % n_dealt)
    return lags, np.tile(pairs, n_groups), labels


@numba.njit(cache=True)
def _place(pairs, lags, duration, one_unit, apart, rng):
    """Spikes of all pairs (sorted by unit and time in every sample), and how many pairs a sample lacks."""
    n_samples, n_channels = pairs.shape
    bins = np.empty(2 * pairs.sum(), np.uint16)
    units = np.empty(len(bins), np.uint16)
    offsets = np.zeros(n_samples + 1, np.int64)
    lost = np.zeros(n_samples, np.int64)
    end = 0
    for sample in range(n_samples):
        for channel in range(n_channels):
            lag = lags[sample, channel]
            starts = np.empty(pairs[sample, channel], np.int64)
            n = 0
            for _ in range(len(starts)):
                start = _free_start(starts[:n], lag, duration, one_unit, apart, rng)
                if start < 0:
                    lost[sample] += 1
                else:
                    starts[n] = start
                    n += 1
            spikes = np.concatenate((starts[:n], starts[:n] + lag))
            if one_unit:
                units[end : end + 2 * n] = channel
                spikes.sort()
            else:
                units[end : end + n] = 2 * channel
                units[end + n : end + 2 * n] = 2 * channel + 1
                spikes[:n].sort()
                spikes[n:].sort()
            for i in range(2 * n):
                bins[end + i] = spikes[i]
            end += 2 * n
        offsets[sample + 1] = end
    return bins[:end].copy(), units[:end].copy(), offsets, lost


@numba.njit(cache=True)
def _free_start(starts, lag, duration, one_unit, apart, rng):
    """A start drawn from those that are free, or -1. The paper gives up after `TRIES`; else none is overlooked."""
    for _ in range(TRIES):
        start = rng.integers(0, duration - lag)
        if _is_free(start, starts, lag, one_unit, apart):
            return start
    if apart:
        return -1
    free = [start for start in range(duration - lag) if _is_free(start, starts, lag, one_unit, apart)]
    return free[rng.integers(0, len(free))] if len(free) else -1


@numba.njit(cache=True)
def _is_free(start, starts, lag, one_unit, apart):
    """Whether no spike of a pair lies within a lag of `start` (`apart`), or only whether no two spikes coincide."""
    for other in starts:
        distance = start - other
        if apart and -lag <= distance <= 2 * lag:  # a spike at `other` or `other + lag` in [start - lag, start + lag]
            return False
        if distance == 0 or (one_unit and abs(distance) == lag):
            return False
    return True
