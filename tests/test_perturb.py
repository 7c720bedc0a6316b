"""Time reversal keeps everything but the order of spikes."""

import numpy as np
from samples import random_binned

from lib.perturb import reverse


def test_reversal_is_an_involution():
    """Reversing twice gives the sample back, spike by spike; the input is untouched."""
    data = random_binned(seed=0, n_samples=20, n_units=15, rate=0.1)
    before = data.bins.copy()
    twice = reverse(reverse(data))
    assert (twice.bins == data.bins).all() and (twice.units == data.units).all()
    assert (data.bins == before).all()


def test_reversal_flips_the_active_window():
    """A spike in bin b moves to first + last - b of its own sample: checked on dense arrays."""
    data = random_binned(seed=1, n_samples=10, n_units=6, rate=0.05)
    forwards, backwards = data.dense(np.arange(10)), reverse(data).dense(np.arange(10))
    for one, other in zip(forwards, backwards, strict=True):
        active = np.flatnonzero(one.any(axis=1))
        window = slice(active[0], active[-1] + 1)
        assert (other[window] == one[window][::-1]).all()
        assert other.sum() == one.sum()


def test_reversal_keeps_counts_intervals_and_coincidences():
    """Counts, each unit's multiset of intervals and how many units fire together stay; only order changes."""
    data = random_binned(seed=2, n_samples=12, n_units=9, rate=0.15)
    flipped = reverse(data)
    assert (flipped.counts() == data.counts()).all() and (flipped.labels == data.labels).all()
    for sample in range(12):
        one, other = data.dense([sample])[0], flipped.dense([sample])[0]
        for unit in range(9):
            intervals = [np.sort(np.diff(np.flatnonzero(x[:, unit]))) for x in (one, other)]
            assert (intervals[0] == intervals[1]).all()
        assert sorted(one.sum(axis=1)) == sorted(other.sum(axis=1))
    assert (flipped.bins != data.bins).any()


def test_a_sample_without_spikes_stays_empty():
    """Empty samples pass through; their neighbours are reversed as alone."""
    data = random_binned(seed=3, n_samples=3, n_units=5, rate=0.2)
    holed = random_binned(seed=3, n_samples=3, n_units=5, rate=0.2, empty=(1,))
    flipped = reverse(holed)
    assert flipped.counts()[1].sum() == 0
    assert (flipped.dense([2]) == reverse(data.select(np.array([2]))).dense([0])).all()
