"""Scores of a single run: balanced accuracy, and what reversal leaves of it."""

from __future__ import annotations

import numpy as np


def balanced_accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes of the share of each class's samples that was predicted right.

    Chance is 1 / (number of classes present), whatever the class sizes; a predictor that always says the same gets
    exactly that. A prediction of -1 (no decision) is wrong.
    """
    return float(np.mean([np.mean(predicted[labels == label] == label) for label in np.unique(labels)]))


def retention(clean: float, reversed_: float, chance: float) -> float:
    """Share of the accuracy above chance that survives time reversal: (reversed - chance) / (clean - chance).

    1: reversal changes nothing; 0: reversed speech is read at chance. Without meaning (nan) where `clean` is at
    chance or below.
    """
    return (reversed_ - chance) / (clean - chance) if clean > chance else float("nan")


def synaptic_operations(
    input_spikes: float, hidden_rates: list[float], hidden: list[int], n_classes: int, recurrent: bool = False
) -> float:
    """Synaptic events of a sample: every spike of a layer reaches every neuron of the next, or of its own too.

    Args:
        input_spikes: of a sample.
        hidden_rates: spikes a neuron and sample of each hidden layer, which has so many neurons (`hidden`).
        recurrent: hidden layers hear themselves.
    """
    spikes = [input_spikes, *(rate * n for rate, n in zip(hidden_rates, hidden, strict=True))]
    reached = [*hidden, n_classes]
    forwards = sum(count * n for count, n in zip(spikes, reached, strict=True))
    return forwards + (sum(count * n for count, n in zip(spikes[1:], hidden, strict=True)) if recurrent else 0)


def by_class(rows: list[dict]) -> dict[int, list[float]]:
    """Class -> share of its samples that were answered right, one value a row of a table that has a score."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["accuracy"] is not None:
            for label, counts in enumerate(row["confusion"]):
                if any(counts):
                    found.setdefault(label, []).append(counts[label] / sum(counts))
    return found


def by_voice(rows: list[dict]) -> dict[str, list[float]]:
    """Speaker -> share of the speaker's samples that were answered right, one value a row of a table that has a score."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["accuracy"] is not None:
            for speaker, (samples, right) in row["by_speaker"].items():
                found.setdefault(speaker, []).append(right / samples)
    return found
