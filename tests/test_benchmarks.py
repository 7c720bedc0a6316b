"""The benchmarks' own arithmetic, and that what they time is what it is called."""

import importlib.util
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks import __main__ as command
from benchmarks import contestants, expert, figure, harness, paper, worker
from benchmarks.tasks import DECAY, SLOPE, TASKS, Task, problem
from lib.experiments import EXPERIMENTS
from lib.experiments.plans import timing_alone
from lib.kernels import naive
from lib.neurons import LIF
from lib.runs import Job, Outcome

TINY = Task(sizes=(12, 10, 8, 3), batch=4, n_bins=30, density=0.1)
DELAYED = replace(TINY, longest_delay=6)
ONE_LAYER = Task(sizes=(12, 10, 3), batch=4, n_bins=30, density=0.1)
REQUIREMENTS = harness.ROOT / "benchmarks" / "requirements.txt"


class FakeWorker:
    """A contestant whose n-th step takes `costs[n]` seconds of CPU, and 1000 s on the wall."""

    def __init__(self, *costs):
        self.costs = list(costs)
        self.asked = []

    def ask(self, **request):
        self.asked.append(request)
        if "task" in request:
            return {"rates": [0.25], "bytes": 8 * TINY.neuron_steps}
        taken, self.costs = self.costs[: request["steps"]], self.costs[request["steps"] :]
        return {"cpu": sum(taken), "wall": 1000.0}


def test_every_round_measures_each_once_and_starts_elsewhere():
    """Drift of the machine meets all alike: all of a round before the next round, in rotated order."""
    log = []
    measure = {name: (lambda name=name: log.append(name) or float(len(log))) for name in "abc"}
    found = harness.interleave(measure, 4)
    assert "".join(log) == "abcbcacababc"
    assert found == {"a": [1, 6, 8, 10], "b": [2, 4, 9, 11], "c": [3, 5, 7, 12]}


def test_times_are_medians_of_a_step_and_ratios_to_ours():
    """One slow round moves no median; short steps are timed several at once; memory is per neuron and time step."""
    ours = FakeWorker(0.01, *[0.01] * 5, *[0.5] * 5, *[0.02] * 5)  # 0.05 s are 5 steps: 10, 500 and 20 ms each
    peer = FakeWorker(0.08, 0.08, 0.06, 0.9)
    found = harness.compare({"ours": (ours, TINY), "peer": (peer, TINY)}, rounds=3)
    assert [request.get("steps") for request in ours.asked] == [None, 1, 5, 5, 5]
    assert [request.get("steps") for request in peer.asked] == [None, 1, 1, 1, 1]
    assert found["ours"] == {"rates": [0.25], "bytes": 8.0, "ms": 20.0, "all_ms": [10.0, 500.0, 20.0]}
    assert found["peer"]["ms"] == 80.0
    assert harness.ratios({name: row["ms"] for name, row in found.items()}) == {"ours": 1.0, "peer": 4.0}


def test_the_values_of_an_axis_are_timed_in_one_run(monkeypatch):
    """A worker a value, with the task of this value, all timed in each round; a second axis takes the same workers."""
    log, workers = [], []

    class Logged(FakeWorker):
        def __init__(self, contestant):
            super().__init__(*[0.1 * len(workers) + 0.1] * 200)
            workers.append(self)
            self.closed = False

        def ask(self, **request):
            log.append((workers.index(self), request.get("steps", "build")))
            return super().ask(**request)

        def close(self):
            self.closed = True

    monkeypatch.setattr(command, "Worker", Logged)
    axes = {"longest delay": [TINY, DELAYED], "hidden neurons": [TINY, replace(TINY, sizes=(12, 20, 8, 3))]}
    monkeypatch.setattr(command, "GROWTH", axes)
    found = command.growth()
    for axis, values in (("longest delay", (0, 6)), ("hidden neurons", (10, 20))):
        assert [(row["value"], row["ms"], len(row["all_ms"])) for row in found[axis]] == [
            (values[0], 100.0, 15), (values[1], 200.0, 15),
        ]  # fmt: skip
    assert log[:8] == [(0, "build"), (0, 1), (1, "build"), (1, 1), (0, 1), (1, 1), (1, 1), (0, 1)]
    assert [worker.asked[0]["task"]["longest_delay"] for worker in workers] == [0, 6]
    assert all(worker.closed for worker in workers)


def test_a_step_counts_the_updates_of_its_neurons():
    """Batch x time x neurons behind the inputs: 128 x 100 x (128 + 128 + 20) for S at 100 steps."""
    assert TASKS["S 100"].neuron_steps == 128 * 100 * 276
    assert TASKS["CD 1000"].neuron_steps == 32 * 1000 * 102


