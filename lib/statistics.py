"""What several seeds say: the rules by which numbers become statements.

A seed varies initial weights, order of samples, which spikes survive, and perturbations. The same seed is the same
data for every arm, so comparisons are paired. Five seeds or more give a mean and a t-interval; fewer are shown as
points, without interval and without verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .scores import retention
from .tables import by_seed, select

FEWEST_SEEDS = 5
MARGIN = 0.02  # accuracy: differences inside +- 2 points count as none


@dataclass(frozen=True)
class Estimate:
    """Mean over seeds and its interval.

    Attributes:
        mean: of the values.
        low, high: two-sided t-interval; None with fewer than FEWEST_SEEDS values.
        n: number of values.
    """

    mean: float
    low: float | None
    high: float | None
    n: int


def estimate(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean and t-interval of values that are independent, one a seed.

    Raises:
        ValueError: there are none.
    """
    if not len(values):
        raise ValueError("no values to estimate from")
    mean, n = float(np.mean(values)), len(values)
    if n < FEWEST_SEEDS:
        return Estimate(mean, None, None, n)
    half = stats.t.ppf(0.5 + confidence / 2, n - 1) * stats.sem(values)
    return Estimate(mean, float(mean - half), float(mean + half), n)


def paired_differences(better: dict[int, float], base: dict[int, float]) -> list[float]:
    """Differences seed by seed, in the order of seeds, for the seeds that both have."""
    return [better[seed] - base[seed] for seed in sorted(better.keys() & base.keys())]


def inside(values: Sequence[float], low: float, high: float) -> float:
    """P value of two one-sided t-tests (TOST): small if the mean lies between `low` and `high` beyond doubt.

    At 0.05 this is the same as a 90 % interval inside the band (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15).
    With differences for `values` and a band around 0 it is the test of equivalence.
    """
    if np.ptp(values) == 0:  # all equal: t has no value
        return 0.0 if low < values[0] < high else 1.0
    above = stats.ttest_1samp(values, low, alternative="greater").pvalue
    below = stats.ttest_1samp(values, high, alternative="less").pvalue
    return float(max(above, below))


def gain(rows: list[dict], arm: str, over: str, **conditions) -> list[float]:
    """Accuracy of `arm` minus that of `over`, seed by seed, among the rows that meet the conditions."""
    better, base = (by_seed(select(rows, arm=name, **conditions)) for name in (arm, over))
    return paired_differences(better, base)


def gains(rows: list[dict], pairs: Sequence[tuple[str, str]], variant: str, labels: Mapping[str, str]) -> list[str]:
    """One line a pair of arms and part: what the first gains over the second as spoken, in points, seed by seed.

    Args:
        labels: arm -> its name.
    """
    lines = []
    for arm, over in pairs:
        for part in ("validation", "test"):
            points = gain(rows, arm, over, variant=variant, part=part, trained="clean", tested="clean")
            text = ", ".join(f"{100 * value:+.1f}" for value in points)
            lines.append(f"{labels[arm]} over {labels[over]}, {part} voices: {text} points")
    return lines


def summary(rows: list[dict], variant: str, part: str, labels: Mapping[str, str]) -> list[str]:
    """One line an arm trained on clean samples: mean accuracy as spoken and reversed; lowest and highest retention of
    a seed, the share of accuracy above chance that is kept.

    Args:
        labels: arm -> its name.
    """
    chosen = select(rows, variant=variant, part=part, trained="clean")
    lines = []
    for arm in dict.fromkeys(row["arm"] for row in chosen):
        clean, backwards = (by_seed(select(chosen, arm=arm, tested=tested)) for tested in ("clean", "reverse"))
        seeds = sorted(clean.keys() & backwards.keys())
        if not seeds:
            lines.append(f"{variant:5s} {labels[arm]:27s} no score: {select(chosen, arm=arm)[0]['failed']}")
            continue
        chance = next(row["chance"] for row in chosen if row["chance"])
        kept = [retention(clean[seed], backwards[seed], chance) for seed in seeds]
        span = "" if np.isnan(kept).any() else f", kept {min(kept):.0%} to {max(kept):.0%}"
        means = (np.mean([scores[seed] for seed in seeds]) for scores in (clean, backwards))
        text = "{:6.1%} as spoken, {:6.1%} reversed".format(*means)
        lines.append(f"{variant:5s} {labels[arm]:27s} {text}{span}")
    return lines
