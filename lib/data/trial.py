"""A trial reading of an event file from elsewhere, in a process of its own.

The HDF5 library is made for whole files: a damaged one can crash it, or keep it busy for ever. Whoever is about to read
a file that this project did not write lets a child read it first, so that it is the child that dies.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from ..errors import InputError
from .events import REMEDY, read_shd_chunks

PATIENCE = 20  # s a chunk of samples may take; usual are 0.1 s
MEMORY = 16 << 30  # bytes of address space; a chunk takes some MB


def check(path: str | Path) -> None:
    """Make sure that the HDF5 library survives a file. What else may be wrong with it, reading will say.

    Raises:
        InputError: it does not.
    """
    path = Path(path).resolve()
    if path.is_file():
        _check(path, path.stat().st_size, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _check(path: Path, size: int, mtime_ns: int) -> None:
    """Once a process, as long as size and time stay as they are."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    words = [sys.executable, "-m", __name__, str(path), str(PATIENCE)]
    done = subprocess.run(words, env=environment, capture_output=True)
    if done.returncode < 0:
        reason = (
            "without end" if -done.returncode == signal.SIGALRM else f"crash, {signal.Signals(-done.returncode).name}"
        )
        raise InputError(f"{path}: damaged, the HDF5 library cannot read it ({reason}); {REMEDY}")


def _read(path: str, patience: int) -> None:
    """What the child does."""
    with suppress(ValueError, OSError):  # not on every system
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.alarm(patience)  # ends this process also inside the library
    with suppress(InputError, MemoryError):
        for _ in read_shd_chunks(path):
            signal.alarm(patience)


if __name__ == "__main__":
    _read(sys.argv[1], int(sys.argv[2]))
