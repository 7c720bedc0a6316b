"""Runs in parallel, each computed once: a store of results named by what was run.

A run is a frozen dataclass that knows how to perform itself. Its key is a hash of its type, its fields, the results
version and the checksum of its data: everything that decides its numbers. A stored file holds

    run        type and fields
    result     plain numbers, or `failed`: why there are none
    about      what does not decide numbers: time, memory, device, versions, commit
    checksum   of result; verified when it is read
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Iterable
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import joblib
import torch
from threadpoolctl import threadpool_limits

from . import memory
from .errors import InputError, OutOfMemory, RunFailed
from .files import write_atomically
from .progress import progress
from .provenance import ROOT, commit, versions

RESULTS_VERSION = 3  # raise it whenever code that decides a number has changed (see lib.fingerprint)
STORE = ROOT / "build" / "runs"
PEAK_UNIT = 1 << 20 if sys.platform == "darwin" else 1 << 10  # of `ru_maxrss`, in a MB
KEY = 20  # characters of a hash that name a run
PATIENCE = 20  # s, for a scheduler to answer
SIDE_BY_SIDE = 6  # runs at most; more are hardly faster, and end at a later time
THREADS = 1  # a run: runs are what is parallel, and sums in another order would change bits


@dataclass(frozen=True)
class Job:
    """Where and how a run is computed; nothing here decides a number.

    Attributes:
        data_dir: recordings or files of a data set that the reader has.
        device: "cpu" or "cuda".
        checkpoint: file that training goes on from, and writes to; None: it starts anew.
    """

    data_dir: str | None = None
    device: str = "cpu"
    checkpoint: Path | None = None


class Run(Protocol):
    """What `run_all` asks of a frozen dataclass; its fields are its identity.

    It may have an `effort`, how long it will take in any unit (default 1): the longest are begun first. It may have a
    hashable `together`, unless it is None: runs that agree on it may be computed side by side, by their type's
    `perform_together(runs, job)`, which returns a dictionary or RunFailed for each; any other error ends all of them.
    """

    def perform(self, job: Job) -> dict:
        """Compute; plain numbers, strings, lists and dictionaries. Raises RunFailed where they would mean nothing."""

    def data_checksum(self, data_dir: str | None) -> str | None:
        """Of the data that are read (from `Job.data_dir`); None if the run makes its data from its fields."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        key: its name in the store.
        result: its numbers; None if it failed.
        failed: why there are no numbers; None if there are.
        about: time (of runs side by side a share), memory (of all of these), device, versions, commit.
    """

    key: str
    result: dict | None
    failed: str | None
    about: dict


def canonical(content: object) -> str:
    """JSON with sorted keys and no spaces. Raises ValueError for NaN and infinity."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def checksum(content: object) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def identity(run: Run, data_dir: str | None = None) -> dict:
    """Everything that decides the numbers of a run. Of its data it is the contents, not the folder."""
    fields = {"type": type(run).__name__, "fields": asdict(run)}
    return fields | {"version": RESULTS_VERSION, "data": run.data_checksum(data_dir)}


def key_of(run: Run, data_dir: str | None = None) -> str:
    """Name of a run in the store: a hash of its identity."""
    return checksum(identity(run, data_dir))[:KEY]


