"""Every run is computed once, stored whole, verified when read, and named by everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from toy import ToyRun

from lib import runs
from lib.errors import InputError, RunFailed
from lib.experiments.arms import Settings
from lib.experiments.speech import Perturbation, SpeechRun
from lib.runs import Job, canonical, checksum, key_of, run_all

ROOT = Path(__file__).parents[1]
SPEECH = SpeechRun("digits", "norm", "no_delays", 0, Settings(60.0, 1.0, 2e-3), 1, 100, (8, 8))
ONE = ToyRun(0, epochs=1)


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"variant": "whole"},
        {"data": "fsdd"},
        {"settings": Settings(60.0, 1.0, 1e-3)},
        {"epochs": 2},
        {"hidden": (8, 9)},
        {"train_perturbation": Perturbation("jitter", 1.0)},
        {"test_perturbations": ()},
        {"parts": ("validation",)},
    ],
)
def test_any_change_gives_another_name(changed):
    """A run that would give other numbers has another key; an equal run has the same."""
    assert key_of(replace(SPEECH, **changed)) != key_of(SPEECH) == key_of(replace(SPEECH))


def test_name_holds_version_data_and_type(monkeypatch):
    """Another results version, other data, or another type of run with the same fields: another key."""
    before = key_of(ONE)
    assert key_of(replace(ONE, data="abd")) != before
    other = type("OtherRun", (ToyRun,), {})
    assert key_of(other(0, epochs=1)) != before
    monkeypatch.setattr(runs, "RESULTS_VERSION", runs.RESULTS_VERSION + 1)
    assert key_of(ONE) != before


def test_shipped_data_keep_their_names():
    """The key of a digits run is the hash of its fields and of the shipped list of files; no folder changes it."""
    from lib.data import shipped

    files = hashlib.sha256((shipped.FOLDER / shipped.CHECKSUMS).read_bytes()).hexdigest()
    name = {"type": "SpeechRun", "fields": asdict(SPEECH), "version": runs.RESULTS_VERSION, "data": files}
    text = json.dumps(name, sort_keys=True, separators=(",", ":"))
    assert key_of(SPEECH) == key_of(SPEECH, "anywhere") == hashlib.sha256(text.encode()).hexdigest()[:20]


def test_speech_data_are_part_of_the_name(monkeypatch, tmp_path):
    """A shipped file that changes changes its list of checksums, and with it every key."""
    from lib.data import shipped

    before = key_of(SPEECH)
    (tmp_path / shipped.CHECKSUMS).write_text((shipped.FOLDER / shipped.CHECKSUMS).read_text().replace("a", "b", 1))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert key_of(SPEECH) != before


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A function that lists the epochs each seed was trained for, in order."""
    folder = tmp_path / "log"
    folder.mkdir()
    monkeypatch.setenv("TOY_LOG", str(folder))
    return lambda: {int(f.name): f.read_text().split() for f in sorted(folder.iterdir()) if f.name.isdigit()}


def test_a_run_is_computed_once(tmp_path, log):
    """The second call reads the store, a run asked for twice is computed once, order is kept."""
    some = [ToyRun(seed, epochs=1) for seed in (3, 1, 3)]
    first = run_all(some, jobs=1, store=tmp_path / "store")
    assert [o.key for o in first] == [key_of(r) for r in some] and first[0] == first[2] != first[1]
    again = run_all([ToyRun(4, epochs=1), *some], jobs=1, store=tmp_path / "store")
    assert again[1:] == first
    assert log() == {seed: ["0", "0"] for seed in (1, 3, 4)}


def test_the_longest_runs_are_begun_first(tmp_path):
    """So that no core idles at the end; outcomes come in the order that was asked for."""
    some = [ToyRun(0, epochs, outcome="failed") for epochs in (1, 3, 2)]
    with pytest.warns(UserWarning, match="silent"):
        outcomes = run_all(some, jobs=1, store=tmp_path)
    assert [outcome.key for outcome in outcomes] == [key_of(run) for run in some]
    written = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert [path.stem for path in written] == [key_of(ToyRun(0, epochs, outcome="failed")) for epochs in (3, 2, 1)]


