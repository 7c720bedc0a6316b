"""Scores: balanced accuracy, what reversal leaves of it, and differences between kinds of network."""

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


def of_arm(table: list[dict], variant: str, part: str, arm: str) -> dict[int, dict]:
    """Records of one kind of network by seed."""
    rows = [r for r in table if (r["variant"], r["part"], r["arm"]) == (variant, part, arm)]
    return {row["seed"]: row for row in rows}


def gain(table: list[dict], variant: str, part: str, arm: str, over: str) -> list[float]:
    """Accuracy of `arm` minus that of `over`, seed by seed (a seed is a pair: same data, same surviving spikes)."""
    better, base = of_arm(table, variant, part, arm), of_arm(table, variant, part, over)
    return [better[seed]["clean"] - base[seed]["clean"] for seed in sorted(better.keys() & base.keys())]


def summary(table: list[dict], variant: str, part: str, n_classes: int) -> list[str]:
    """One line a kind of network: mean balanced accuracy as spoken and reversed, and retention, over seeds."""
    lines = []
    chance = 1 / n_classes
    for arm in dict.fromkeys(r["arm"] for r in table if r["variant"] == variant):
        rows = of_arm(table, variant, part, arm).values()
        clean = np.mean([r["clean"] for r in rows])
        backwards = np.mean([r["reversed"] for r in rows])
        kept = [retention(r["clean"], r["reversed"], chance) for r in rows]
        span = "" if np.isnan(kept).any() else f", retention {min(kept):.2f} to {max(kept):.2f}"
        lines.append(f"{variant:5s} {part:10s} {arm:15s} {clean:6.1%} as spoken, {backwards:6.1%} reversed{span}")
    return lines
