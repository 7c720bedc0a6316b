"""Runs in parallel, each computed once: a store of results named by what was run."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path

import joblib

from .experiments import Run, perform
from .files import write_atomically
from .progress import progress

RESULTS_VERSION = 1  # raise it whenever code that decides a number has changed
STORE = Path(__file__).parents[1] / "build" / "runs"


def key_of(run: Run, score_test: bool) -> str:
    """Name of a run in the store: a hash of everything that decides its numbers."""
    identity = {"run": asdict(run), "version": RESULTS_VERSION, "score_test": score_test}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def read(path: Path) -> dict | None:
    """A stored result, or None if there is none that can be read (a damaged one is said and made again)."""
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text())
        return stored["result"]
    except (json.JSONDecodeError, KeyError, UnicodeDecodeError):
        warnings.warn(f"{path}: damaged, computing it again", stacklevel=2)
        return None


def run_all(
    runs: list[Run],
    data_dir: str | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    score_test: bool = True,
    store: Path = STORE,
    label: str = "networks",
) -> list[dict]:
    """Results of `runs`, in their order; those that the store lacks are computed, one core each.

    Every result is stored as soon as it is there, so that an interrupted call goes on where it stopped.

    Args:
        runs: what to train.
        data_dir: recordings (fsdd).
        device: "cpu", or "cuda" (one at a time).
        jobs: processes; default one a core.
        score_test: whether the test voices are scored too.
        store: folder of the results.
        label: of the progress bar.
    """
    paths = [store / f"{key_of(run, score_test)}.json" for run in runs]
    results = [read(path) for path in paths]
    missing = [i for i, result in enumerate(results) if result is None]
    jobs = 1 if device == "cuda" else min(jobs or os.cpu_count() or 1, len(missing)) or 1
    parallel = joblib.Parallel(jobs, return_as="generator_unordered")
    tasks = (joblib.delayed(_perform)(i, runs[i], data_dir, device, score_test, paths[i]) for i in missing)
    with progress(len(missing), label, "run") as bar:
        for i, result in parallel(tasks):
            results[i] = result
            bar.update(1)
    return results


def _perform(i: int, run: Run, data_dir: str | None, device: str, score_test: bool, path: Path) -> tuple[int, dict]:
    result = perform(run, data_dir, device, score_test)
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps({"run": asdict(run), "result": result}))
    return i, result
