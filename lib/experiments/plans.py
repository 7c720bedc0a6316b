"""Which runs make an experiment, and the table that their outcomes make.

A network that is trained on clean samples is scored on what any experiment asks for, so that no two train it anew; one
that a single experiment trains, on reversed samples alone.
"""

from __future__ import annotations

from dataclasses import replace

from ..runs import Outcome
from .arms import ARMS, CONTROLS, COUNT_MLP, KINDS, chosen_settings
from .presets import SPEECH, size_of
from .speech import CLEAN, REVERSED, Perturbation, SpeechRun, named

__all__ = ["controls", "relocation", "robustness", "timing_alone"]
LEVELS = {  # of spikes moved or deleted at test
    "reverse_windows": (50.0, 100.0, 200.0, 400.0),  # ms
    "relocate": (0.2, 0.3, 0.4, 0.6, 0.8, 1.0),
    "jitter": (14.0, 35.0, 70.0, 140.0, 350.0),  # ms: 1, 2.5, 5, 10, 25 bins
    "jitter_neurons": (14.0, 35.0, 70.0, 140.0, 350.0),
    "delete": (0.1, 0.3, 0.5, 0.7, 0.9),
}
TESTS = (REVERSED, *(Perturbation(name, level) for name, levels in LEVELS.items() for level in levels))
INSIDE = tuple(
    Perturbation(name, level, layer)
    for layer in (1, 2)
    for name, level in (("reverse", 1.0), ("relocate", 0.2), ("relocate", 0.6), ("relocate", 1.0))
)
DRAWN = (REVERSED, *(test for test in TESTS if test.name == "relocate"))  # of every variant and arm
COMPARED = ("no_delays", "trained_wide")
DETAILS = ("input_spikes", "hidden_rates", "confusion", "by_speaker")


def timing_alone(data: str, preset: str) -> list[SpeechRun]:
    """The runs of the entry figure: every arm on norm, four of them on whole, and three on part."""
    size = size_of(preset, SPEECH)
    places = [("norm", arm, seed) for seed in size.seeds for arm in (COUNT_MLP, *ARMS)]
    for variant, arms in (
        ("whole", (COUNT_MLP, "no_delays", "fixed_wide", "trained_wide")),
        ("part", (COUNT_MLP, *COMPARED)),
    ):
        places += [(variant, arm, seed) for seed in size.whole_seeds for arm in arms]
    return [_run(data, preset, *place) for place in places]


def relocation(data: str, preset: str) -> list[SpeechRun]:
    """E4, and E6 at every f: trained on norm, part and whole with a share f of the spikes relocated."""
    size = size_of(preset, SPEECH)
    runs = []
    for variant, seeds in (("norm", size.seeds), ("part", size.whole_seeds), ("whole", size.whole_seeds)):
        runs += [_run(data, preset, variant, arm, seed) for seed in seeds for arm in (COUNT_MLP, *COMPARED)]
        levels = size.fractions if variant == "norm" else size.whole_fractions
        changes = [Perturbation("relocate", f) for f in levels]
        runs += [_run(data, preset, variant, arm, seed, f) for f in changes for seed in seeds for arm in COMPARED]
    return runs


def robustness(data: str, preset: str) -> list[SpeechRun]:
    """E5: norm with spikes jittered, neurons shifted, or spikes deleted; and networks trained on reversed samples."""
    size = size_of(preset, SPEECH)
    changes = [Perturbation(*change) for change in size.trained_at] + [REVERSED]
    return [
        _run(data, preset, "norm", arm, seed, change)
        for change in (CLEAN, *changes)
        for seed in (size.seeds if change is CLEAN else size.whole_seeds)
        for arm in COMPARED
    ] + [_run(data, preset, "norm", COUNT_MLP, seed) for seed in size.seeds]


def controls(data: str, preset: str) -> list[SpeechRun]:
    """Every kind of network on norm, trained clean; the paper's neurons also with spikes relocated."""
    size = size_of(preset, SPEECH)
    runs = [_run(data, preset, "norm", arm, seed) for seed in size.seeds for arm in (COUNT_MLP, *ARMS)]
    runs += [_run(data, preset, "norm", arm, seed) for seed in size.whole_seeds for arm in CONTROLS]
    paper_s = [(arm, Perturbation("relocate", f)) for arm in CONTROLS if CONTROLS[arm].srm for f in size.srm_fractions]
    return runs + [
        _run(data, preset, "norm", arm, seed, change) for arm, change in paper_s for seed in size.whole_seeds
    ]


def _run(data: str, preset: str, variant: str, arm: str, seed: int, change: Perturbation | None = CLEAN) -> SpeechRun:
    """An arm with its tuned settings; trained on clean samples it is tested on all that any experiment asks for."""
    size, settings = size_of(preset, SPEECH), chosen_settings()
    run = SpeechRun(data, variant, arm, seed, settings[arm], size.epochs, size.samples, size.hidden, change, TESTS)
    if arm == COUNT_MLP or (arm in CONTROLS and change is CLEAN):
        return replace(run, test_perturbations=(REVERSED,))
    if change is CLEAN:
        tests = TESTS if size.undrawn or (variant == "norm" and arm in COMPARED) else DRAWN
        inside = INSIDE if size.undrawn or variant == "norm" else ()
        return replace(run, test_perturbations=tests + inside)
    then = (Perturbation("relocate_reversed", change.level),) if change.name == "relocate" else ()
    return replace(run, test_perturbations=(change, *then))


def speech_rows(run: SpeechRun, outcome: Outcome) -> list[dict]:
    """One row a part and test perturbation (`lib.tables.Table`); a failed run gives rows without accuracy."""
    trained, level = named(run.train_perturbation)
    common = {
        "variant": run.variant,
        "arm": run.arm,
        "seed": run.seed,
        "hidden": [KINDS[run.arm].widen * n for n in run.hidden] if run.arm in KINDS else None,
        "trained": trained,
        "trained_level": level,
    }
    if outcome.result is None:
        nothing = {"accuracy": None, "samples": 0, "chance": None, "parameters": None, "failed": outcome.failed}
        tests = [(part, *named(test)) for part in run.parts for test in run.tests(part)]
        return [common | {"part": part, "tested": name, "tested_level": level} | nothing for part, name, level in tests]
    delays = outcome.result.get("delays")
    shared = {"chance": 1 / outcome.result["n_classes"], "parameters": outcome.result.get("parameters")}
    return [
        common
        | {"part": score["part"], "tested": score["tested"], "tested_level": score["level"]}
        | {"accuracy": score["accuracy"], "samples": score["samples"]}
        | shared
        | {"failed": "a hidden layer is silent" if score["accuracy"] is None else None}
        | {name: score[name] for name in DETAILS if name in score}
        | ({"delays": delays} if delays and (score["part"], score["tested"]) == ("test", "clean") else {})
        for score in outcome.result["scores"]
    ]
