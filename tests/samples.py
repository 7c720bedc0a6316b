"""Small random data sets for the tests."""

from __future__ import annotations

import numpy as np

from lib.data.events import Binned


def random_binned(
    seed: int, n_samples: int, n_units: int, rate: float, n_bins: int = 50, n_classes: int = 4, empty: tuple = ()
) -> Binned:
    """Independent binary spikes: each (bin, unit) cell is filled with probability `rate`; labels go round."""
    rng = np.random.default_rng(seed)
    dense = rng.random((n_samples, n_units, n_bins)) < rate
    dense[list(empty)] = False
    sample, unit, bin_ = np.nonzero(dense)
    return Binned(
        bins=bin_.astype(np.uint16),
        units=unit.astype(np.uint16),
        offsets=np.searchsorted(sample, np.arange(n_samples + 1)).astype(np.int64),
        labels=np.arange(n_samples) % n_classes,
        speakers=np.arange(n_samples) // n_classes % 3,
        keys=tuple(f"word {i}" for i in range(n_classes)),
        n_units=n_units,
        n_bins=n_bins,
        bin_width=0.014,
    )
