"""The experiments on synthetic codes: which runs each consists of, and the table that their outcomes make."""

from __future__ import annotations

from dataclasses import replace

from ..data.coincidence import CoincidenceTask
from ..data.intervals import IntervalTask
from ..runs import Outcome
from .arms import COUNT_MLP
from .presets import SYNTHETIC, SyntheticSize, size_of
from .synthetic import COUNT_OPTIMUM, OBSERVER, SyntheticRun, recipe

PAIRS, MANY_PAIRS = (1, 30), (40, 80)  # in a sample; many hide the lag in chance coincidences
PAPER_MS, PAPER_SAMPLES = 10_000, 2158
NOISE = 0.3  # f of the comparison over lags; without noise no delays are needed at any lag


def isi(data: str, preset: str) -> list[SyntheticRun]:
    """E1: accuracy against f, in three designs."""
    return _against_f(size_of(preset, SYNTHETIC), "isi")


def polychrony(data: str, preset: str) -> list[SyntheticRun]:
    """E1 and E2: accuracy against f at 100 ms; against the longest lag, on the paper's plane and with two lags."""
    size = size_of(preset, SYNTHETIC)
    runs = _against_f(size, "ccisi")
    for lag in size.lags:
        plane = _plane("ccisi", lag, size)
        if plane not in {run.task for run in runs}:
            runs += _runs(size, plane, size.arms, (0.0,), size.epochs)
        two_lags = IntervalTask("ccisi", "matched", 4000, lag, MANY_PAIRS)
        arms = [arm for arm in size.arms if arm != "no_delays_short"] + ["fixed_wide"]
        runs += _runs(size, two_lags, dict.fromkeys(arms), (NOISE,), 2 * size.epochs)
    if size.long_control:  # the last task is that of the longest lag
        last = [run for run in runs if run.task == two_lags and run.arm == "no_delays"]
        runs += [replace(run, arm="no_delays_long", samples=4 * run.samples) for run in last]
    return runs


def coincidence(data: str, preset: str) -> list[SyntheticRun]:
    """E3: accuracy against the overlap of active and silent groups, for the paper's 3 hidden units and for 16."""
    size = size_of(preset, SYNTHETIC)
    runs = []
    for design, hidden in (("paper", 3), ("paper", 16), ("matched", 16)):
        arms = [arm for arm in size.arms if arm != "no_delays_short" or size.as_published]
        epochs = -(-size.epochs // 2)  # short, for batches are small and rates high
        runs += _runs(size, CoincidenceTask(0.0, design), arms, size.overlaps, epochs, hidden)
    for arm in ("no_delays", "trained_wide"):
        first = next(run for run in runs if run.arm == arm)  # of three units, at no overlap
        runs += [replace(first, seed=seed) for seed in range(len(size.seeds), size.starts)]
    return list(dict.fromkeys(runs))  # readers without hidden units are in two of them


def _against_f(size: SyntheticSize, code: str) -> list[SyntheticRun]:
    runs = []
    for task in (
        _plane(code, 100, size),
        *(IntervalTask(code, design, pairs=PAIRS) for design in ("matched", "comparison")),
    ):
        arms = size.arms if task.design == "paper" else [arm for arm in size.arms if arm != "no_delays_short"]
        runs += _runs(size, task, arms, size.fractions, size.epochs)
    return runs


def _plane(code: str, lag: int, size: SyntheticSize) -> IntervalTask:
    """The paper's plane, as published or with few pairs in a shorter sample."""
    if size.as_published:
        return IntervalTask(code, "paper", PAPER_MS, lag, None)
    return IntervalTask(code, "paper", 2000 if lag <= 100 else 4000, lag, PAIRS)


def _runs(size: SyntheticSize, task, arms, levels, epochs: int, hidden: int = 0) -> list[SyntheticRun]:
    """Every arm at every level, and the readers that give them a scale."""
    intervals = isinstance(task, IntervalTask)
    samples = PAPER_SAMPLES if intervals and task.pairs is None else size.samples
    runs = []
    for level in levels:
        tests = tuple(levels) if level == 0 else (level,)
        readers = [OBSERVER] + ([] if intervals and level != levels[0] else [COUNT_MLP])  # relocation keeps counts
        for seed in size.seeds:
            common = {"task": task, "seed": seed, "samples": samples, "tested": size.tested, "level": level}
            for arm in arms:
                network, training = recipe(task, arm, hidden or size.hidden, epochs)
                runs.append(SyntheticRun(arm=arm, test_levels=tests, network=network, training=training, **common))
            runs += [SyntheticRun(arm=reader, test_levels=(level,), **common) for reader in readers]
        runs.append(SyntheticRun(arm=COUNT_OPTIMUM, test_levels=(level,), **common | {"seed": size.seeds[0]}))
    return runs


def rows(run: SyntheticRun, outcome: Outcome) -> list[dict]:
    """One row a part and test (`lib.tables.Table`, with design, lag_ms, duration_ms and hidden)."""
    intervals = isinstance(run.task, IntervalTask)
    change = "relocate" if intervals else "overlap"

    def named(which: str, level: float) -> dict:
        return {which: change if level else "clean", f"{which}_level": level}

    common = {
        "design": run.task.design,
        "lag_ms": run.task.longest_ms if intervals else None,
        "duration_ms": run.task.duration_ms if intervals else None,
        "hidden": run.network.hidden if run.network else None,
        "arm": run.arm,
        "seed": run.seed,
        "chance": 1 / (2 if intervals else 3),
    } | named("trained", run.level)
    if outcome.result is None:
        nothing = {"accuracy": None, "samples": 0, "parameters": None, "failed": outcome.failed, "part": "test"}
        return [common | named("tested", level) | nothing for level in run.test_levels]
    shared = {"parameters": outcome.result.get("parameters"), "failed": None}
    return [
        common
        | ({"tested": "reverse", "tested_level": 1.0} if score["reversed"] else named("tested", score["tested"]))
        | {"part": score["part"], "samples": score["samples"], "accuracy": score["accuracy"]}
        | shared
        for score in outcome.result["scores"]
    ]
