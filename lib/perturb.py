"""Perturbations of spike trains that test what a network has learnt from timing.

Every function takes `Events` (before binning) or `Binned` and returns new data of the same kind; the input stays as
it was. Spikes move inside a window: from the first to the last spike of the sample over all units, or, given
`duration_ms`, from 0 to there (synthetic codes use all of it; recorded words do not, and a spike moved into silence
would give away that it was moved). On bins a unit fires at most once a bin, so a moved spike that meets another spike
of its unit is drawn again, and at last goes to the nearest free bin: no spike is lost or merged. Draw training data
anew in every epoch, test data once.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TypeVar

import numba
import numpy as np

from .data.events import Binned, Events
from .errors import InputError
from .kernels.compiled import low_bits, trailing_zeros

Spikes = TypeVar("Spikes", Events, Binned)
TRIES = 50  # draws of a new bin before the nearest free one is taken


def relocate(
    data: Spikes, f: float, rng: np.random.Generator, duration_ms: float | None = None, exact: bool = False
) -> Spikes:
    """Move a fraction f of the spikes to uniform places in the window; every unit keeps its count.

    Paper: the f axis. For speech each spike moves with probability f, for the synthetic codes exactly floor(n f) of
    the n spikes of each unit move (`exact`; where n < 1 / f this moves none, so it is not the default).

    Raises:
        InputError: f is not between 0 and 1, or a spike lies outside `duration_ms`.
    """
    _require(0 <= f <= 1, f"f: {f} is not a fraction; give 0 to 1")
    if exact:
        moved = _exact_share(_trains(data), f, rng)
    else:
        moved = rng.random(len(data.units)) < f
    return _displace(data, moved, np.inf, rng, duration_ms)


def jitter(data: Spikes, sd_ms: float, rng: np.random.Generator, duration_ms: float | None = None) -> Spikes:
    """Move each spike by an independent normal displacement of s.d. `sd_ms`, in ms whatever the bin width.

    A spike that would leave the window is reflected at its edge: then evenly spread spikes stay evenly spread, while
    clipping would pile them up at the edges and drawing again would thin them out there. Displacements on bins are
    rounded to whole bins. Every unit keeps its count.

    Raises:
        InputError: `sd_ms` is negative or not finite, or a spike lies outside `duration_ms`.
    """
    _require(0 <= sd_ms < np.inf, f"sd_ms: {sd_ms} is not a standard deviation; give ms, 0 or more")
    return _displace(data, np.ones(len(data.units), np.bool_), sd_ms, rng, duration_ms)


def jitter_neurons(data: Spikes, sd_ms: float, rng: np.random.Generator, duration_ms: float | None = None) -> Spikes:
    """Move all spikes of a unit in a sample by one normal displacement of s.d. `sd_ms`.

    The order of units is disturbed and the intervals of each unit are kept. What leaves the window on one side comes
    in on the other: that keeps the law of the displacement and every count, and on bins no two spikes can meet. It
    breaks the one interval that lies across the edge. (The original code added 20 bins to every displacement and
    merged spikes at the edges.)

    Raises:
        InputError: `sd_ms` is negative or not finite, or a spike lies outside `duration_ms`.
    """
    _require(0 <= sd_ms < np.inf, f"sd_ms: {sd_ms} is not a standard deviation; give ms, 0 or more")
    place, low, high = _places(data, duration_ms)
    shifts = rng.normal(0, sd_ms * _per_ms(data), (len(data), data.n_units))
    if isinstance(data, Binned):
        shifts = np.rint(shifts)
    sample = _samples(data)
    shift, low, high = shifts[sample, data.units], low[sample], high[sample]
    shifted = place + shift
    outside = (shifted < low) | ((shifted >= high) & (shift != 0))  # the last event itself lies at `high`
    length = np.maximum(high - low, np.finfo(float).tiny)  # a lone event has a window of length 0
    return _with_places(data, np.where(outside, low + (shifted - low) % length, shifted))


def delete(data: Spikes, p: float, rng: np.random.Generator) -> Spikes:
    """Delete each spike independently with probability p.

    Raises:
        InputError: p is not between 0 and 1.
    """
    _require(0 <= p <= 1, f"p: {p} is not a probability; give 0 to 1")
    kept = rng.random(len(data.units)) >= p
    offsets = np.concatenate([[0], np.cumsum(kept)])[data.offsets].astype(np.int64)
    name = _place_field(data)
    return replace(data, **{name: getattr(data, name)[kept]}, units=data.units[kept], offsets=offsets)


def reverse(data: Spikes, duration_ms: float | None = None) -> Spikes:
    """Play every sample backwards inside its window.

    A spike at t moves to first + last - t. Counts, each unit's set of inter-spike intervals, and which spikes
    coincide stay as they are; the order of spikes is flipped. Applied twice, it gives the sample back.
    Paper: time reversal of the test data, between the first and the last spike over all units of a sample.

    Raises:
        InputError: a spike lies outside `duration_ms`.
    """
    return reverse_windows(data, np.inf, duration_ms)


def reverse_windows(data: Spikes, width_ms: float, duration_ms: float | None = None) -> Spikes:
    """Play backwards inside consecutive stretches of `width_ms`, which stay where they are; the last may be shorter.

    It turns the order of near spikes and keeps the course of the sample over longer times. With a given duration it
    undoes itself; otherwise not quite, because the first spike, where the stretches start, moves. On bins the width
    is rounded to whole bins, at least one.

    Raises:
        InputError: the width is not positive, or a spike lies outside `duration_ms`.
    """
    _require(width_ms > 0, f"width_ms: {width_ms} is not a width; give ms above 0")
    place, low, high = _places(data, duration_ms)
    sample = _samples(data)
    low, high = low[sample], high[sample]
    width = width_ms * _per_ms(data)
    if np.isinf(width):
        return _with_places(data, low + high - place)
    if isinstance(data, Binned):
        width = max(np.rint(width), 1.0)
    start = low + np.floor((place - low) / width) * width
    return _with_places(data, start + np.minimum(start + width, high) - place)


PERTURBATIONS = {
    "relocate": relocate,
    "relocate_exact": partial(relocate, exact=True),
    "jitter": jitter,
    "jitter_neurons": jitter_neurons,
    "delete": lambda data, level, rng, duration_ms: delete(data, level, rng),
    "reverse": lambda data, level, rng, duration_ms: reverse(data, duration_ms),
    "reverse_windows": lambda data, level, rng, duration_ms: reverse_windows(data, level, duration_ms),
    "relocate_reversed": lambda data, level, rng, duration_ms: reverse(relocate(data, level, rng, duration_ms)),
}


def apply(name: str, data: Spikes, level: float, rng: np.random.Generator, duration_ms: float | None = None) -> Spikes:
    """Perturb by name; level 0 leaves the data as they are.

    Args:
        name: a key of `PERTURBATIONS`.
        data: samples.
        level: f, s.d. in ms, deletion probability, or width in ms; for "reverse" 1.
        rng: source of every draw.
        duration_ms: end of the window (see the module).

    Raises:
        InputError: the name is unknown, the level makes no sense, or a spike lies outside `duration_ms`.
    """
    _require(name in PERTURBATIONS, f"perturbation: {name!r} is unknown; choose from {', '.join(PERTURBATIONS)}")
    _require(name != "reverse" or level in (0, 1), f"reverse: level {level} makes no sense; give 1 (reversed) or 0")
    return data if level == 0 else PERTURBATIONS[name](data, level, rng, duration_ms)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def _samples(data: Spikes) -> np.ndarray:
    """Sample of every spike."""
    return np.repeat(np.arange(len(data)), np.diff(data.offsets))


def _trains(data: Spikes) -> np.ndarray:
    """A number for the train (sample, unit) of every spike."""
    return _samples(data) * data.n_units + data.units


def _place_field(data: Spikes) -> str:
    return "bins" if isinstance(data, Binned) else "times"


def _per_ms(data: Spikes) -> float:
    """Units of place (bins or seconds) in a millisecond."""
    return 1e-3 / data.bin_width if isinstance(data, Binned) else 1e-3


def _places(data: Spikes, duration_ms: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of all spikes and the window [low, high] of every sample, float64.

    In continuous time a place is a time in seconds. On a grid it is the middle of a bin, in bins, and the window
    ends where its last bin ends, so that reflection, reversal and wrapping read the same in both.
    """
    binned = isinstance(data, Binned)
    place = data.bins + 0.5 if binned else data.times
    margin = 0.5 if binned else 0.0
    if duration_ms is not None:
        end = duration_ms * _per_ms(data)
        end = np.rint(end) if binned else end
        _require(
            place.max(initial=0.0) + margin <= end and (not binned or end <= data.n_bins),
            f"duration_ms: {duration_ms} ms does not hold all spikes or exceeds the grid; give the samples' duration",
        )
        return place, np.zeros(len(data)), np.full(len(data), float(end))
    low, high = _extent(place, data.offsets)
    return place, low - margin, high + margin


