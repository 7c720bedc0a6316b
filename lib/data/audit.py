"""Leak audit: can anything but the timing pattern tell the class of a sample?

Each feature is read by a linear probe and a multi-layer perceptron, trained on the training voices and scored on the
validation voices. On norm the counts are equal by construction, so every count feature must sit exactly at chance.
Onset, offset and duration are timing, not rate; they are reported because a network could live on them alone, and
because a duration with fixed counts is a mean rate.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.stats import binomtest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..scores import balanced_accuracy
from . import speech
from .events import Binned
from .variants import make_variant

PROBES = {
    "linear": lambda: LogisticRegression(max_iter=300),
    "mlp": lambda: MLPClassifier((32,), random_state=0, max_iter=100),
}


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
    """Score both probes of every feature.

    Returns:
        One record a feature and probe: `feature`, `probe`, `accuracy` (balanced), `low` and `high` (exact 95 %
        binomial interval of the share right), `chance`, `leak`: whether that interval lies above the share that a
        constant answer, always the held-out samples' commonest class, gets right.
    """
    records = []
    chance = 1 / len(np.unique(held_out.labels))
    constant = np.bincount(held_out.labels).max() / len(held_out)
    held = features(held_out)
    for name, values in features(training).items():
        for kind, make in PROBES.items():
            probe = make_pipeline(StandardScaler(), make())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are a setting, not a failure
                predicted = probe.fit(values, training.labels).predict(held[name])
            right = int((predicted == held_out.labels).sum())
            interval = binomtest(right, len(held_out)).proportion_ci()
            records.append(
                {
                    "feature": name, "probe": kind, "accuracy": balanced_accuracy(predicted, held_out.labels),
                    "low": interval.low, "high": interval.high, "chance": chance, "leak": interval.low > constant,
                }  # fmt: skip
            )
    return records


def audit_variant(data: str, variant: str, data_dir: str | None = None, seed: int = 0) -> list[dict]:
    """Audit a variant of a named data set (`lib.data.speech`): one draw of the surviving spikes.

    Raises:
        InputError: as `speech.load` and `make_variant`.
    """
    minimum = speech.minimum(data, data_dir)
    parts = []
    for place, part in enumerate(("train", "validation")):
        samples, _ = speech.eligible(data, part, data_dir)
        parts.append(make_variant(variant, samples, minimum, np.random.default_rng([seed, place, 0])))
    return audit(*parts)


def table(records: list[dict]) -> str:
    """The records as lines to print, in percent."""
    lines = [f"{'feature':12s} {'probe':6s} accuracy  95 % interval  chance"]
    for row in records:
        low, high, chance, accuracy = (100 * row[name] for name in ("low", "high", "chance", "accuracy"))
        said = "  LEAK" if row["leak"] else ""
        line = f"{row['feature']:12s} {row['probe']:6s} {accuracy:6.1f} %  {low:4.1f} to {high:4.1f} %  {chance:4.1f} %"
        lines.append(line + said)
    return "\n".join(lines)
