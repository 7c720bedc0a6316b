"""`python -m benchmarks`: time our training against the libraries of the field, store the numbers, draw the figure.

The first call makes an environment for the other libraries in build/. Then some minutes, best on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import replace
from pathlib import Path

from lib.files import write_atomically
from lib.provenance import commit, versions

from .figure import write_figure
from .harness import Crowd, Worker, compare, install, ratios
from .tasks import TASKS

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "training.json"
REQUIREMENTS = HERE / "requirements.txt"
PLAIN = ("ours", "ours_compact", "expert", "spyx", "brainstate", "spikingjelly", "snntorch", "torch_loop")
DELAYED = ("ours", "ours_compact", "expert", "dcls", "torch_loop")
SKIPPED = {"S 1000": ("snntorch", "torch_loop"), "D 1000": ("torch_loop",)}  # gigabytes and many seconds a step
ROUNDS = {100: 9, 250: 5, 1000: 5}  # by duration
WALL_ROUNDS = 27  # wall times on all cores vary more
WALL = ("S 100", "D 100")  # also timed on all cores
BASE = TASKS["S 100"]
GROWTH = {
    "time steps": [replace(BASE, n_bins=n) for n in (100, 250, 500, 1000)],
    "hidden neurons": [replace(BASE, sizes=(700, n, n, 20)) for n in (64, 128, 256, 512)],
    "density": [replace(BASE, density=d) for d in (0.003, 0.01, 0.03, 0.1, 0.3)],
    "batch": [replace(BASE, batch=b) for b in (32, 128, 512)],
    "longest delay": [replace(BASE, longest_delay=d) for d in (0, 25, 50)],
}
GROWTH_ROUNDS = 15  # our steps are short
VALUE = {"time steps": "n_bins", "density": "density", "batch": "batch", "longest delay": "longest_delay"}


def line_up(name: str) -> list[str]:
    """Who takes part in a task."""
    return [c for c in (DELAYED if TASKS[name].longest_delay else PLAIN) if c not in SKIPPED.get(name, ())]


def table(found: dict[str, dict], unit: str) -> str:
    """Results of one task as text."""
    times = ratios({name: row["ms"] for name, row in found.items()})
    lines = [f"  {'':13} {'ms ' + unit:>9} {'x ours':>7} {'B/neuron-step':>14}   hidden rates, % a bin"]
    for name, row in found.items():
        rates = ", ".join(f"{100 * rate:.2f}" for rate in row["rates"])
        lines.append(f"  {name:13} {row['ms']:9.1f} {times[name]:7.2f} {row['bytes']:14.1f}   {rates}")
    return "\n".join(lines)


def against_peers(names: list[str], threads: int, clock: str) -> dict[str, dict]:
    """Every task for everyone in its line-up: task -> results (`harness.compare`)."""
    workers = {name: Worker(name, threads) for name in dict.fromkeys(c for task in names for c in line_up(task))}
    one_core = {} if threads == 1 else {"one core": Worker("ours"), "crowd": Crowd("ours", threads)}
    found = {}
    for name in names:
        taking_part = {c: workers[c] for c in line_up(name)} | one_core
        entrants = {c: (worker, TASKS[name]) for c, worker in taking_part.items()}
        rounds = ROUNDS[TASKS[name].n_bins] if threads == 1 else WALL_ROUNDS
        found[name] = compare(entrants, rounds, clock)
        print(f"{name}: {threads} core{'s' * (threads > 1)}\n{table(found[name], clock)}", flush=True)
    for worker in (workers | one_core).values():
        worker.close()
    return found


def growth() -> dict[str, list[dict]]:
    """How our cost grows along each axis: axis -> rows, each what `harness.compare` finds and its "value".

    The values of an axis are timed in one run; rows of two axes have been measured at different times.
    """
    workers, found = [Worker("ours") for _ in range(max(map(len, GROWTH.values())))], {}
    for axis, tasks in GROWTH.items():
        values = [getattr(task, VALUE[axis]) if axis in VALUE else task.sizes[1] for task in tasks]
        entrants = dict(zip(values, zip(workers, tasks, strict=False), strict=True))
        found[axis] = [{"value": value} | row for value, row in compare(entrants, GROWTH_ROUNDS).items()]
        print(f"{axis}: " + ", ".join(f"{row['value']}: {row['ms']:.1f} ms" for row in found[axis]), flush=True)
    for worker in workers:
        worker.close()
    return found


def machine() -> dict:
    """What the numbers were measured on."""
    info = Path("/proc/cpuinfo")
    fields = [line.split(":", 1) for line in info.read_text().splitlines() if ":" in line] if info.exists() else []
    names = {key.strip(): value.strip() for key, value in fields}
    described = " ".join(names.get(key, "") for key in ("model name", "cpu family", "model")).strip()
    return {"processor": described or platform.processor(), "cores": os.cpu_count(), "system": platform.system()}


def main() -> None:
    """Run everything, or only some tasks; or redraw the figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, metavar="TASK", help="time only these, and store nothing")
    parser.add_argument("--figure", action="store_true", help="only redraw the figure from the stored numbers")
    words = parser.parse_args()
    if not words.figure:
        install(REQUIREMENTS)
        tasks = against_peers(words.tasks or list(TASKS), 1, "cpu")
        if words.tasks:
            return
        pins = dict(line.split("==") for line in REQUIREMENTS.read_text().splitlines() if "==" in line)
        results = {
            "tasks": tasks,
            "skipped": SKIPPED,
            "wall": against_peers(list(WALL), os.cpu_count(), "wall"),
            "growth": growth(),
            "machine": machine(),
            "commit": commit(),
            "versions": versions(),
            "peers": pins,
        }
        with write_atomically(RESULTS) as temporary:
            temporary.write_text(json.dumps(results, indent=1) + "\n")
    write_figure(RESULTS)


if __name__ == "__main__":
    main()
