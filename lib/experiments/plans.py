"""Which runs make an experiment, and the table that their outcomes make."""

from __future__ import annotations

from ..runs import Outcome
from .arms import ARMS, COUNT_MLP, chosen_settings
from .presets import SPEECH, size_of
from .speech import SpeechRun


def timing_alone(data: str, preset: str) -> list[SpeechRun]:
    """The runs of the entry figure: every arm on norm, and four of them on whole."""
    size, settings = size_of(preset, SPEECH), chosen_settings()

    def run(variant: str, arm: str, seed: int) -> SpeechRun:
        return SpeechRun(data, variant, arm, seed, settings[arm], size.epochs, size.samples, size.hidden)

    on_norm = [run("norm", arm, seed) for seed in size.seeds for arm in (COUNT_MLP, *ARMS)]
    whole_arms = (COUNT_MLP, "no_delays", "fixed_wide", "trained_wide")
    return on_norm + [run("whole", arm, seed) for seed in size.whole_seeds for arm in whole_arms]


def speech_rows(run: SpeechRun, outcome: Outcome) -> list[dict]:
    """One row a part and test perturbation (`lib.tables.Table`); a failed run gives rows without accuracy."""
    change = run.train_perturbation
    common = {
        "variant": run.variant,
        "arm": run.arm,
        "seed": run.seed,
        "trained": change.name if change else "clean",
        "trained_level": change.level if change else 0.0,
    }
    if outcome.result is None:
        tests = [("clean", 0.0), *((test.name, test.level) for test in run.test_perturbations)]
        nothing = {"accuracy": None, "samples": 0, "chance": None, "parameters": None, "failed": outcome.failed}
        return [
            common | {"part": part, "tested": name, "tested_level": level} | nothing
            for part in run.parts for name, level in tests
        ]  # fmt: skip
    shared = {"chance": 1 / outcome.result["n_classes"], "parameters": outcome.result.get("parameters")}
    return [
        common
        | {"part": score["part"], "tested": score["tested"], "tested_level": score["level"]}
        | {"accuracy": score["accuracy"], "samples": score["samples"]}
        | shared
        | {"failed": "a hidden layer is silent" if score["accuracy"] is None else None}
        for score in outcome.result["scores"]
    ]
