"""Interleaved timing: a process per entrant, one running at a time, medians over rounds."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from .tasks import Task

Key = TypeVar("Key", str, float)  # of an entrant: a contestant, or a value of an axis
ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "build" / "peers"
LONG_ENOUGH = 0.05  # s: fewer steps than take this long are not timed alone
PEERS = ("spyx", "brainstate", "spikingjelly", "snntorch", "dcls")  # the others run in the project's environment


class Worker:
    """A contestant in a process of its own.

    Args:
        contestant: a function of `benchmarks.contestants`.
        threads: 1: bound to one core.
        core: which one, from the last.
    """

    def __init__(self, contestant: str, threads: int = 1, core: int = 0) -> None:
        python = ENVIRONMENT / "bin" / "python" if contestant in PEERS else sys.executable
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        xla = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"} if threads == 1 else {}
        # `lib` sets how idle threads wait, for its own process; the other libraries keep their own way
        own = {name: word for name, word in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [python, "-W", "ignore", "-m", "benchmarks.worker", contestant, str(threads), str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
            cwd=ROOT,
            env=own | dict.fromkeys(names, str(threads)) | xla,
        )

    def ask(self, **request) -> dict:
        """Send a request, wait for the answer. Raises RuntimeError, see `answer`."""
        self.send(request)
        return self.answer()

    def send(self, request: dict) -> None:
        """Send a request."""
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()

    def answer(self) -> dict:
        """Wait for the answer to the last request.

        Raises:
            RuntimeError: the process ended; the message is the last line that it wrote.
        """
        line = self.process.stdout.readline()
        if not line:
            self.said.seek(0)
            raise RuntimeError((self.said.read().strip().splitlines() or ["it ended"])[-1])
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.said.close()


class Crowd:
    """The same contestant on every core at once, each process on its own: no threads can share the work of one step
    better than these share the machine."""

    def __init__(self, contestant: str, cores: int) -> None:
        self.workers = [Worker(contestant, core=core) for core in range(cores)]

    def ask(self, **request) -> dict:
        """All get the request at once; of times, the average."""
        for worker in self.workers:
            worker.send(request)
        answers = [worker.answer() for worker in self.workers]
        times = {key: statistics.fmean(each[key] for each in answers) for key in ("cpu", "wall") if key in answers[0]}
        return answers[0] | times

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            worker.close()


def interleave(measure: dict[Key, Callable[[], float]], rounds: int) -> dict[Key, list[float]]:
    """Each measurement once a round, a round starting with another one each time, so that drift meets all alike."""
    names, found = list(measure), {name: [] for name in measure}
    for round_ in range(rounds):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(measure[name]())
    return found


def ratios(milliseconds: dict[str, float], reference: str = "ours") -> dict[str, float]:
    """How many times as long as the reference each takes."""
    return {name: ms / milliseconds[reference] for name, ms in milliseconds.items()}


def compare(entrants: dict[Key, tuple[Worker | Crowd, Task]], rounds: int, clock: str = "cpu") -> dict[Key, dict]:
    """Time every worker on its task.

    Args:
        entrants: name -> a worker and its task; a worker holds one task, so every entrant has its own.
        rounds: how often each is timed.
        clock: "cpu" or "wall".

    Returns:
        Name -> {"ms" (median of a step of training), "all_ms", "rates" (spikes of a hidden neuron a bin),
        "bytes" (peak memory of a step, per neuron and time step)}.
    """
    found, measure = {}, {}
    for name, (worker, task) in entrants.items():
        built = worker.ask(task=asdict(task))
        steps = max(1, round(LONG_ENOUGH / worker.ask(steps=1)[clock]))
        measure[name] = lambda worker=worker, steps=steps: worker.ask(steps=steps)[clock] / steps
        found[name] = {"rates": built["rates"], "bytes": round(built["bytes"] / task.neuron_steps, 1)}
    for name, seconds in interleave(measure, rounds).items():
        every = [round(1e3 * s, 3) for s in seconds]
        found[name] |= {"ms": statistics.median(every), "all_ms": every}
    return found


def install(requirements: Path) -> None:
    """Make the peers' environment in build/, unless it is there and was made from the same file.

    torch comes first and with all that it needs, from wherever pip takes it; the rest comes without dependencies,
    which the file lists, because several libraries would replace torch or pull in parts that no benchmark uses.
    """
    stamp = ENVIRONMENT / "installed-from"
    wanted = requirements.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Making {ENVIRONMENT.relative_to(ROOT)} for the other libraries: once, some minutes ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
    pip = [ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    torch = next(line for line in wanted.splitlines() if line.startswith("torch=="))
    subprocess.run([*pip, torch], check=True)
    subprocess.run([*pip, "--no-deps", "-r", requirements], check=True)
    stamp.write_text(wanted)