def _with_places(data: Spikes, place: np.ndarray) -> Spikes:
    """The data with spikes at other places, in order: on a grid by unit and bin, otherwise by time."""
    if isinstance(data, Binned):
        bins = np.floor(place).astype(data.bins.dtype)
        _sort_trains(bins, data.units, data.offsets)
        return replace(data, bins=bins)
    times, units = _by_time(np.maximum(place, 0.0), data.units, data.offsets)  # rounding may give -1e-17 s
    return replace(data, times=times, units=units)


def _displace(data: Spikes, moved: np.ndarray, sd_ms: float, rng, duration_ms: float | None) -> Spikes:
    """Move spikes by `_draw`, on a grid to free bins."""
    place, low, high = _places(data, duration_ms)
    sd = sd_ms * _per_ms(data)
    if isinstance(data, Events):
        return _with_places(data, _move(place, moved, data.offsets, low, high, sd, rng))
    return replace(
        data, bins=_move_to_free(data.bins, data.units, moved, data.offsets, low, high, sd, data.n_bins, rng)
    )


def _exact_share(train: np.ndarray, f: float, rng: np.random.Generator) -> np.ndarray:
    """Mask of exactly floor(n f) spikes of every train of n; 1e-9 covers products such as 0.29 * 100."""
    counts = np.bincount(train)
    order = np.argsort(train + rng.random(len(train)))  # by train, at random within
    first = np.cumsum(counts) - counts
    rank = np.arange(len(train)) - first[train[order]]
    moved = np.empty(len(train), np.bool_)
    moved[order] = rank < np.floor(counts * f + 1e-9)[train[order]]
    return moved