@dataclass(frozen=True)
class Sibling(ToyRun):
    """A toy run that is computed side by side with those of as many epochs."""

    @property
    def together(self) -> int | None:
        return self.epochs or None

    @staticmethod
    def perform_together(several, job):
        assert len({run.epochs for run in several}) == 1 < len(several)
        job.checkpoint.touch()
        outcomes = {"failed": RunFailed("silent"), "nan": {"accuracy": float("nan")}, "trained": {"accuracy": 0.5}}
        return [outcomes[run.outcome] for run in several]


def test_runs_that_agree_are_computed_side_by_side(tmp_path, monkeypatch):
    """No more than SIDE_BY_SIDE, no process idle, the most work first; the same ones after an interruption."""
    monkeypatch.setattr(runs, "SIDE_BY_SIDE", 3)

    def tasks(some, jobs, stored=()):
        wanted = {tmp_path / f"{i}": run for i, run in enumerate(some)}
        missing = {path for path, run in wanted.items() if run not in stored}
        return [list(task.values()) for task in runs._tasks(wanted, missing, jobs)]

    short, long = [Sibling(seed, 1) for seed in range(7)], [Sibling(seed, 5) for seed in range(2)]
    alone = [Sibling(7, 0), ToyRun(0, 1), ToyRun(1, 1)]
    others = [[run] for run in (*alone[1:], alone[0])]
    assert tasks(short + long + alone, 3) == [long, short[:3], short[3:6], *others[:2], short[6:], others[2]]
    assert tasks(short + long + alone, 3, short[:3] + long) == [short[3:6], *others[:2], short[6:], others[2]]
    assert tasks(short, 4) == [short[:2], short[2:4], short[4:6], short[6:]]
    assert tasks(short, 7) == [[run] for run in short]


def test_on_a_cluster_every_run_is_alone(tmp_path, monkeypatch):
    """So that all workers have one; where nothing is missing, none is asked for."""
    some, tasks = [Sibling(seed, 1) for seed in range(3)], []
    monkeypatch.setattr(runs, "_workers", lambda scheduler: nullcontext(tasks.append(scheduler)))
    monkeypatch.setattr(runs.joblib, "Parallel", lambda processes, **how: lambda calls: (f(*a) for f, a, _ in calls))
    monkeypatch.setattr(
        runs, "_compute", lambda task, job, compute=runs._compute: tasks.append(len(task)) or compute(task, job)
    )
    outcomes = run_all(some, store=tmp_path, scheduler="tcp://somewhere:1")
    assert tasks == ["tcp://somewhere:1", 1, 1, 1]
    assert run_all(some, store=tmp_path, scheduler="tcp://somewhere:1") == outcomes and tasks[4:] == [None]
    assert run_all([], store=tmp_path, scheduler="tcp://somewhere:1") == []


