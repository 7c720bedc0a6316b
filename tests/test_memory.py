"""Memory that runs out is foreseen, or explained: what was needed, what is there, what to change."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import joblib
import numpy as np
import pytest
import torch
from toy import ToyRun

from lib import __main__ as command_line
from lib import memory, runs
from lib.errors import OutOfMemory
from lib.runs import Job, run_all

GREEDY = {
    "numpy": lambda: np.empty(10**14),
    "torch": lambda: torch.empty(10**14),
    "list": lambda: [0] * 10**14,
}


@dataclass(frozen=True)
class Greedy:
    """A run that wants far more memory than there is."""

    way: str

    def data_checksum(self, data_dir: str | None) -> None:
        """No data."""

    def perform(self, job: Job) -> dict:
        """Ask for 100 TB and more."""
        return {"n": len(GREEDY[self.way]())}


@pytest.mark.parametrize("way", GREEDY)
def test_memory_that_runs_out_is_explained(tmp_path, monkeypatch, capsys, way):
    """numpy's, torch's and Python's own errors become one line: what was needed (where it is known), how much is there,
    and the knobs; nothing is stored; exit code 1."""
    monkeypatch.setitem(command_line.COMMANDS, "figures", lambda args: run_all([Greedy(way)], jobs=1, store=tmp_path))
    assert command_line.main(["figures"]) == 1
    needed = "" if way == "list" else r"[\d.]+ ?\w+ were needed, "
    line = rf"error: memory ran out: {needed}[\d.]+ GB are available; use fewer processes \(--jobs 1\) or a smaller --preset\n"
    assert re.fullmatch(line, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_memory_of_a_gpu_that_runs_out_is_explained(tmp_path, monkeypatch):
    """As torch says it; another error stays as it is."""
    errors = {
        "of cuda ran out: 2.00 GiB were needed, .* use a smaller --preset or --device cpu": torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB"
        ),
        "shapes do not match": RuntimeError("shapes do not match"),
    }
    monkeypatch.setattr(runs, "_plain", lambda result: (_ for _ in ()).throw(error))
    for said, error in errors.items():
        with pytest.raises(RuntimeError, match=said) as raised:
            runs._compute({tmp_path / "a.json": ToyRun(0, outcome="nan")}, Job(device="cuda"))
        assert isinstance(raised.value, OutOfMemory) == (error is not errors["shapes do not match"])


def test_a_process_that_the_system_kills_is_explained(tmp_path, monkeypatch):
    """SIGKILL to a worker, as when memory runs out: one line with the knobs; the same call goes on."""
    (tmp_path / "log").mkdir()
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("TOY_DIES", "0:1")
    some = [ToyRun(seed, epochs=2) for seed in (0, 1)]
    with pytest.raises(OutOfMemory, match=r"a process was killed; .* [\d.]+ GB are available now; .*--jobs 1"):
        run_all(some, jobs=2, store=tmp_path / "store")
    assert all(outcome.result for outcome in run_all(some, jobs=1, store=tmp_path / "store"))


@pytest.mark.parametrize(("free", "expected"), [(100e9, 8), (9.1e9, 5), (1e9, 1), (None, 8)])
def test_no_more_processes_than_memory_holds(monkeypatch, free, expected):
    """One a core, but 1.8 GB for each; at least one; who asks for a number gets it."""
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    monkeypatch.setattr(memory, "available", lambda: free)
    assert memory.processes(None) == expected and memory.processes(6) == 6


def test_available_memory_is_the_system_s():
    """More than a megabyte, and no more than is built in."""
    built_in = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 1e6 < memory.available() <= built_in