def test_a_problem_is_the_same_for_everyone():
    """Same seed, same numbers; density and delays as asked; the dense form holds exactly the listed spikes."""
    one, two = problem(replace(DELAYED, n_bins=400)), problem(replace(DELAYED, n_bins=400))
    for name in ("sample", "unit", "bin", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    dense = one.dense()
    assert dense.shape == (400, 4, 12) and dense.sum() == len(one.bin)
    assert dense.mean() == pytest.approx(0.1, rel=0.1)
    assert [len(delays) for delays in one.delays] == [12, 10]
    assert all(0 <= d.min() <= d.max() < 6 for d in one.delays)


@pytest.mark.parametrize("task", [TINY, DELAYED], ids=["plain", "delayed"])
def test_the_expert_computes_the_specification(task):
    """Evidence and every gradient of the hand-made adjoint equal autograd through the specification, float64."""
    drawn = problem(task)
    out = []
    for by_hand in (True, False):
        weights, delays = ([_parameter(x) for x in group] for group in (drawn.weights, drawn.delays))
        evidence = _by_hand(drawn, weights, delays) if by_hand else _specified(drawn, weights, delays)
        cross_entropy(evidence, torch.from_numpy(drawn.labels)).backward()
        out.append([evidence, *(p.grad for p in (*weights, *delays))])
    assert len(out[0]) == (6 if task.longest_delay else 4) and all(x.abs().sum() > 0 for x in out[1])
    for one, other in zip(*out, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def _parameter(start: np.ndarray) -> torch.Tensor:
    return torch.tensor(start, dtype=torch.float64, requires_grad=True)


def _by_hand(drawn, weights, delays):
    rows = torch.from_numpy(drawn.bin * drawn.task.batch + drawn.sample)
    rows, order = rows.sort(stable=True)
    size = drawn.task.n_bins * drawn.task.batch
    spikes = expert.sparse(rows, torch.from_numpy(drawn.unit)[order], size, drawn.task.sizes[0])
    return expert.evidence(spikes, weights, delays, DECAY, SLOPE, drawn.task.batch, drawn.task.n_bins)[0]


def _specified(drawn, weights, delays):
    """Written out with the specification's operations."""
    spikes = torch.from_numpy(drawn.dense()).double().transpose(0, 1)
    for layer, weight in enumerate(weights[:-1]):
        decay = torch.full((len(weight),), DECAY, dtype=torch.float64)
        n_steps = spikes.shape[1] + (int(delays[layer].detach().max().ceil()) if delays else 0)
        spikes = naive.layer(spikes, weight, delays[layer] if delays else None, decay, LIF(slope=SLOPE), n_steps)
    return naive.summed_potential(spikes, weights[-1], DECAY) / drawn.task.n_bins


def available(name: str) -> bool:
    """Whether the peer's library is in this environment (they have one of their own)."""
    return importlib.util.find_spec({"dcls": "DCLS"}.get(name, name)) is not None


@pytest.mark.parametrize("name", ["ours", "ours_compact", "expert", "torch_loop", *harness.PEERS])
@pytest.mark.parametrize("task", [TINY, DELAYED, ONE_LAYER], ids=["plain", "delayed", "one hidden layer"])
def test_contestants_take_steps(name, task):
    """Each trains at tiny size; rates before the first update are those of ours where the neuron is the same."""
    if name in harness.PEERS and not available(name):
        pytest.skip(f"{name} is not in this environment")
    if name in harness.PEERS and bool(task.longest_delay) != (name == "dcls"):
        pytest.skip("not in the line-up")
    rates = []
    for contestant in ("ours", name):
        step, rates_of = getattr(contestants, contestant)(problem(task))
        step()
        rates.append(rates_of())
    assert len(rates[0]) == len(task.sizes) - 2 and min(rates[0]) > 0
    if name not in ("spyx", "brainstate"):  # spyx resets later; rates of both are taken after the update
        assert rates[1] == pytest.approx(rates[0], rel=1e-5)


def test_the_project_s_own_contestants_answer_as_processes():
    """A worker builds, says its rates and memory, and times the steps that it is asked for."""
    answering = harness.Worker("ours")
    built = answering.ask(task=TINY.__dict__)
    assert len(built["rates"]) == 2 and built["bytes"] >= 0
    once, often = answering.ask(steps=1), answering.ask(steps=200)
    assert 0 < once["cpu"] < often["cpu"] and often["wall"] > 0
    answering.close()


def test_a_crowd_is_a_process_a_core():
    """All take their steps at once; times are averages of theirs."""
    crowd = harness.Crowd("ours", 2)
    assert len(crowd.ask(task=TINY.__dict__)["rates"]) == 2
    slow = {"cpu": 0.3, "wall": 0.5}
    assert crowd.ask(steps=3)["wall"] > 0
    crowd.workers[0].answer = lambda: slow
    crowd.workers[1].answer = lambda: {"cpu": 0.1, "wall": 0.2}
    assert crowd.ask(steps=1) == {"cpu": pytest.approx(0.2), "wall": pytest.approx(0.35)}
    crowd.close()


def test_a_process_that_ends_says_why():
    """Its last words become the error."""
    answering = harness.Worker("nobody")
    with pytest.raises(RuntimeError, match="nobody"):
        answering.ask(task=TINY.__dict__)
    answering.close()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_peak_memory_is_that_of_the_step():
    """A step that fills 64 MB and lets go of it has a peak of 64 MB, whatever was used before it."""
    np.ones(16_000_000)  # 128 MB, gone before
    assert worker.peak_bytes(lambda: np.ones(8_000_000)) == pytest.approx(64e6, rel=0.1)


def test_the_environment_is_made_once(tmp_path, monkeypatch):
    """torch first and with its dependencies, then the rest without; again only when the file changes."""
    calls, pins = [], tmp_path / "requirements.txt"
    pins.write_text("# why\ntorch==2.13.0\nspyx==1.0.0\n")
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    monkeypatch.setattr(harness, "ENVIRONMENT", tmp_path / "peers")
    (tmp_path / "peers").mkdir()
    monkeypatch.setattr(harness.subprocess, "run", lambda words, check: calls.append([str(w) for w in words]))
    harness.install(pins)
    harness.install(pins)
    assert len(calls) == 3 and calls[1][-1] == "torch==2.13.0" and "--no-deps" not in calls[1]
    assert calls[2][-3:] == ["--no-deps", "-r", str(pins)]
    pins.write_text("torch==2.14.0\n")
    harness.install(pins)
    assert len(calls) == 6


def test_everything_is_pinned_and_every_peer_named():
    """The peers' requirements are exact versions, torch the one of the project."""
    lines = [line.split("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines()]
    pins = dict(line.split("==") for line in lines if line)
    assert {"spyx", "jax", "brainstate", "spikingjelly", "snntorch", "DCLS"} <= pins.keys()
    assert f"torch=={pins['torch']}" in (harness.ROOT / "requirements.lock").read_text().splitlines()


def test_the_figure_shows_times_and_ratios(tmp_path):
    """A point at every time, a number at every ratio, the same bytes from the same numbers."""
    names = {"S": ("ours", "expert", "spyx"), "D": ("ours", "dcls"), "C": ("ours", "spyx"), "CD": ("ours", "dcls")}
    tasks = {
        f"{shape} {n}": {name: {"ms": n / 10 * 3.0**place} for place, name in enumerate(entered)}
        for shape, entered in names.items() for n in (100, 1000)
    }  # fmt: skip
    fig = figure.draw({"tasks": tasks})
    panel = fig.axes[0]
    assert sorted(x for line in panel.lines for x in line.get_xdata()) == [10, 30, 90, 100, 300, 900]
    assert sorted(text.get_text() for text in panel.texts) == ["3.0", "3.0", "9.0", "9.0"]
    assert panel.get_xscale() == "log"
    stored = tmp_path / "training.json"
    stored.write_text(json.dumps({"tasks": tasks}))
    pictures = []
    for _ in range(2):
        figure.write_figure(stored)
        pictures.append([stored.with_suffix(suffix).read_bytes() for suffix in (".png", ".svg")])
    assert pictures[0] == pictures[1]


def test_every_configuration_of_the_paper_tier_is_planned_and_short():
    """All runs of the preset, each once; a configuration differs in seed and level alone; shortened, only epochs change."""
    configurations = paper.planned()
    runs = [run for same in configurations.values() for run in same]
    everything = {run for known in EXPERIMENTS.values() for run in known.plan(known.data[0], "paper")}
    assert len(runs) == len(everything) and set(runs) == everything
    for same in configurations.values():
        assert len({paper.epochs_of(run) for run in same}) == 1
        short = paper.shortened(same[0], 2)
        assert paper.epochs_of(short) in (0, 2) and paper.configuration(short)[:3] == paper.configuration(same[0])[:3]


def test_cost_of_a_configuration(tmp_path, monkeypatch):
    """Two lengths tell an epoch from the rest: 3 s and 11 s at one and five epochs are 2 s an epoch and 1 s more."""
    (run,) = [run for run in timing_alone("digits", "smoke") if run.arm == "no_delays" and run.variant == "norm"]
    clock = iter([0.0, 3.0, 10.0, 21.0])  # before and after one epoch, then five
    monkeypatch.setattr(paper.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(paper, "run_all", lambda *_, **__: [Outcome("k", {}, None, {})])
    monkeypatch.setattr(paper, "epochs_of", lambda run: 1000)
    found = paper.measure([run, run], Job(), tmp_path)
    assert (found["epoch_s"], found["rest_s"]) == (2.0, 1.0)
    assert found["hours"] == round(2 * 2001 / 3600, 2)
