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
from . import speech, trial
from .events import BIN_WIDTH_PAPER, Binned, bin_events, join, read_shd_chunks
from .variants import make_variant

AT_MOST = 5_000  # samples; more make the intervals narrower than anyone needs
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

    Of more than `AT_MOST` samples, as many are drawn. Classes that only one of the two has are left out, so that an
    answer that is always the same scores exactly chance.

    Args:
        training, held_out: samples of different voices.
        more: further features of the training and of the held-out samples, as from `features`.

    Returns:
        One record a feature and probe: `feature`, `probe`, `accuracy` (balanced), `low` and `high` (its 95 % interval
        over draws of the held-out samples, class by class), `chance`, `leak`: whether the interval lies above chance,
        `samples` (training, held out) and `classes`.

    Raises:
        InputError: the two share fewer than two classes.
    """
    classes = np.intersect1d(training.labels, held_out.labels)
    if len(classes) < 2:
        raise InputError(f"audit: training and held-out samples share {len(classes)} classes; probes need two or more")
    rows = [draw(np.flatnonzero(np.isin(data.labels, classes))) for data in (training, held_out)]
    training, held_out = (data.select(some) for data, some in zip((training, held_out), rows, strict=True))
    read, scored = (
        features(data) | {name: values[some] for name, values in extra.items()}
        for data, some, extra in zip((training, held_out), rows, more, strict=True)
    )
    records, labels, chance = [], held_out.labels, 1 / len(classes)
    for name, values in read.items():
        for kind, make in PROBES.items():
            predicted = _predict(make, values, training.labels, scored[name])
            low, high = _interval(predicted == labels, labels)
            records.append(
                {
                    "feature": name,
                    "probe": kind,
                    "accuracy": balanced_accuracy(predicted, labels),
                    "low": low,
                    "high": high,
                    "chance": chance,
                    "leak": bool(low > chance),
                    "samples": (len(training), len(held_out)),
                    "classes": len(classes),
                }  # fmt: skip
            )
    return records


def draw(rows: np.ndarray) -> np.ndarray:
    """At most `AT_MOST` of them, at random, in their order; the same at every call."""
    if len(rows) <= AT_MOST:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, AT_MOST, replace=False))


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
        InputError: as `read_shd`, or there are not two voices that share two classes.
    """
    trial.check(path)
    data, collisions = sampled(path, bin_width)
    voices = np.unique(data.speakers)
    if len(voices) < 2:
        found = "one voice" if len(data) else "no samples"
        raise InputError(f"{path}: it has {found}; probes are trained on some voices and scored on others")
    held = np.isin(data.speakers, voices[-max(1, len(voices) // 3) :])
    parts = [np.flatnonzero(~held), np.flatnonzero(held)]
    more = tuple({"bin collisions": collisions[rows, None]} for rows in parts)
    try:
        return audit(*(data.select(rows) for rows in parts), more)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def sampled(path: str | Path, bin_width: float) -> tuple[Binned, np.ndarray]:
    """As many samples of a file as an audit can take, binned; and the share of events that binning merged in each.

    Raises:
        InputError: as `read_shd`.
    """
    if Path(path).is_dir():
        raise InputError(f"{path}: a folder; give one of its files")
    try:
        with h5py.File(path) if h5py.is_hdf5(path) else nullcontext({}) as file:
            labels = file.get("labels")
            n = len(labels) if isinstance(labels, h5py.Dataset) and labels.shape else 0
    except (OSError, RuntimeError, KeyError):  # damaged: what reads it whole says how
        n = 0
    drawn, pieces, shares, first = draw(np.arange(n)), [], [], 0
    for chunk in read_shd_chunks(path):
        events = chunk.select(drawn[(drawn >= first) & (drawn < first + len(chunk))] - first)
        first += len(chunk)
        pieces.append(bin_events(events, bin_width)[0])
        before, after = np.diff(events.offsets), np.diff(pieces[-1].offsets)
        shares.append(1 - after / np.maximum(before, 1))
    return join(pieces), np.concatenate(shares)


def table(records: list[dict]) -> str:
    """The records as lines to print, in percent."""
    head = (
        "{samples[0]} samples trained on, {samples[1]} scored, {classes} classes".format(**records[0])
        if records
        else ""
    )
    lines = [head, f"{'feature':14s} {'probe':6s} accuracy  95 % interval  chance"]
    for row in records:
        low, high, chance, accuracy = (100 * row[name] for name in ("low", "high", "chance", "accuracy"))
        said = "  LEAK" if row["leak"] else ""
        line = f"{row['feature']:14s} {row['probe']:6s} {accuracy:6.1f} %  {low:4.1f} to {high:4.1f} %  {chance:4.1f} %"
        lines.append(line + said)
    return "\n".join(lines)
