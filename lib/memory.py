"""Memory: how much there is, how many processes it holds, and what to do when it has run out."""

from __future__ import annotations

import re
from pathlib import Path

import joblib
import torch

PER_PROCESS = 1.8e9  # bytes; the largest runs of the presets take 1.7 GB (`about` of their outcomes)
KNOBS = "use fewer processes (--jobs 1) or a smaller --preset"
ASKED = re.compile(r"allocate ([\d.]+ ?\w+)")


def available() -> float | None:
    """Bytes that can still be had, also under the limit of a container; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    limit, used, detail = (Path("/sys/fs/cgroup") / f"memory.{name}" for name in ("max", "current", "stat"))
    try:
        parts = dict(line.split() for line in detail.read_text().splitlines())
        files = float(parts.get("inactive_file", 0))  # counted as used, and given back when memory is asked for
        return min(free, float(limit.read_text()) - float(used.read_text()) + files)
    except (OSError, ValueError):  # no container, or "max"
        return free


def processes(wanted: int | None) -> int:
    """How many processes: as many as are wanted, else one a core, but no more than memory holds."""
    if wanted:
        return wanted
    cores, free = joblib.cpu_count(), available()  # the cores that this process may use
    return cores if free is None else max(1, min(cores, int(free / PER_PROCESS)))


def explain(error: BaseException, device: str) -> str | None:
    """What ran out, how much was asked for and is there, and the knobs; None if the error is another one."""
    cpu = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
    if not cpu and not isinstance(error, torch.OutOfMemoryError):
        return None
    asked = ASKED.search(str(error))
    needed = f"{asked[1]} were needed, " if asked else ""
    if not cpu:
        free, _ = torch.cuda.mem_get_info() if torch.cuda.is_available() else (0, 0)
        return (
            f"memory of {device} ran out: {needed}{free / 1e9:.1f} GB are free; use a smaller --preset or --device cpu"
        )
    return f"memory ran out: {needed}{_gigabytes()} are available; {KNOBS}"


def killed() -> str:
    """What to say of a process that the system has killed."""
    return f"a process was killed; most often memory ran out: {_gigabytes()} are available now; {KNOBS}"


def _gigabytes() -> str:
    free = available()
    return "unknown GB" if free is None else f"{free / 1e9:.1f} GB"
