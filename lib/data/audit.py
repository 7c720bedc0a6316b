"""Leak audit: can anything but the timing pattern tell the class of a sample?

Each feature is read by a linear probe and a multi-layer perceptron, trained on the training voices and scored on the
validation voices. On norm the counts are equal by construction, so every count feature must sit exactly at chance.
Onset, offset and duration are timing, not rate; they are reported because a network could live on them alone, and
because a duration with fixed counts is a mean rate. In files of events, so are collisions: spikes that share a bin with
an earlier one of their unit are lost in bins, more of them where firing is fast.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..errors import InputError
from ..scores import balanced_accuracy
from . import speech
from .events import BIN_WIDTH_PAPER, Binned, bin_events, join, read_shd_chunks
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


def audit(
    training: Binned,
    held_out: Binned,
    more: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = ({}, {}),
) -> list[dict]:
    """Score both probes of every feature.

    Args:
        training, held_out: samples of different voices.
        more: further features of the training and of the held-out samples, as from `features`.

    Returns:
        One record a feature and probe: `feature`, `probe`, `accuracy` (balanced), `low` and `high` (its 95 % interval
        over draws of the held-out samples, class by class), `chance`, `leak`: whether the interval lies above chance.
    """
    records, held = [], features(held_out) | more[1]
    classes, labels = np.unique(held_out.labels), held_out.labels
    for name, values in (features(training) | more[0]).items():
        for kind, make in PROBES.items():
            predicted = _predict(make, values, training.labels, held[name])
            low, high = _interval(predicted == labels, labels)
            records.append(
                {
                    "feature": name, "probe": kind, "accuracy": balanced_accuracy(predicted, labels),
                    "low": low, "high": high, "chance": 1 / len(classes), "leak": bool(low > 1 / len(classes)),
                }  # fmt: skip
            )
    return records


def _predict(make, values: np.ndarray, labels: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Answers of a probe; what is the same in all training samples tells nothing, so the answer is always the same."""
    varying = (values != values[:1]).any(axis=0)
    if not varying.any():
        return np.full(len(held), np.bincount(labels).argmax())
    probe = make_pipeline(StandardScaler(), make())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are a setting, not a failure
        return probe.fit(values[:, varying], labels).predict(held[:, varying])


def _interval(right: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """95 % of balanced accuracies when the samples of every class are drawn anew (bootstrap, 2,000 draws)."""
    rng, draws = np.random.default_rng(0), np.zeros(2000)
    classes = np.unique(labels)
    for label in classes:
        of_class = right[labels == label]
        draws += rng.binomial(len(of_class), of_class.mean(), len(draws)) / len(of_class) / len(classes)
    return tuple(float(bound) for bound in np.quantile(draws, (0.025, 0.975)))


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


def audit_file(path: str | Path, bin_width: float = BIN_WIDTH_PAPER) -> list[dict]:
    """Audit a file in SHD's layout; a third of its voices is held out.

    Raises:
        InputError: as `read_shd`, or there is only one voice.
    """
    data, collisions = sampled(path, bin_width)
    voices = np.unique(data.speakers)
    if len(voices) < 2:
        raise InputError(f"{path}: it has one voice; probes need others to be scored on")
    held = np.isin(data.speakers, voices[-(-len(voices) * 2 // 3) :])
    parts = [np.flatnonzero(~held), np.flatnonzero(held)]
    more = tuple({"bin collisions": collisions[rows, None]} for rows in parts)
    return audit(*(data.select(rows) for rows in parts), more)


def sampled(path: str | Path, bin_width: float, at_most: int = 5_000) -> tuple[Binned, np.ndarray]:
    """Up to so many samples of a file, evenly from all of it, binned; and the share of events that binning merged.

    Raises:
        InputError: as `read_shd`.
    """
    with h5py.File(path) if h5py.is_hdf5(path) else nullcontext({}) as file:
        step = max(1, -(-len(file.get("labels", ())) // at_most))
    pieces, shares, first = [], [], 0
    for events in read_shd_chunks(path):
        events, first = events.select(np.arange(-first % step, len(events), step)), first + len(events)
        pieces.append(bin_events(events, bin_width)[0])
        before, after = np.diff(events.offsets), np.diff(pieces[-1].offsets)
        shares.append(1 - after / np.maximum(before, 1))
    return join(pieces), np.concatenate(shares)


def table(records: list[dict]) -> str:
    """The records as lines to print, in percent."""
    lines = [f"{'feature':14s} {'probe':6s} accuracy  95 % interval  chance"]
    for row in records:
        low, high, chance, accuracy = (100 * row[name] for name in ("low", "high", "chance", "accuracy"))
        said = "  LEAK" if row["leak"] else ""
        line = f"{row['feature']:14s} {row['probe']:6s} {accuracy:6.1f} %  {low:4.1f} to {high:4.1f} %  {chance:4.1f} %"
        lines.append(line + said)
    return "\n".join(lines)
