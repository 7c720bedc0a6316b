"""The pipeline in small, from recordings to figures, and what can befall it; for `test_faults.py`.

`python tests/faults.py WORD FOLDER ...` imports everything once, then forks a child for every attempt, so that a child
may be killed at any moment. It prints what came of it as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from matplotlib.figure import Figure
from toy import ToyRun

from lib import claims, files, runs, train
from lib.data import events, export, fsdd, shd, shipped
from lib.data.convert import convert
from lib.errors import InputError
from lib.figures import apply_style, saving
from lib.tables import Table, publish

RUNS = [ToyRun(seed, epochs=3) for seed in range(3)]
TABLE = Table("toy", "digits", "quick", [{"seed": 0, "accuracy": 0.5}], {"runs": ["a"]})
NOBODY = 65534  # a user who may write nowhere


def prepare(folder: Path) -> None:
    """Recordings of all speakers, their manifest, an archive, a README."""
    lines, place = [], folder / "recordings"
    place.mkdir()
    for number, speaker in enumerate(fsdd.SPEAKERS):
        path = place / f"{number}_{speaker}_0.wav"
        soundfile.write(path, np.sin(np.arange(480) / (number + 2)), 8000)
        lines.append(f"{files.sha256_of(path)}  {path.name}\n")
    (folder / "manifest").write_text("".join(lines))
    trains = [(np.array([0.1, 0.2]), np.array([1, 2]))] * 300
    events.write_shd(folder / "a.h5", events.Events.from_list(trains, [0] * 300, range(300), ["word"]))
    with zipfile.ZipFile(folder / "shd_train.h5.zip", "w") as archive:
        archive.write(folder / "a.h5", "shd_train.h5")
    (folder / "README.md").write_text(f"before\n{claims.START}\nold\n{claims.END}\nafter\n" + 300 * "a line\n")


def pipeline(folder: Path) -> None:
    """Recordings to spikes, a sweep with checkpoints, the published table, the figure."""
    fsdd.fsdd_events(folder / "recordings", folder / "cache", jobs=1, manifest=folder / "manifest")
    outcomes = runs.run_all(RUNS, jobs=1, store=folder / "runs")
    rows = [{"seed": run.seed} | outcome.result for run, outcome in zip(RUNS, outcomes, strict=True)]
    table = Table("toy", "digits", "quick", rows, {"runs": [outcome.key for outcome in outcomes]})
    publish(table, folder / "published")
    saving.ROOT = folder
    apply_style()
    fig = Figure(figsize=(2, 1))
    fig.subplots().plot([row["accuracy"][-1] for row in rows])
    saving.save_figure(fig, "toy", table)


def contents(folder: Path) -> dict[str, str]:
    """Every visible file of the pipeline -> hash of what must not depend on its history (of a run: its result)."""
    found = {}
    for path in sorted(
        path for part in ("cache", "runs", "published", "figures") for path in (folder / part).rglob("[!.]*")
    ):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".checkpoint":
                data = b"whole" if train.unseal(data) else b"damaged"
            elif path.parent.name == "runs":
                data = json.dumps(json.loads(data)["result"]).encode()
            found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


def fork(work: Callable[[], object], log: Path | None = None) -> int:
    """`work` in a child, the first of its group; its process number. The child ends with 0, or 1 after one line."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    output = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        warnings.showwarning = lambda message, *_: os.write(2, f"{message}\n".encode())
        work()
    except (InputError, OSError) as error:
        os.write(2, f"error: {error}\n".encode())
        os._exit(1)
    except BaseException as error:  # noqa: BLE001 - told to the test
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(3)
    os._exit(0)


