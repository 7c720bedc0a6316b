"""Choosing settings: the same number of trials for every arm, judged on validation voices.

`python -m lib tune` draws `TRIALS` settings for each arm from that arm's grid, trains one network each on the norm
variant (the perceptron on counts: on whole, for norm leaves it nothing), and keeps the best by balanced accuracy on
the validation voices. The test part is never opened. All trials and winners are written to
`lib/experiments/tuned.json`.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .errors import InputError
from .experiments.arms import CHOSEN, COUNT_MLP, KINDS, CountSettings, Settings
from .experiments.presets import SPEECH, SpeechSize, size_of
from .experiments.speech import SpeechRun
from .files import write_atomically
from .runs import run_all

TRIALS = 16
SEED = 1000  # of the drawn trials; the trials' networks use seed 1000 too, figures use 0, 1, 2, ...
TAU_MS = (20.0, 40.0, 60.0, 120.0, 240.0)
WEIGHT_SCALE = (0.25, 0.5, 1.0)
LR = (8e-3, 16e-3, 32e-3)
SRM_LR = (0.03, 0.1, 0.3)  # the paper's is 0.1; its threshold is 10, and weights are as much larger
WIDE_BINS = (20.0, 40.0, 60.0)
DELAY_LR = (0.03, 0.1, 0.3)
SMALL_DELAY_LR = (0.1, 0.3, 1.0)  # from below one bin, delays have 40 bins to travel in some 450 steps


def grid(arm: str) -> list[Settings | CountSettings]:
    """All settings that an arm may be given."""
    if arm == COUNT_MLP:
        return [CountSettings(h, d) for h, d in itertools.product((64, 128, 256, 512), (1e-4, 1e-2, 1e-1, 1.0))]
    kind = KINDS[arm]
    taus = TAU_MS if kind.tau_ms is None else (kind.tau_ms,)
    starts = (0.0,) if kind.delays == "none" else (1.0,) if kind.small else WIDE_BINS
    speeds = (0.0,) if kind.delays != "trained" else SMALL_DELAY_LR if kind.small else DELAY_LR
    rates = SRM_LR if kind.srm else LR
    return [Settings(*point) for point in itertools.product(taus, WEIGHT_SCALE, rates, starts, speeds)]


def trials(arm: str, n: int = TRIALS) -> list[Settings | CountSettings]:
    """`n` different settings from an arm's grid (all of it, if it has fewer), the same at every call."""
    points = grid(arm)
    order = np.random.default_rng([SEED, len(points)]).permutation(len(points))
    return [points[i] for i in order[:n]]


def _trial(arm: str, settings: Settings | CountSettings, size: SpeechSize) -> SpeechRun:
    """Trained on norm (the perceptron on counts: on whole) and scored on clean validation samples alone."""
    variant = "whole" if arm == COUNT_MLP else "norm"
    return SpeechRun(
        "digits", variant, arm, SEED, settings, size.epochs, size.samples, size.hidden,
        test_perturbations=(), parts=("validation",),
    )  # fmt: skip


def tune(arms: list[str], jobs: int | None = None, preset: str = "quick") -> dict:
    """Train all trials of the arms on the synthetic digits, and choose.

    Returns:
        {"chosen": {arm: settings}, "trials": {arm: [{settings, validation}]}}; validation is the balanced accuracy.
    """
    size = size_of(preset, SPEECH)
    drawn = [(arm, settings) for arm in arms for settings in trials(arm)]
    outcomes = run_all([_trial(arm, settings, size) for arm, settings in drawn], jobs=jobs, label="trials")
    table: dict[str, list[dict]] = {arm: [] for arm in arms}
    for (arm, settings), outcome in zip(drawn, outcomes, strict=True):
        accuracy = outcome.result["scores"][0]["accuracy"] if outcome.result else 0.0  # a failed trial never wins
        table[arm].append(asdict(settings) | {"validation": accuracy})
    best = {arm: max(rows, key=lambda row: row["validation"]) for arm, rows in table.items()}
    chosen = {arm: {k: v for k, v in row.items() if k != "validation"} for arm, row in best.items()}
    return {"chosen": chosen, "trials": table}


def main(arms: list[str] | None, jobs: int | None, output: Path = CHOSEN) -> None:
    """`python -m lib tune`: tune the arms and merge the outcome into `output`."""
    every = [COUNT_MLP, *KINDS]
    unknown = sorted(set(arms or []) - set(every))
    if unknown:
        raise InputError(f"--arms: no arm {', '.join(unknown)}; choose from {', '.join(every)}")
    outcome = tune(arms or every, jobs)
    known = json.loads(output.read_text()) if output.exists() else {"chosen": {}, "trials": {}}
    merged = {part: known[part] | outcome[part] for part in ("chosen", "trials")}
    with write_atomically(output) as temporary:
        temporary.write_text(json.dumps(merged, indent=1) + "\n")
    for arm in arms or every:
        best = max(row["validation"] for row in outcome["trials"][arm])
        print(f"{arm}: {best:.3f} with {outcome['chosen'][arm]}")
