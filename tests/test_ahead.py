"""Experiments are computed while earlier notebooks are run, and no later than the notebook that asks for them."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from test_notebooks import NOTEBOOKS, place, write  # noqa: F401 - a fixture

from lib import ahead, runs
from lib.__main__ import main
from lib.experiments import EXPERIMENTS
from lib.provenance import ROOT
from lib.runs import read, run_all

ASK = 'if False: experiments.compute("{}", data)'


def test_what_notebooks_compute_is_found():
    """In their source: each experiment by some notebook, none that does not exist."""
    asked = {path.name[:2]: ahead.asked_by(path) for path in NOTEBOOKS}
    assert {name for names in asked.values() for name in names} == set(EXPERIMENTS)
    assert asked["02"] == ["isi"] and asked["08"] == ["robustness", "timing_alone"] and asked["10"] == []


def test_notebooks_wait_for_their_experiments_and_for_no_others(place, monkeypatch):  # noqa: F811
    """The first is run while the second's experiment is computed, on one thread, the second after it; speech on the data
    that were chosen, a code on its own."""
    start = f"import os\nfrom pathlib import Path\nhere, threads = Path({str(place)!r}), os.environ.get('OMP_NUM_THREADS')\n"
    first = start + "assert (here / 'timing_alone digits').exists() and threads == '1'\n(here / 'ran').touch()"
    write(place, "00_first.ipynb", ASK.format("timing_alone"), first)
    then = start + "assert (here / 'isi isi').exists() and threads is None"
    write(place, "01_second.ipynb", ASK.format("isi"), ASK.format("nonsense"), then)

    def compute(name, data, preset, data_dir, device, jobs, aside):
        assert (preset, data_dir, device, jobs, aside) == ("smoke", None, "cpu", 2, True)
        while name == "isi" and not (place / "ran").exists():
            time.sleep(0.1)
        (place / f"{name} {data}").touch()

    monkeypatch.setattr(ahead, "compute", compute)
    monkeypatch.setattr(ahead.memory, "processes", lambda wanted: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert main(["notebooks", "--preset", "smoke", "--device", "cpu"]) == 0


@pytest.mark.parametrize("why", ["it fails", "it is interrupted", "one process", "a cluster", "a GPU"])
def test_what_cannot_be_computed_ahead_is_left_to_the_notebook(place, monkeypatch, why):  # noqa: F811
    """Where a notebook's experiment fails or nothing can be gained, the notebook is run at once."""
    write(place, "00_first.ipynb", ASK.format("timing_alone"), ASK.format("isi"))
    called = []

    def compute(name, *_, **__):
        called.append(name)
        raise KeyboardInterrupt if why == "it is interrupted" else MemoryError  # as a process sends it

    monkeypatch.setattr(ahead, "compute", compute)
    monkeypatch.setattr(ahead.memory, "processes", lambda wanted: 1 + (why != "one process"))
    monkeypatch.setattr(ahead, "pick_device", lambda name: "cuda" if why == "a GPU" else "cpu")
    monkeypatch.setenv("BRC_SCHEDULER", "tcp://somewhere:8786" if why == "a cluster" else "")
    assert main(["notebooks", "--preset", "smoke", "--device", "cpu"]) == 0
    assert called == ["timing_alone"] * why.startswith("it ")


def test_work_of_another_kind_ends_with_its_experiment(monkeypatch):
    """Left while data are being fetched, say: what follows is not begun."""
    begun, go_on = [], threading.Event()
    monkeypatch.setattr(ahead, "compute", lambda name, *_, **__: (begun.append(name), go_on.wait()))
    monkeypatch.setattr(ahead.memory, "processes", lambda wanted: 2)
    monkeypatch.setattr(ahead, "PATIENCE", 1)
    with ahead.Ahead(["isi", "polychrony"], "smoke", "digits", "", "cpu") as running:
        while not begun:
            time.sleep(0.01)
    go_on.set()
    running.wait(["isi", "polychrony"])
    assert begun == ["isi"]


def test_a_single_run_is_computed_aside_to_the_same_bits(tmp_path, monkeypatch):
    """In another process, though this one would do; a second time there is nothing to compute."""
    from toy import ToyRun

    (here,) = run_all([ToyRun(0)], jobs=2, store=tmp_path / "here")
    monkeypatch.setattr(runs, "_perform", None)  # here; other processes have their own
    (there,) = run_all([ToyRun(0)], jobs=2, store=tmp_path / "there", aside=True)
    assert here.result == there.result and there == read(tmp_path / "there" / f"{there.key}.json")
    assert run_all([ToyRun(0)], jobs=2, store=tmp_path / "there", aside=True) == [there]


@pytest.mark.parametrize("end", ["interrupted", "failed"])
def test_nothing_goes_on_once_the_notebooks_have_ended(place, end):  # noqa: F811
    """Ctrl-C, or a cell that fails, in the middle of long training: one line, soon, and no process is left."""
    cell = "import time; print('kernel is here', flush=True); time.sleep(60)" if end == "interrupted" else "1 / 0"
    write(place, "00_first.ipynb", cell)
    write(place, "01_second.ipynb", ASK.format("isi"))
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import os, sys, time; from pathlib import Path; from lib import ahead, notebooks; from lib.__main__ import main\n"
        "from lib.runs import run_all; from toy import ToyRun\n"
        f"place = Path({str(place)!r})\n"
        "notebooks.FOLDER, notebooks.BUILD = place / 'notebooks', place / 'build'\n"
        "many = [ToyRun(seed, epochs=2000) for seed in range(4)]\n"
        "ahead.memory.processes = lambda wanted: 2\n"
        "ahead.compute = lambda *_, **how: run_all(many, store=place / 'store', **how)\n"
        "papermill, started = notebooks.papermill.execute_notebook, place / 'log'\n"
        "def execute(*args, **kwargs):\n"  # once both processes train
        "    while len(list(started.iterdir())) < 2: time.sleep(0.1)\n"
        "    return papermill(*args, **kwargs)\n"
        "notebooks.papermill.execute_notebook = execute\n"
        "sys.exit(main(['notebooks', '--preset', 'smoke']))"
    )
    (place / "log").mkdir()
    environment = os.environ | {"TOY_LOG": str(place / "log"), "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **pipes) as job:
        if end == "interrupted":
            next(line for line in job.stdout if "kernel is here" in line)
            os.killpg(job.pid, signal.SIGINT)  # as a terminal does
        try:
            _, err = job.communicate(timeout=60)
        finally:
            if job.returncode is None:
                os.killpg(job.pid, signal.SIGKILL)
    assert job.returncode == (130 if end == "interrupted" else 1)
    assert re.fullmatch(r"(interrupted; |error: 00_first.ipynb, cell 3: ZeroDivisionError)[^\n]*\n", err)
    for _ in range(100):
        if not processes_of(job.pid):
            return
        time.sleep(0.1)
    pytest.fail(f"still there: {processes_of(job.pid)}")


def processes_of(session: int) -> list[str]:
    """State and name of every process of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = re.match(r"\d+ \((.*)\) (.*)", stat.read_text()).groups()
        except (OSError, AttributeError):
            continue
        if int(fields.split()[3]) == session and fields[0] != "Z":
            found.append(f"{fields[0]} {name}")
    return found