@numba.njit(cache=True)
def _extent(place, offsets):
    """First and last place of every sample."""
    low, high = np.zeros(len(offsets) - 1), np.zeros(len(offsets) - 1)
    for sample in range(len(low)):
        for spike in range(offsets[sample], offsets[sample + 1]):
            first = spike == offsets[sample]
            low[sample] = place[spike] if first else min(low[sample], place[spike])
            high[sample] = place[spike] if first else max(high[sample], place[spike])
    return low, high


@numba.njit(inline="always")  # a call would count references to `rng`
def _draw(place, low, high, sd, rng):
    """A new place in [low, high]: normal about the old one and reflected at the edges, or uniform (infinite s.d.)."""
    if high == low:
        return low
    if np.isinf(sd):
        return low + (high - low) * rng.random()
    distance = abs(place + sd * rng.standard_normal() - low) % (2 * (high - low))
    return low + min(distance, 2 * (high - low) - distance)


@numba.njit(cache=True)
def _move(place, moved, offsets, low, high, sd, rng):
    new = place.copy()
    for sample in range(len(low)):
        for spike in range(offsets[sample], offsets[sample + 1]):
            if moved[spike]:
                new[spike] = _draw(place[spike], low[sample], high[sample], sd, rng)
    return new


@numba.njit(cache=True)
def _move_to_free(bins, units, moved, offsets, low, high, sd, n_bins, rng):
    """Lift the moved spikes of a train, then put them down one by one in random bins that are free.

    Args:
        bins: different ones in each train.

    Returns:
        The new bins, in order in each train.
    """
    new = np.empty_like(bins)
    taken = np.zeros(-(-n_bins // 8) * 8, np.uint8)
    eights = taken.view(np.uint64)
    for sample in range(len(low)):
        lowest, highest = int(low[sample]), int(high[sample]) - 1
        start = offsets[sample]
        while start < offsets[sample + 1]:
            stop = start
            while stop < offsets[sample + 1] and units[stop] == units[start]:
                taken[bins[stop]] = not moved[stop]
                stop += 1
            for spike in range(start, stop):
                if not moved[spike]:
                    continue
                place = bins[spike] + 0.5
                for _ in range(TRIES):
                    bin_ = min(int(_draw(place, low[sample], high[sample], sd, rng)), highest)
                    if not taken[bin_]:
                        break
                distance = 0
                while taken[bin_]:  # outwards from the last draw, until a bin on either side is free
                    distance += 1
                    for near in (bin_ - distance, bin_ + distance):
                        if lowest <= near <= highest and not taken[near]:
                            bin_ = near
                            break
                taken[bin_] = True
            for first in range(lowest // 8, highest // 8 + 1):  # eight bins at once: faster than sorting
                found, eights[first] = low_bits(eights[first]), 0
                while found:
                    new[start] = 8 * first + trailing_zeros(found)
                    start += 1
                    found &= found - np.uint64(1)
    return new


@numba.njit(cache=True)
def _sort_trains(bins, units, offsets):
    """Sort bins within every run of one unit, in place (insertion: runs are short and nearly in order)."""
    for sample in range(len(offsets) - 1):
        for spike in range(offsets[sample] + 1, offsets[sample + 1]):
            value, gap = bins[spike], spike
            while gap > offsets[sample] and units[gap - 1] == units[spike] and bins[gap - 1] > value:
                bins[gap] = bins[gap - 1]
                gap -= 1
            bins[gap] = value


@numba.njit(cache=True)
def _by_time(times, units, offsets):
    """Times and units of every sample in order of time; simultaneous events stay in the order they had."""
    new_times, new_units = times.copy(), units.copy()
    for sample in range(len(offsets) - 1):
        span = slice(offsets[sample], offsets[sample + 1])
        order = np.argsort(times[span], kind="mergesort")
        new_times[span] = times[span][order]
        new_units[span] = units[span][order]
    return new_times, new_units
