"""`python -m benchmarks.paper`: every configuration of the preset `paper` runs once, and what all of it would cost.

A configuration is all runs of a plan that differ in seed and level alone. One run of each is trained for one epoch and
for five, so that the cost of an epoch and that of all else are known apart; the cost of all of its runs follows. Scored is one
test perturbation; the others (33 at most, each no more than an epoch) are nothing beside 1,000 epochs. On the CPU it is
the time of this process that counts, on a GPU the clock. Results: `benchmarks/results/paper.json`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from lib.experiments import EXPERIMENTS
from lib.experiments.speech import SpeechRun
from lib.experiments.synthetic import SyntheticRun
from lib.files import write_atomically
from lib.progress import progress
from lib.runs import Job, pick_device, run_all

RESULTS = Path(__file__).parent / "results" / "paper.json"
FEW, MORE = 1, 5  # epochs


def configuration(run: SpeechRun | SyntheticRun) -> tuple[str, ...]:
    """What a run shares with those that differ in seed and level alone."""
    if isinstance(run, SpeechRun):
        return run.data, run.variant, run.arm, run.train_perturbation.name if run.train_perturbation else "clean"
    task, hidden = run.task, run.network.hidden if run.network else 0
    kind = " ".join(str(getattr(task, name, "")) for name in ("code", "design", "duration_ms")).strip()
    return type(task).__name__, kind, run.arm, f"{hidden} hidden, {epochs_of(run)} epochs"


def planned() -> dict[tuple[str, ...], list]:
    """Configuration -> its runs; a run that two experiments share counts once."""
    found: dict[tuple[str, ...], list] = {}
    plans = [known.plan(known.data[0], "paper") for known in EXPERIMENTS.values()]
    for run in dict.fromkeys(run for plan in plans for run in plan):
        found.setdefault(configuration(run), []).append(run)
    return found


def epochs_of(run: SpeechRun | SyntheticRun) -> int:
    """Passes over the training samples; 0 of what is not trained by gradients."""
    if isinstance(run, SpeechRun):
        return run.epochs if run.arm != "count_mlp" else 0
    return run.training.epochs if run.training else 0


def shortened(run: SpeechRun | SyntheticRun, epochs: int) -> SpeechRun | SyntheticRun:
    """The run with fewer epochs, and of speech with one test perturbation."""
    if isinstance(run, SpeechRun):
        return replace(run, epochs=epochs, test_perturbations=run.test_perturbations[:1])
    return replace(run, training=replace(run.training, epochs=epochs)) if run.training else run


def measure(runs: list, job: Job, store: Path) -> dict:
    """Seconds of an epoch and of the rest of a run, and hours of all of them."""
    longest = epochs_of(runs[0])
    sizes = (FEW, MORE) if longest else (FEW,)
    clock = time.monotonic if job.device == "cuda" else time.process_time
    run_all([shortened(runs[0], FEW)], job, jobs=1, store=store / "first")  # loads kernels and data
    seconds, failures = [], []
    for epochs in sizes:
        before = clock()
        (outcome,) = run_all([shortened(runs[0], epochs)], job, jobs=1, store=store)
        seconds.append(clock() - before)
        failures += [outcome.failed] if outcome.failed else []
    epoch = max(0.0, (seconds[-1] - seconds[0]) / (MORE - FEW)) if longest else 0.0
    rest = max(0.0, seconds[0] - FEW * epoch)
    hours = len(runs) * (longest * epoch + rest) / 3600
    return {"runs": len(runs), "epochs": longest, "epoch_s": round(epoch, 3), "rest_s": round(rest, 2),
            "hours": round(hours, 2), "without_a_score": failures}  # fmt: skip


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    job = Job(device=pick_device(parser.parse_args().device))
    table = []
    configurations = planned()
    with tempfile.TemporaryDirectory() as store, progress(len(configurations), "paper", "configuration") as bar:
        for name, runs in configurations.items():
            table.append({"configuration": list(name)} | measure(runs, job, Path(store)))
            bar.update(1)
    for row in table:
        print(
            f"{', '.join(row['configuration']):64s} {row['runs']:5d} runs {row['epochs']:5d} epochs {row['epoch_s']:7.3f} s {row['hours']:8.2f} h"
        )
    device = torch.cuda.get_device_name() if job.device == "cuda" else "one CPU core"
    total = round(sum(row["hours"] for row in table), 1)
    with write_atomically(RESULTS) as temporary:
        temporary.write_text(json.dumps({"device": device, "hours": total, "configurations": table}, indent=1) + "\n")
    print(f"in all {total} hours on {device}: {sum(row['runs'] for row in table)} runs of {len(table)} configurations")


if __name__ == "__main__":
    main()
