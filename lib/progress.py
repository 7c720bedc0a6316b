"""Progress of long work: a bar for people who watch, a line now and then for logs."""

from __future__ import annotations

import os
import sys
import threading
import time

from tqdm.auto import tqdm

LINE_EVERY = 30.0  # s, in logs


def interactive() -> bool:
    """Whether someone watches: a terminal, or a notebook that is not run headless."""
    if os.environ.get("BRC_HEADLESS"):
        return False
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return sys.stderr.isatty() or hasattr(shell, "kernel")


class progress:  # noqa: N801 - used like a function
    """Count finished pieces of work: `with progress(40, "networks", "run") as bar: ... bar.update(1)`.

    People who watch see a bar with the time left. A log has a line at the start, one every LINE_EVERY seconds, also
    while a single piece takes longer, and one at the end.

    Args:
        total: pieces in all; with 0 nothing is shown.
        label: what is being made.
        unit: one piece.
    """

    def __init__(self, total: int, label: str, unit: str) -> None:
        self._total, self._label, self._unit = total, label, unit
        self._done = 0
        self._bar = None
        self._ended = threading.Event()

    def __enter__(self) -> progress:
        self._start = time.monotonic()
        if self._total and interactive():
            self._bar = tqdm(total=self._total, desc=self._label, unit=self._unit)
        elif self._total:
            print(f"{self._label}: 0/{self._total} {self._unit}s", flush=True)
            threading.Thread(target=self._report, daemon=True).start()
        return self

    def update(self, n: int = 1) -> None:
        """Say that `n` more pieces are done."""
        self._done += n
        if self._bar is not None:
            self._bar.update(n)

    def __exit__(self, *_) -> None:
        self._ended.set()
        if self._bar is not None:
            self._bar.close()
        elif self._total:
            print(self.line(time.monotonic() - self._start), flush=True)

    def _report(self) -> None:
        """A line now and then, until the work has ended."""
        while not self._ended.wait(LINE_EVERY):
            print(self.line(time.monotonic() - self._start), flush=True)

    def line(self, elapsed: float) -> str:
        """Pieces done, time since the start, and time left if every piece takes as long as those done."""
        text = f"{self._label}: {self._done}/{self._total} {self._unit}s, {clock_time(elapsed)} elapsed"
        if not 0 < self._done < self._total:
            return text
        return f"{text}, about {clock_time(elapsed * (self._total - self._done) / self._done)} left"


def clock_time(seconds: float) -> str:
    """Minutes and seconds, as 2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
