"""Experiments that notebooks will ask for, computed while earlier notebooks are run."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from joblib.externals.loky import get_reusable_executor

from . import memory
from .experiments import EXPERIMENTS, compute
from .runs import pick_device

PATIENCE = 10  # s, for the thread to end
ASKS = re.compile(r'experiments\.compute\("(\w+)"')


def asked_by(notebook: Path) -> list[str]:
    """The experiments that a notebook computes, in its order, from the source of its cells.

    One that it names otherwise than in double quotes is not found, and computed when its cell is reached.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    found = [name for cell in cells if cell.cell_type == "code" for name in ASKS.findall(cell.source)]
    return [name for name in dict.fromkeys(found) if name in EXPERIMENTS]


class Ahead:
    """Computes experiments one after the other, on processes that are started once: `with Ahead(...) as ahead: ...`.

    Notebooks then find every run in the store, and no core idles while one imports and draws. What fails here, and all
    after it, is left to the notebooks that ask for it: they meet the same error, and say in which cell. On a GPU, on a
    cluster, or where there is room for a single process, nothing is computed ahead.

    Args:
        names: of the experiments.
        preset, data, data_dir, device: of the notebooks.
    """

    def __init__(self, names: Iterable[str], preset: str, data: str, data_dir: str, device: str) -> None:
        self._done = {name: threading.Event() for name in names}
        self._place = (preset, data, data_dir or None, device)
        self._jobs = memory.processes(None)  # asked once: processes that wait for work hold memory too
        self._ended = False
        alone = pick_device(device) == "cuda" or os.environ.get("BRC_SCHEDULER") or self._jobs == 1
        self._thread = None if alone else threading.Thread(target=self._compute, daemon=True)

    def __enter__(self) -> Ahead:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended = True
        for _ in range(PATIENCE if self._thread else 0):  # it may be about to start other processes, or be downloading
            get_reusable_executor(reuse=True).shutdown(kill_workers=True)  # they write whole files or none
            self._thread.join(1.0)
            if not self._thread.is_alive():
                return

    def wait(self, names: Iterable[str]) -> None:
        """Until these experiments are computed, or cannot be."""
        for name in names if self._thread else ():
            self._done[name].wait()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """While it computes, what is started in here has one thread: more would wait for each other by spinning."""
        limited = bool(self._thread and self._thread.is_alive()) and "OMP_NUM_THREADS" not in os.environ
        if limited:
            os.environ["OMP_NUM_THREADS"] = "1"
        try:
            yield
        finally:
            if limited:
                del os.environ["OMP_NUM_THREADS"]

    def _compute(self) -> None:
        preset, data, data_dir, device = self._place
        try:
            for name, done in self._done.items():
                if self._ended:
                    break
                known = EXPERIMENTS[name].data
                place = name, data if data in known else known[0], preset, data_dir, device
                compute(*place, jobs=self._jobs, aside=True)
                done.set()
        except BaseException:  # see above; a process that was interrupted sends that here
            pass
        finally:
            for done in self._done.values():
                done.set()