def read(path: Path) -> Outcome | None:
    """A stored outcome, or None if there is none that can be trusted (a damaged one is said)."""
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text())
        if stored["checksum"] != checksum([stored["result"], stored["failed"]]):
            raise ValueError("checksum")
        if path.stem != checksum(stored["run"])[:KEY] or not {"device", "versions", "commit"} <= stored["about"].keys():
            raise ValueError("of another run, or without its provenance")
        return Outcome(path.stem, stored["result"], stored["failed"], stored["about"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        warnings.warn(f"{path}: damaged, computing it again", stacklevel=2)
        return None


def run_all(
    runs: list[Run],
    job: Job = Job(),  # noqa: B008 - frozen
    jobs: int | None = None,
    store: Path | None = None,
    scheduler: str | None = None,
    label: str = "networks",
    aside: bool = False,
) -> list[Outcome]:
    """Outcomes of `runs`, in their order; those that the store lacks are computed, each on one core, or up to
    SIDE_BY_SIDE that agree on `together` on one.

    Every outcome is stored as soon as it is there, and training leaves checkpoints, so an interrupted call goes on
    where it stopped (runs side by side, if as many processes compute them). A run that occurs twice is computed once.

    Args:
        runs: what to compute.
        job: data folder and device.
        jobs: processes; default one a core, as far as memory holds them ("cuda": one).
        store: folder of the outcomes; default `STORE`.
        scheduler: address of a dask scheduler (tcp://host:8786), whose workers see this folder and compute every run
            alone; default $BRC_SCHEDULER, or else processes of this machine.
        label: of the progress bar.
        aside: in other processes, two at least, even if there is a single run: this one can then stop them.

    Raises:
        InputError: the scheduler cannot be used.
        OutOfMemory: a run needs more memory than there is, or the system has killed a process.
    """
    store = store or STORE
    paths = [store / f"{key_of(run, job.data_dir)}.json" for run in runs]
    known = {path: read(path) for path in dict.fromkeys(paths)}
    wanted = dict(zip(paths, runs, strict=True))
    missing = {path for path in wanted if known[path] is None}
    _drop_checkpoints(store, known.keys() - missing)  # left by runs that were killed after their outcome was stored
    scheduler = scheduler or os.environ.get("BRC_SCHEDULER") or None
    jobs = 1 if job.device == "cuda" else memory.processes(jobs)
    tasks = _tasks(wanted, missing, (len(wanted) or 1) if scheduler else jobs)
    with _workers(scheduler if missing else None), progress(len(missing), label, "run") as bar:
        processes = -1 if scheduler else max(min(jobs, len(tasks)), 2 if aside and tasks else 1)
        parallel = joblib.Parallel(processes, return_as="generator_unordered", batch_size=1)
        try:
            for several in parallel(joblib.delayed(_compute)(task, job) for task in tasks):
                known |= {store / f"{outcome.key}.json": outcome for outcome in several}
                bar.update(len(several))
        except BrokenProcessPool:
            raise OutOfMemory(memory.killed()) from None
    outcomes = [known[path] for path in paths]
    failures = {outcome.key: outcome.failed for outcome in outcomes if outcome.failed}
    if failures:
        example = next(iter(failures.values()))
        warnings.warn(f"{len(failures)} of {len(known)} runs have no score, for example: {example}", stacklevel=2)
    return outcomes


def _tasks(wanted: dict[Path, Run], missing: set[Path], jobs: int) -> list[dict[Path, Run]]:
    """The missing runs, to be computed side by side or alone; the longest first, so that no core idles at the end.

    Which are side by side depends on what is wanted, not on what is missing: an interrupted call finds its checkpoints.
    """
    alone: list[list[Path]] = []
    alike: dict[object, list[Path]] = {}
    for path, run in wanted.items():
        together = getattr(run, "together", None)
        if together is None:
            alone.append([path])
        else:
            alike.setdefault((type(run), together), []).append(path)
    most = min(SIDE_BY_SIDE, -(-sum(map(len, alike.values())) // jobs))  # so that each process has something to do
    groups = alone + [paths[i : i + most] for paths in alike.values() for i in range(0, len(paths), most)]
    tasks = [{path: wanted[path] for path in paths if path in missing} for paths in groups]
    return sorted(filter(None, tasks), key=lambda task: -sum(getattr(run, "effort", 1) for run in task.values()))


@contextmanager
def _workers(scheduler: str | None):
    """Joblib's backend: processes here, or the workers of a dask scheduler."""
    if scheduler is None:
        with warnings.catch_warnings(), joblib.parallel_config("loky", inner_max_num_threads=THREADS):
            # A process that has grown is replaced between two runs; no result is lost
            warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
            yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise InputError("--scheduler: distributed is missing; pip install -e '.[cluster]' here") from None
    try:
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--scheduler: {scheduler} does not answer ({reason}); start dask scheduler there") from None
    with client, joblib.parallel_config("dask", client=client):
        yield


def _compute(task: dict[Path, Run], job: Job) -> list[Outcome]:
    """Perform runs side by side on one thread, store their outcomes, drop their checkpoints."""
    paths = list(task)
    start = time.monotonic()
    with _one_thread():
        try:
            results = _perform(list(task.values()), Job(job.data_dir, job.device, _checkpoint(paths)))
        except (MemoryError, RuntimeError) as error:
            explained = memory.explain(error, job.device)
            if explained is None:
                raise
            raise OutOfMemory(explained) from None
    about = {
        "seconds": round((time.monotonic() - start) / len(task), 2),  # of those side by side each has its share
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // PEAK_UNIT,  # of the process, up to now
        "device": torch.cuda.get_device_name() if job.device == "cuda" else "cpu",
        "threads": THREADS,
        "versions": versions(),
        "commit": commit(),
    }
    outcomes = []
    for (path, run), found in zip(task.items(), results, strict=True):
        result, failed = (None, str(found)) if isinstance(found, RunFailed) else (found, None)
        stored = {"run": identity(run, job.data_dir), "result": result, "failed": failed, "about": about}
        with write_atomically(path) as temporary:
            temporary.write_text(canonical(stored | {"checksum": checksum([result, failed])}))
        outcomes.append(Outcome(path.stem, result, failed, about))
    _drop_checkpoints(paths[0].parent, paths)
    return outcomes


def _checkpoint(paths: list[Path]) -> Path:
    """Of these runs side by side: named by the first, and by the others, with whom alone it can go on."""
    others = f"-{checksum([path.stem for path in paths[1:]])[:KEY]}" if len(paths) > 1 else ""
    return paths[0].with_name(f"{paths[0].stem}{others}.checkpoint")


def _drop_checkpoints(store: Path, paths: Iterable[Path]) -> None:
    """Delete all that begin with one of these runs, side by side with whomever."""
    keys = {path.stem for path in paths}
    for checkpoint in store.glob("*.checkpoint"):
        if checkpoint.name[:KEY] in keys:
            checkpoint.unlink(missing_ok=True)


def _perform(runs: list[Run], job: Job) -> list[dict | RunFailed]:
    """Results as they will be read again; RunFailed where there is none, or not of finite numbers."""
    if len(runs) > 1:
        results = type(runs[0]).perform_together(runs, job)
    else:
        try:
            results = [runs[0].perform(job)]
        except RunFailed as failed:
            results = [failed]
    return [result if isinstance(result, RunFailed) else _plain(result) for result in results]


def _plain(result: dict) -> dict | RunFailed:
    """The result as it will be read again; RunFailed if a number is not finite."""
    try:
        return json.loads(canonical(result))
    except ValueError:
        return RunFailed("a result is not a finite number")


@contextmanager
def _one_thread():
    """Torch and the numerical libraries on THREADS threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with threadpool_limits(THREADS):
            yield
    finally:
        torch.set_num_threads(before)


def pick_device(name: str) -> str:
    """ "auto" is the GPU if there is one, else the CPU.

    Raises:
        InputError: cuda was asked for and is not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: there is no CUDA device here; choose auto or cpu")
    if name not in ("cpu", "cuda"):
        raise InputError(f"--device: {name!r} is not known; choose auto, cpu or cuda")
    return name
