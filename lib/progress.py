"""Progress of long work: a bar for people who watch, a line now and then for logs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from tqdm.auto import tqdm

LINE_EVERY = 10.0  # s, in logs


def interactive() -> bool:
    """Whether someone watches: a terminal, or a notebook that is not run headless."""
    if os.environ.get("BRC_HEADLESS"):
        return False
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return sys.stderr.isatty() or hasattr(shell, "kernel")


class progress:  # noqa: N801 - used like a function
    """Count finished pieces of work: `with progress(40, "networks", "run") as bar: ... bar.update(1)`.

    Args:
        total: pieces in all; with 0 nothing is shown.
        label: what is being made.
        unit: one piece.
        clock: seconds; for tests.
    """

    def __init__(
        self, total: int, label: str, unit: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._label, self._unit, self._clock = total, label, unit, clock
        self._done = 0
        self._bar = None

    def __enter__(self) -> progress:
        self._start = self._last = self._clock()
        if self._total and interactive():
            self._bar = tqdm(total=self._total, desc=self._label, unit=self._unit)
        elif self._total:
            print(f"{self._label}: 0/{self._total} {self._unit}s", flush=True)
        return self

    def update(self, n: int = 1) -> None:
        """Say that `n` more pieces are done."""
        self._done += n
        now = self._clock()
        if self._bar is not None:
            self._bar.update(n)
        elif self._done and (now - self._last >= LINE_EVERY or self._done == self._total):
            self._last = now
            elapsed = now - self._start
            left = elapsed * (self._total - self._done) / self._done
            line = f"{self._label}: {self._done}/{self._total} {self._unit}s, {clock_time(elapsed)} elapsed"
            print(line + (f", about {clock_time(left)} left" if left else ""), flush=True)

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()


def clock_time(seconds: float) -> str:
    """Minutes and seconds, as 2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
