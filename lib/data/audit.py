"""Leak audit: can anything but the timing pattern tell the class of a sample?

Each feature is read by a linear probe trained on the training voices and scored on the validation voices. On norm
the counts are equal by construction, so every count feature must sit exactly at chance. Onset, offset and duration
are timing, not rate; they are reported because a network could live on them alone.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..scores import balanced_accuracy
from .events import Binned


def features(data: Binned) -> dict[str, np.ndarray]:
    """Per sample features, float64 (n_samples, n_features), by name. Times are in bins."""
    counts = data.counts()
    sample = np.repeat(np.arange(len(data)), np.diff(data.offsets))
    bins = data.bins.astype(np.int64)
    first, last = np.full(len(data), data.n_bins), np.zeros(len(data), np.int64)
    np.minimum.at(first, sample, bins)
    np.maximum.at(last, sample, bins)
    columns = {
        "counts": counts,
        "total count": counts.sum(axis=1, keepdims=True),
        "active set": counts > 0,
        "first spike": first[:, None],
        "last spike": last[:, None],
        "duration": (last - first)[:, None],
    }
    return {name: np.asarray(values, np.float64) for name, values in columns.items()}


def counts_are_equal(data: Binned) -> bool:
    """Whether every unit fires the same number of spikes in all samples."""
    counts = data.counts()
    return bool((counts == counts[0]).all())


def audit(training: Binned, held_out: Binned) -> list[dict]:
    """Score a linear probe of every feature.

    Returns:
        One record a feature: `feature`, `accuracy` (balanced), `low` and `high` (exact 95 % binomial interval of
        the share right), `chance`.
    """
    records = []
    chance = 1 / len(np.unique(held_out.labels))
    held = features(held_out)
    for name, values in features(training).items():
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        predicted = probe.fit(values, training.labels).predict(held[name])
        right = int((predicted == held_out.labels).sum())
        interval = binomtest(right, len(held_out)).proportion_ci()
        accuracy = balanced_accuracy(predicted, held_out.labels)
        records.append(
            {"feature": name, "accuracy": accuracy, "low": interval.low, "high": interval.high, "chance": chance}
        )
    return records
