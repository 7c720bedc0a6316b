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
