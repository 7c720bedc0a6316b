"""Binning against numpy's histogram."""

from __future__ import annotations

import numpy as np
import pytest

from lib.data.events import Events, bin_events


@pytest.mark.parametrize("seed", range(5))
def test_bins_are_numpy_s_histogram(seed):
    """Where binning finds spikes, `numpy.histogram2d` over units and bins counts one or more; what was merged, and what
    lies outside, is what the histogram counts beyond one, and does not count."""
    rng = np.random.default_rng(seed)
    width, n_bins, n_units = rng.uniform(0.002, 0.02), 40, 6
    trains = [(rng.uniform(0, 1.3 * n_bins * width, n), rng.integers(0, n_units, n)) for n in (0, 1, 300, 2000)]
    events = Events.from_list(trains, [0] * 4, [0] * 4, ["word"], n_units)
    binned, report = bin_events(events, width, n_bins)
    edges = (np.arange(n_bins + 1) * width, np.arange(n_units + 1) - 0.5)
    counts = np.stack([np.histogram2d(*train, bins=edges)[0] for train in trains])
    np.testing.assert_array_equal(binned.dense(np.arange(4)), counts > 0)
    assert report.n_shared == (counts - (counts > 0)).sum()
    assert report.n_outside == len(events.times) - counts.sum() > 0