def kill_again_and_again(folder: Path, usual: float, kills: int, seed: int) -> dict:
    """Kill the pipeline until it was killed so often, and each time look at what is there; let it end in between."""
    rng = np.random.default_rng(seed)
    expected, strange, killed, finished, places = contents(folder / "whole"), [], 0, 0, {}
    while killed < kills:
        place = folder / f"{finished}"
        place.mkdir(exist_ok=True)
        if not (place / "manifest").exists():
            prepare(place)
        before, start = contents(place), time.monotonic()
        child = fork(lambda place=place: pipeline(place))
        delay, done = rng.uniform(0, usual), (0, 0)
        while time.monotonic() - start < delay and not (done := os.waitpid(child, os.WNOHANG))[0]:
            time.sleep(0.0005)
        if not done[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            killed += 1
        after = contents(place)
        lost = [name for name in before if name not in after and not name.endswith(".checkpoint")]
        checkpoint = hashlib.sha256(b"whole").hexdigest()
        wrong = [n for n, h in after.items() if h != (checkpoint if n.endswith("checkpoint") else expected.get(n))]
        strange += [f"after kill {killed}: lost {lost}, wrong {wrong}"] if lost or wrong else []
        last = max(after, default="nothing", key=lambda name: ("crpf".index(name[0]), name)).split("/")[0]
        places[last] = places.get(last, 0) + (not done[0])
        if done[0]:
            strange += [f"ended with {done[1]}"] if done[1] else []
            differ = sorted(name for name, _ in after.items() ^ expected.items())
            strange += [f"run {finished}: not as the uninterrupted one: {differ}"] if differ else []
            finished += 1
    pipeline(place)
    return {
        "killed": killed,
        "finished": finished + 1,
        "strange": strange,
        "places": places,
        "same": contents(place) == expected,
    }


def kill_at_every_step(folder: Path, _) -> dict:
    """Kill each writer before and after each step of writing: making the file, syncing, renaming."""
    strange, killed = [], 0
    for name, write in WRITERS.items():
        for step in ("mkstemp", "fsync", "chmod", "replace", "after replace"):
            place = folder / f"{name}-{step}".replace(" ", "-")
            place.mkdir(parents=True)
            prepare(place)
            before = visible(place)
            child = fork(lambda write=write, place=place, step=step: (die_at(step), write(place)))
            status = os.waitpid(child, 0)[1]
            killed += os.WIFSIGNALED(status)
            there = {path: text for path, text in visible(place).items() if before.get(path) != text}
            os.waitpid(fork(lambda write=write, place=place: write(place)), 0)
            final = visible(place)
            if name == "result":  # its checkpoint is gone when it ends
                there = {path: text for path, text in there.items() if not path.endswith(".checkpoint")}
            changed = [path for path, text in there.items() if final.get(path) != text]
            if changed or not os.WIFSIGNALED(status) or before.keys() - final.keys():
                strange.append(f"{name}, {step}: status {status}, then {changed}")
    return {"killed": killed, "strange": strange}


def die_at(step: str) -> None:
    """Let this process kill itself the first time that it comes to a step of `write_atomically`."""

    def deadly(function, after=False):
        def call(*args, **kwargs):
            if after:
                function(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)

        return call

    if step in ("mkstemp",):
        files.tempfile.mkstemp = deadly(files.tempfile.mkstemp)
    elif step == "fsync":
        os.fsync = deadly(os.fsync)
    else:
        name = step.split()[-1]
        setattr(Path, name, deadly(getattr(Path, name), after=step.startswith("after")))


def _checkpoint(place: Path) -> None:
    from untrusted import progress

    progress().save(place / "runs" / "a.checkpoint")


def _figure(place: Path) -> None:
    saving.ROOT = place
    saving.save_figure(Figure(figsize=(1, 1)), "toy", TABLE)


def _shipped(place: Path) -> None:
    data = events.bin_events(events.read_shd(place / "a.h5"), 0.014)[0]
    shipped.pack(place / "shipped" / "train.npz", data)


def _export(place: Path) -> None:
    spikes = events.bin_events(events.read_shd(place / "a.h5"), 0.014)[0]
    with export._writing(place / "export.h5", {"variant": "whole"}) as growing:
        growing.append(spikes)


WRITERS: dict[str, Callable[[Path], object]] = {  # whatever `lib` writes
    "spikes": lambda place: fsdd.fsdd_events(
        place / "recordings", place / "cache", jobs=1, manifest=place / "manifest"
    ),
    "checkpoint": _checkpoint,
    "result": lambda place: runs.run_all(RUNS[:1], jobs=1, store=place / "runs"),
    "table": lambda place: publish(
        Table("toy", "digits", "quick", [{"x": torch.rand(90).tolist()}], {}), place / "published"
    ),
    "figure": _figure,
    "README": lambda place: claims.write_readme("new\n" * 200, place / "README.md"),
    "archive": lambda place: shd.find("shd_train.h5", place),
    "convert": lambda place: convert(place / "recordings" / f"0_{fsdd.SPEAKERS[0]}_0.wav", place / "out.h5"),
    "shipped": _shipped,
    "export": _export,
}


def visible(place: Path) -> dict[str, str]:
    """Every file that is not hidden -> its hash, of a result without time and memory."""
    found = {}
    for path in sorted(place.rglob("[!.]*")):
        if path.is_file():
            data = path.read_bytes()
            if path.parent.name == "runs" and path.suffix == ".json":
                data = json.dumps(json.loads(data)["result"]).encode()
            found[str(path.relative_to(place))] = hashlib.sha256(data).hexdigest()
    return found


def nowhere_to_write(folder: Path, _, how: str) -> dict:
    """Every writer on a full disk (no file may grow beyond 300 bytes), or in folders that cannot be written."""
    found = {}
    for name, write in WRITERS.items():
        place = folder / name
        place.mkdir()
        prepare(place)
        write_somewhere_else = folder / f"{name}-warm"
        write_somewhere_else.mkdir()
        prepare(write_somewhere_else)
        write(write_somewhere_else)  # everything is imported
        before, log = visible(place), folder / f"{name}.log"
        limit = (lambda: full_disk()) if how == "full" else (lambda place=place: read_only(place))
        status = os.waitpid(fork(lambda write=write, place=place, limit=limit: (limit(), write(place)), log), 0)[1]
        left = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()}
        found[name] = {"said": log.read_text(), "status": status, "left": sorted(left - before.keys())}
        found[name]["kept"] = all(visible(place).get(path) == text for path, text in before.items())
        for path in (place, *place.rglob("*")):
            path.chmod(0o755)
        again = os.waitpid(fork(lambda write=write, place=place: write(place)), 0)[1]
        found[name]["again"] = again == 0 and visible(place).keys() == visible(write_somewhere_else).keys()
    return found


