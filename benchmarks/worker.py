"""One process, one contestant: builds the tasks that it is told to, and takes steps of training when it is told to.

A line of JSON comes in, a line of JSON goes out; see `answer`. Started by `benchmarks.harness`.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path


def peak_bytes(step) -> int:
    """Memory that a step takes at its worst, beyond what lies there between steps (Linux; elsewhere 0)."""
    if sys.platform != "linux":
        return 0
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _status("VmRSS")
    step()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return 1024 * int(line.split()[1])


def build(contestant: str, task: dict):
    """A step of training and the rates, from a name in `benchmarks.contestants` and the fields of a `Task`."""
    tasks = importlib.import_module("benchmarks.tasks")
    problem = tasks.problem(tasks.Task(**task | {"sizes": tuple(task["sizes"])}))
    return getattr(importlib.import_module("benchmarks.contestants"), contestant)(problem)


def main() -> None:
    """Answer until the input ends: {"task": ...} builds and warms up, {"steps": n} takes n steps of training."""
    contestant, threads, core = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1 - core]})
    step = rates = None
    for line in sys.stdin:
        request = json.loads(line)
        if "task" in request:
            step = rates = None
            gc.collect()
            step, rates = build(contestant, request["task"])
            step()
            reply = {"rates": rates(), "bytes": peak_bytes(step)}
        else:
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(request["steps"]):
                step()
            reply = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
