"""The experiments, by name: which runs each consists of, and how to compute it.

| experiment | question |
|---|---|
| `timing_alone` | can speech be read from timing alone; what do delays, and training them, add? |
| `relocation` | what is left of rate, and of timing, when a share f of the spikes is relocated (E4), and reversed (E6)? |
| `robustness` | what do jitter, shifted neurons and lost spikes cost (E5), what does training on reversed speech change (E6)? |
| `controls` | is it the learning of delays, the delays, or the memory; and does the paper's own neuron agree? |
| `isi` | are inter-spike intervals learnt, and do delays help (E1)? |
| `polychrony` | are lags across units learnt, and from which lag on do delays help (E1, E2)? |
| `coincidence` | are coincidences learnt, and do delays help (E3)? |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import runs as store
from ..data import speech as speech_data
from ..errors import InputError
from ..runs import Job, Outcome, Run, key_of, pick_device, read, run_all
from ..tables import Table, provenance_of
from . import plans, synthetic_plans
from .presets import PRESETS, size_of

__all__ = ["EXPERIMENTS", "PRESETS", "Experiment", "compute", "finished", "stored"]


@dataclass(frozen=True)
class Experiment:
    """What makes an experiment.

    Attributes:
        data: data sets that it can be done on.
        plan: (data set, preset) -> its runs.
        rows: (run, outcome) -> rows of its table.
    """

    data: tuple[str, ...]
    plan: Callable[[str, str], list[Run]]
    rows: Callable[[Run, Outcome], list[dict]]


EXPERIMENTS = {
    "timing_alone": Experiment(speech_data.DATA_SETS, plans.timing_alone, plans.speech_rows),
    "relocation": Experiment(speech_data.DATA_SETS, plans.relocation, plans.speech_rows),
    "robustness": Experiment(speech_data.DATA_SETS, plans.robustness, plans.speech_rows),
    "controls": Experiment(speech_data.DATA_SETS, plans.controls, plans.speech_rows),
    "isi": Experiment(("isi",), synthetic_plans.isi, synthetic_plans.rows),
    "polychrony": Experiment(("polychrony",), synthetic_plans.polychrony, synthetic_plans.rows),
    "coincidence": Experiment(("coincidence",), synthetic_plans.coincidence, synthetic_plans.rows),
}


def _plan(name: str, data: str, preset: str) -> list[Run]:
    """The runs of an experiment. Raises InputError for an unknown name, data set or preset."""
    if name not in EXPERIMENTS:
        raise InputError(f"experiment: {name!r} is not known; choose from {', '.join(EXPERIMENTS)}")
    if data not in EXPERIMENTS[name].data:
        raise InputError(f"--data: {name} is not done on {data!r}; choose from {', '.join(EXPERIMENTS[name].data)}")
    size_of(preset, dict.fromkeys(PRESETS))
    return EXPERIMENTS[name].plan(data, preset)


def compute(name: str, data: str, preset: str, data_dir: str | None = None, device: str = "cpu", **how) -> Table:
    """Do an experiment: compute the runs that the store lacks, and make the table.

    Args:
        name: a key of EXPERIMENTS.
        data: data set.
        preset: "smoke", "quick", "full" or "paper".
        data_dir: recordings or files of the data set, where it needs them.
        device: "auto", "cpu" or "cuda".
        how: `jobs`, `store`, `scheduler`, `aside` of `lib.runs.run_all`.

    Raises:
        InputError: unknown name, data set, preset or device; recordings are missing.
    """
    runs = _plan(name, data, preset)
    if data in speech_data.DATA_SETS:
        speech_data.fetch(data, data_dir)
    device = pick_device(device)
    if data not in speech_data.DATA_SETS:
        device = "cpu"  # what these runs compute, networks in event time and observers, is the CPU's
    job = Job(str(Path(data_dir).absolute()) if data_dir else None, device)  # workers may stand in another folder
    return _table(name, data, preset, runs, job.data_dir, run_all(runs, job, label=name.replace("_", " "), **how))


def stored(name: str, data: str, preset: str, data_dir: str | None = None) -> Table:
    """The table of an experiment whose runs are all in the store; nothing is computed or fetched.

    Args:
        name, data, preset, data_dir: as in `compute`; `data_dir` only where results are named by the reader's files.

    Raises:
        InputError: some are not, or the files are missing.
    """
    runs = _plan(name, data, preset)
    outcomes = [read(store.STORE / f"{key_of(run, data_dir)}.json") for run in runs]
    missing = sum(outcome is None for outcome in outcomes)
    if missing:
        command = f"python -m lib run {name} --data {data} --preset {preset}"
        raise InputError(f"{name}: {missing} of {len(runs)} runs are not in the store; compute them with `{command}`")
    return _table(name, data, preset, runs, data_dir, outcomes)


def finished(preset: str, data_dir: str | None = None) -> tuple[list[Table], list[str]]:
    """The tables of all experiments on all data sets whose runs are in the store.

    Returns:
        The tables, and one line for each experiment that is not finished.
    """
    tables, missing = [], []
    for name, data in [(name, data) for name, known in EXPERIMENTS.items() for data in known.data]:
        try:
            tables.append(stored(name, data, preset, data_dir))
        except InputError as reason:
            missing.append(str(reason))
    return tables, missing


def _table(name: str, data: str, preset: str, runs: list[Run], data_dir: str | None, outcomes: list[Outcome]) -> Table:
    rows = [row for pair in zip(runs, outcomes, strict=True) for row in EXPERIMENTS[name].rows(*pair)]
    provenance = provenance_of(outcomes, [row["seed"] for row in rows], runs[0].data_checksum(data_dir))
    return Table(name, data, preset, rows, provenance)