def full_disk() -> None:
    """No file of this process may become longer than 300 bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))


def read_only(place: Path) -> None:
    """Nothing in the folder may be written any more; who may do everything becomes nobody."""
    for path in (place, *place.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.setuid(NOBODY)


def two_at_once(folder: Path, _) -> dict:
    """The same pipeline three times at the same time in one folder."""
    whole, place = folder / "whole", folder / "both"
    place.mkdir()
    prepare(place)
    children = {fork(lambda: pipeline(place), folder / f"{n}.log"): n for n in range(3)}
    statuses = [os.waitpid(child, 0)[1] for child in children]
    said = [(folder / f"{n}.log").read_text() for n in range(3)]
    hidden = [str(path) for path in place.rglob(".*") if path.is_file()]
    return {"statuses": statuses, "said": said, "same": contents(place) == contents(whole), "hidden": hidden}


def corrupted(folder: Path, _) -> dict:
    """Every file that the pipeline keeps, changed in one of four ways; what comes of it."""
    place, rng = folder / "whole", np.random.default_rng(0)
    expected, found = contents(place), {}
    kept = [name for name in expected if name.split("/")[0] in ("cache", "runs")]
    for name in kept:
        good = (place / name).read_bytes()
        flipped = bytearray(good)
        flipped[rng.integers(len(good))] ^= 1 << rng.integers(8)
        for bad in (b"", good[: len(good) // 2], bytes(flipped), rng.bytes(len(good))):
            (place / name).write_bytes(bad)
            log = folder / "log"
            status = os.waitpid(fork(lambda: pipeline(place), log), 0)[1]
            same = contents(place) == expected
            found.setdefault(name, []).append([status, same, log.read_text().count("damaged")])
            (place / name).write_bytes(good)
    return found


def main(word: str, place: str, *more: str) -> dict:
    """Import, compile and do everything once, in the folder `whole`, then what the word says."""
    torch.set_num_threads(1)
    folder = Path(place)
    (folder / "whole").mkdir(parents=True)
    prepare(folder / "whole")
    for _ in range(2):
        start = time.monotonic()
        for name in ("cache", "runs", "published", "figures"):
            shutil.rmtree(folder / "whole" / name, ignore_errors=True)
        pipeline(folder / "whole")
    return WORDS[word](folder, time.monotonic() - start, *(int(m) if m.isdigit() else m for m in more))


WORDS = {
    "kill": kill_again_and_again,
    "steps": kill_at_every_step,
    "nowhere": nowhere_to_write,
    "together": two_at_once,
    "corrupted": corrupted,
}

if __name__ == "__main__":
    os.environ.pop("TOY_LOG", None)
    os.environ["BRC_HEADLESS"] = "1"
    print(json.dumps(main(*sys.argv[1:])))