def test_each_run_side_by_side_has_an_outcome_of_its_own(tmp_path, monkeypatch):
    """Stored by name, failed ones too, with a share of the time; their checkpoint is gone, in every case."""
    some = {outcome: Sibling(seed, 2, outcome=outcome) for seed, outcome in enumerate(("trained", "failed", "nan"))}
    clock = iter((10.0, 16.0))
    monkeypatch.setattr(runs, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    outcomes = runs._compute({tmp_path / f"{key_of(run)}.json": run for run in some.values()}, Job())
    assert [outcome.result for outcome in outcomes] == [{"accuracy": 0.5}, None, None]
    assert [outcome.failed for outcome in outcomes] == [None, "silent", "a result is not a finite number"]
    assert [runs.read(tmp_path / f"{key_of(run)}.json") for run in some.values()] == outcomes
    assert {outcome.about["seconds"] for outcome in outcomes} == {2.0} and not list(tmp_path.glob("*.checkpoint"))
    first, *others = (tmp_path / f"{key_of(run)}.json" for run in some.values())
    names = {runs._checkpoint(paths).name for paths in ([first], [first, others[0]], [first, *others])}
    assert len(names) == 3 and f"{first.stem}.checkpoint" in names
    left = runs._checkpoint([first, *others])
    left.touch()
    with pytest.warns(UserWarning, match="2 of 3 runs have no score"):
        run_all(list(some.values()), jobs=1, store=tmp_path)
    assert not left.exists()


def test_changed_config_or_data_is_computed_again(tmp_path, log):
    """One more epoch or another checksum of the data: both runs exist afterwards."""
    for run in (ONE, replace(ONE, epochs=2), replace(ONE, data="xyz")):
        run_all([run], jobs=1, store=tmp_path / "store")
    assert log() == {0: ["0", "0"] + ["0", "0", "1"] + ["0", "0"]}
    assert len(list((tmp_path / "store").iterdir())) == 3


def test_what_is_stored(tmp_path):
    """Type and fields, result, and about: time, memory, device, threads, versions, commit; and no checkpoint."""
    (outcome,) = run_all([ONE], jobs=1, store=tmp_path)
    (path,) = tmp_path.iterdir()
    stored = json.loads(path.read_text())
    assert stored["run"]["type"] == "ToyRun" and stored["run"]["fields"]["epochs"] == 1
    assert stored["result"] == outcome.result and len(outcome.result["weights"]) == 64
    assert stored["about"].keys() == {"seconds", "peak_mb", "device", "threads", "versions", "commit"}
    assert stored["about"]["device"] == "cpu" and stored["about"]["peak_mb"] > 50
    assert stored["checksum"] == checksum([stored["result"], None])


def test_time_and_memory_are_those_of_the_run(tmp_path, monkeypatch):
    """Seconds to the hundredth, megabytes of the process at its peak."""
    clock = iter((10.0, 11.2345))
    monkeypatch.setattr(runs, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(runs.resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2048 * 1024 + 5))
    about = runs._compute({tmp_path / "a.json": replace(ONE, outcome="failed")}, Job())[0].about
    assert (about["seconds"], about["peak_mb"]) == (1.23, 2048)


@pytest.mark.parametrize(
    ("device", "jobs", "processes"),
    [("cpu", 2, 2), ("cpu", 9, 3), ("cpu", None, min(3, os.cpu_count() or 1)), ("cuda", 9, 1)],
)
def test_how_runs_are_handed_out(tmp_path, monkeypatch, capsys, device, jobs, processes):
    """As many processes as asked for, or one a core, but no more than tasks; on a GPU one. A run that does not say with
    whom it can be is a task of its own, so that none waits for another, and counts once in the progress."""
    called = []

    def parallel(n_jobs, **how):
        called.append((n_jobs, how))
        return lambda tasks: [[runs.Outcome(path.stem, {}, None, {}) for path in task[1][0]] for task in tasks]

    monkeypatch.setattr(runs.joblib, "Parallel", parallel)
    monkeypatch.setattr(runs.memory, "available", lambda: None)
    outcomes = run_all(SWEEP, Job(device=device), jobs=jobs, store=tmp_path)
    assert [o.key for o in outcomes] == [key_of(run) for run in SWEEP]
    assert called == [(processes, {"return_as": "generator_unordered", "batch_size": 1})]
    assert re.match(r"networks: 0/3 runs\nnetworks: 3/3 runs, ", capsys.readouterr().out)


def test_devices_are_picked_by_name(monkeypatch):
    """auto is the GPU where there is one; cuda without one, and unknown names, are refused."""
    for there in (False, True):
        monkeypatch.setattr(runs.torch.cuda, "is_available", lambda there=there: there)
        assert runs.pick_device("auto") == ("cuda" if there else "cpu") and runs.pick_device("cpu") == "cpu"
        with pytest.raises(InputError, match="'tpu' is not known"):
            runs.pick_device("tpu")
    assert runs.pick_device("cuda") == "cuda"
    monkeypatch.setattr(runs.torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device here"):
        runs.pick_device("cuda")


def edited(path: Path) -> str:
    """The stored text with a better score, as somebody might write it."""
    stored = json.loads(path.read_text())
    stored["result"]["accuracy"] = [1.0]
    return json.dumps(stored)


def of_another(path: Path) -> str:
    """The stored text of another run, whole."""
    return json.dumps(json.loads(path.read_text()) | {"run": runs.identity(replace(ONE, seed=5))})


def without_provenance(path: Path) -> str:
    """The stored text without what figures say of their origin."""
    return json.dumps(json.loads(path.read_text()) | {"about": {"device": "cpu"}})


DAMAGES = {
    "empty": lambda path: "",
    "truncated": lambda path: path.read_text()[:-40],
    "no fields": lambda path: "{}",
    "a list": lambda path: "[1]",
    "nested without end": lambda path: "[" * 100_000,
    "edited": edited,
    "of another run": of_another,
    "without provenance": without_provenance,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_said_and_made_again(tmp_path, damage):
    """Empty, truncated, edited, under a wrong name: one warning, and the same result is computed again."""
    (first,) = run_all([ONE], jobs=1, store=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text(DAMAGES[damage](path))
    with pytest.warns(UserWarning, match="damaged, computing it again") as warned:
        (again,) = run_all([ONE], jobs=1, store=tmp_path)
    assert len(warned) == 1
    assert again.result == first.result == json.loads(path.read_text())["result"]


@pytest.mark.parametrize(("outcome", "reason"), [("failed", "seed 0 is silent"), ("nan", "not a finite number")])
def test_a_failed_run_is_stored_as_failed(tmp_path, outcome, reason):
    """Silence or a NaN: no result but the reason, said once a call, and not tried again."""
    both = [ToyRun(0, outcome=outcome), ONE]
    for _ in range(2):
        with pytest.warns(UserWarning, match=f"1 of 2 runs have no score, for example: .*{reason}"):
            failed, good = run_all(both, jobs=1, store=tmp_path)
        assert failed.result is None and reason in failed.failed
        assert good.failed is None and good.result["accuracy"]
    assert len(list(tmp_path.iterdir())) == 2


def test_json_has_one_form():
    """Order of keys does not matter; not-a-number is refused."""
    assert canonical({"b": 1, "a": [1.5]}) == '{"a":[1.5],"b":1}'
    with pytest.raises(ValueError):
        canonical(float("inf"))


# Interruptions

SWEEP = [ToyRun(seed, epochs=6) for seed in range(3)]
PROGRAM = (
    "import sys; from pathlib import Path; from toy import ToyRun; from lib.runs import run_all\n"
    "runs = [ToyRun(seed, epochs=6) for seed in range(3)]\n"
    "run_all(runs, jobs=2, store=Path(sys.argv[1]), scheduler=sys.argv[2] or None)"
)


def start(store: Path, scheduler: str = "", program: str = PROGRAM, **variables: str) -> subprocess.Popen:
    """The sweep in a process of its own, the first of its group."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"} | variables
    command = [sys.executable, "-c", program, str(store), scheduler]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> list[dict]:
    """Results of the sweep in one go, in this process."""
    return [o.result for o in run_all(SWEEP, jobs=1, store=tmp_path_factory.mktemp("whole"))]


def test_killed_sweep_goes_on_to_the_same_bits(tmp_path, log, uninterrupted):
    """SIGKILL to everything in mid-run: finished runs are kept, the others go on from their epoch, same results."""
    store = tmp_path / "store"
    job = start(store, TOY_DIES="none")
    while sum(len(epochs) for epochs in log().values()) < 12:  # some epochs of several runs
        time.sleep(0.01)
        assert job.poll() is None
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    done = {key_of(r) for r in SWEEP if (store / f"{key_of(r)}.json").exists()}
    before = log()
    outcomes = run_all(SWEEP, jobs=1, store=store)
    assert [o.result for o in outcomes] == uninterrupted
    after = log()
    for run in SWEEP:
        new = after[run.seed][len(before.get(run.seed, [])) :]
        if key_of(run) in done:
            assert new == []
        elif run.seed in before:  # finished epochs are not repeated
            assert new[0] == "0" and [int(epoch) for epoch in new[1:]] == list(range(7 - len(new), 6))
            assert 7 - len(new) >= int(before[run.seed][-1])
    # A kill in mid-write may leave its hidden temporary file
    assert sorted(p.suffix for p in store.glob("[!.]*")) == [".json"] * 3


def test_a_full_disk_is_said_and_loses_nothing(tmp_path, uninterrupted):
    """No file may grow beyond 200 bytes: one clear error, no half file; with space again the sweep goes on."""
    (first,) = run_all(SWEEP[:1], jobs=1, store=tmp_path)

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

    program = (
        "import sys; from lib import __main__, runs; from pathlib import Path; from toy import ToyRun\n"
        "go = lambda args: runs.run_all([ToyRun(s, epochs=6) for s in range(3)], jobs=1, store=Path(sys.argv[1]))\n"
        "__main__.COMMANDS['figures'] = go; sys.exit(__main__.main(['figures']))"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1
    assert re.fullmatch(rf"error: \[Errno 27\] File too large: '{tmp_path}/\w+.checkpoint'\n", done.stderr), done.stderr
    assert [p.name for p in tmp_path.iterdir()] == [f"{first.key}.json"]
    assert [o.result for o in run_all(SWEEP, jobs=1, store=tmp_path)] == uninterrupted


def test_a_folder_that_cannot_be_used_is_said(tmp_path):
    """The store's place is a file: the error names it; nothing else happens."""
    (tmp_path / "store").write_text("")
    with pytest.raises(OSError, match="store"):
        run_all([ONE], jobs=1, store=tmp_path / "store")


# A cluster


def test_a_scheduler_that_is_not_there_is_said(tmp_path, monkeypatch):
    """One line with the remedy: install, or start it."""
    monkeypatch.setattr(runs, "PATIENCE", 1)
    with pytest.raises(InputError, match="--scheduler: .*(missing|does not answer)"):
        run_all([ONE], store=tmp_path, scheduler="tcp://127.0.0.1:1")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A dask scheduler and two workers, each a process of its own, on this machine; gives the address.

    The worker that has got to epoch 3 of seed 1 dies by SIGKILL there, once.
    """
    pytest.importorskip("distributed", reason="distributed is not installed: pip install '.[cluster]'")
    (tmp_path / "log").mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("TOY_DIES", "1:3")
    place = tmp_path / "scheduler.json"
    module, common = [sys.executable, "-m"], ["--scheduler-file", str(place), "--host", "127.0.0.1", "--no-dashboard"]
    commands = [[*module, "distributed.cli.dask_scheduler", *common, "--port", "0"]]
    commands += 2 * [[*module, "distributed.cli.dask_worker", *common, "--nthreads", "1", "--no-nanny"]]
    with (tmp_path / "cluster.log").open("w") as output:
        started = [subprocess.Popen(c, stdout=output, stderr=output, cwd=tmp_path) for c in commands]
    while not place.exists() or not place.read_text():
        time.sleep(0.05)
        assert started[0].poll() is None, (tmp_path / "cluster.log").read_text()
    yield json.loads(place.read_text())["address"]
    for process in started:
        process.kill()
        process.wait()


def test_a_cluster_gives_the_same_results_and_survives_a_killed_worker(tmp_path, cluster, uninterrupted):
    """Scheduler and two workers as processes; one is killed in mid-run: nothing is lost, not a bit differs."""
    job = start(tmp_path / "store", cluster)
    _, error = job.communicate(timeout=120)
    assert job.returncode == 0, error
    assert (tmp_path / "log" / "died").exists()
    assert (tmp_path / "log" / "1").read_text().split() == ["0", "0", "1", "2", "3", "0", "3", "4", "5"]
    stored = [json.loads((tmp_path / "store" / f"{key_of(run)}.json").read_text())["result"] for run in SWEEP]
    assert stored == uninterrupted
