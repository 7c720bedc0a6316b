"""Perturbations of spike trains that test what a network has learnt from timing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .data.events import Binned
from .errors import InputError


def reverse(data: Binned) -> Binned:
    """Play every sample backwards between its first and its last spike.

    A spike in bin b moves to first + last - b. Counts, each unit's set of inter-spike intervals, and which spikes
    coincide stay as they are; the order of spikes is flipped. Applied twice, it gives the sample back.
    Paper: time reversal of the test data; `first` and `last` are taken over all units of a sample.

    Args:
        data: binned samples.

    Returns:
        The reversed samples; the input is left as it was.
    """
    sample = np.repeat(np.arange(len(data)), np.diff(data.offsets))
    bins = data.bins.astype(np.int64)
    first = np.full(len(data), np.iinfo(np.int64).max)
    last = np.full(len(data), -1)
    np.minimum.at(first, sample, bins)
    np.maximum.at(last, sample, bins)
    flipped = (first + last)[sample] - bins
    order = np.lexsort((flipped, data.units, sample))
    return replace(data, bins=flipped[order].astype(data.bins.dtype))


def apply(name: str, data: Binned, level: float, rng: np.random.Generator) -> Binned:
    """The perturbation `name` at `level`; draws come from `rng`.

    Raises:
        InputError: there is no such perturbation.
    """
    if name != "reverse":
        raise InputError(f"perturbation: {name!r} is unknown; choose from reverse")
    return reverse(data)
