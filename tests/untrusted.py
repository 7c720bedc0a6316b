"""Damaged files for every reader, and a child process that reads them: `python tests/untrusted.py KIND FIRST LAST`.

The child makes a good file of a kind, then reads one mutant of it after another: bytes changed, cut, copied, put in,
numbers and words replaced, all decided by the mutant's number. It writes a line before each and what came of it after
it. What kills it (a crash, too much memory, SECONDS without an answer) is seen by whoever started it.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import signal
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from damage import mutate

SECONDS = 6  # that a file may take
MEMORY = 3 << 30  # bytes of address space beside what the libraries have
RUN = {"type": "R", "fields": {"seed": 0}, "version": 1, "data": None}


def mutant(kind: str, good: list[bytes], number: int) -> bytes:
    """The mutant with this number, of one of the good files."""
    return mutate(good[number % len(good)], np.random.default_rng([len(kind), number]), KINDS[kind][2])


# Kinds: how good files are made, and how they are read. A reader raises InputError, or gives what the tests may look at


def spikes(n: int = 5):
    """A few short samples, one without spikes."""
    from lib.data.events import Events

    rng = np.random.default_rng(0)
    trains = [(np.sort(rng.random(k)), rng.integers(0, 700, k)) for k in (30, 0, 7, 50, 20)[:n]]
    return Events.from_list(trains, range(n), [0, 1, 0, 1, 2][:n], [f"word {i}" for i in range(n)])


def hdf5_files(folder: Path) -> list[bytes]:
    """In SHD's layout: as written by `write_shd`, by the export (in chunks, with attributes), and by a newer library."""
    import h5py

    from lib.data import export
    from lib.data.events import bin_events, write_shd

    write_shd(folder / "a.h5", spikes())
    with export._writing(folder / "b.h5", {"variant": "norm", "seed": 0}) as growing:
        growing.append(bin_events(spikes(), 0.014)[0], 3, np.arange(5), np.arange(700))
    with h5py.File(folder / "a.h5") as source, h5py.File(folder / "c.h5", "w", libver="latest") as copy:
        for name in source:
            source.copy(name, copy)
    return [(folder / f"{name}.h5").read_bytes() for name in "abc"]


def read_hdf5(path: Path) -> None:
    """As spike trains, and for an audit."""
    from lib.data import audit
    from lib.data.events import read_shd

    read_shd(path)
    audit.sampled(path, 0.014)


def archives(folder: Path) -> list[bytes]:
    """A .zip and a .gz of an event file."""
    (good, *_) = hdf5_files(folder)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("shd_train.h5", good)
    return [content.getvalue(), gzip.compress(good, mtime=0)]


def read_archive(path: Path) -> None:
    """Unpacked into its folder, then read; nothing but the one file may appear."""
    from lib.data import shd

    suffix = ".gz" if path.read_bytes()[:2] == b"\x1f\x8b" else ".zip"
    packed = path.with_name(f"shd_train.h5{suffix}")
    path.rename(packed)
    try:
        shd.find("shd_train.h5", path.parent)
    finally:
        packed.unlink()
        (path.parent / "shd_train.h5").unlink(missing_ok=True)


def recordings(folder: Path) -> list[bytes]:
    """A zip of two recordings, each a manifest's."""
    import soundfile

    content, lines = io.BytesIO(), []
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for i, name in enumerate(("0_george_0.wav", "1_theo_3.wav")):
            soundfile.write(folder / name, np.sin(np.arange(300) * (i + 1)), 8000)
            archive.write(folder / name, f"recordings/{name}")
            lines.append(f"{sha256(folder / name)}  {name}\n")
    (Path(tempfile.gettempdir()) / "manifest").write_text("".join(lines))
    return [content.getvalue()]


def sha256(path: Path) -> str:
    """Of a file."""
    from lib.files import sha256_of

    return sha256_of(path)


def read_recordings(path: Path) -> None:
    """As `--data fsdd` does."""
    from lib.data import fsdd

    fsdd.read_files(path, Path(tempfile.gettempdir()) / "manifest")


def sounds(folder: Path) -> list[bytes]:
    """Short recordings in the formats that people have."""
    import soundfile

    found = []
    for suffix, subtype in (("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_16"), ("aiff", "PCM_16")):
        soundfile.write(folder / f"a.{suffix}", 0.5 * np.sin(np.arange(400) / 3), 16_000, subtype)
        found.append((folder / f"a.{suffix}").read_bytes())
    return found


def read_sound(path: Path) -> None:
    """As `python -m lib data convert` does, up to where the cochlea starts."""
    from lib.data import convert
    from lib.data.cochlea import prepare

    convert.sound_to_spikes = lambda sound, rate, seed: (prepare(sound, rate), ([], []))[1]
    convert.convert(path, path.with_name("out.h5"))
    path.with_name("out.h5").unlink()


def results(folder: Path) -> list[bytes]:
    """A stored outcome."""
    from lib.runs import canonical, checksum

    about = {"device": "cpu", "versions": {"python": "3"}, "commit": "a", "seconds": 1}
    stored = {"run": RUN, "result": {"accuracy": [0.5, 1]}, "failed": None, "about": about}
    return [canonical(stored | {"checksum": checksum([stored["result"], None])}).encode()]


def read_result(path: Path) -> None:
    """Either the outcome as it was, or none."""
    from lib.runs import checksum, read

    outcome = read(path.rename(path.with_name(f"{checksum(RUN)[:20]}.json")))
    whole = outcome is not None and outcome.result == {"accuracy": [0.5, 1]} and outcome.failed is None
    assert whole or outcome is None and not path.name.startswith("good")


def tables(folder: Path) -> list[bytes]:
    """A published table, packed."""
    from lib.tables import Table, publish

    return [
        publish(Table("x", "digits", "quick", [{"seed": 0, "accuracy": 0.5}], {"runs": ["a"]}), folder).read_bytes()
    ]


def read_table(path: Path) -> None:
    """All tables of its folder, and its claims."""
    from lib import claims
    from lib.tables import published

    path.rename(path.with_name("x.json.gz"))
    claims.judge(claims.load(), published(path.parent))


def unpacked_tables(folder: Path) -> list[bytes]:
    """As `tables`; the content is mutated, then packed again."""
    return [gzip.decompress(data) for data in tables(folder)]


def read_unpacked_table(path: Path) -> None:
    """A well packed table of anything."""
    path.write_bytes(gzip.compress(path.read_bytes()))
    read_table(path)


def figures(folder: Path) -> list[bytes]:
    """A figure's three files."""
    from matplotlib.figure import Figure

    from lib.figures import saving
    from lib.tables import Table

    saving.ROOT = folder
    paths = saving.save_figure(Figure(figsize=(0.2, 0.2)), "x", Table("x", "digits", "quick", [], {"runs": ["a"]}))
    return [path.read_bytes() for path in paths]


def read_figure(path: Path) -> None:
    """Where it comes from."""
    from lib.figures.saving import read_provenance

    start = path.read_bytes()[:4].strip()
    suffix = ".svg" if start[:1] == b"<" else ".json" if start[:1] == b"{" else ".png"
    read_provenance(path.rename(path.with_suffix(suffix)))


def claims_files(folder: Path) -> list[bytes]:
    """The claims."""
    from lib import claims

    return [claims.CLAIMS.read_bytes()[:3000].rpartition(b"\n- ")[0] + b"\n"]


def read_claims(path: Path) -> None:
    """Loaded and judged by nothing."""
    from lib import claims

    claims.markdown(claims.judge(claims.load(path=path), []))


def authors_files(folder: Path) -> list[bytes]:
    """The authors' numbers."""
    from lib import comparison

    return [comparison.AUTHORS.read_bytes()]


def read_authors(path: Path) -> None:
    """Compared with nothing."""
    from lib import comparison

    comparison.markdown(comparison.compare([], path))


def checkpoints(folder: Path) -> list[bytes]:
    """Of a training of one epoch."""
    state = progress(1)
    state.courses[0].loss = [0.25]
    state.save(folder / "a.checkpoint")
    return [(folder / "a.checkpoint").read_bytes()]


def progress(seed: int = 0):
    """The state of a training of the order task."""
    import torch
    from toy import CONFIG

    from lib import train
    from lib.network import SpikingNetwork

    network = SpikingNetwork(CONFIG, torch.Generator().manual_seed(seed))
    optimiser = torch.optim.Adam(network.parameter_groups(1e-2, 1e-1))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [g["lr"] for g in optimiser.param_groups], 10)
    state = train.Progress(network, optimiser, schedule, [train.Course(np.random.default_rng(seed))])
    state.courses[0].loss = [0.5]
    return state


def read_checkpoint(path: Path) -> None:
    """Loaded, or left aside with the training as it was."""
    from lib.train import weights_checksum

    state = progress()
    course = state.courses[0]
    before = weights_checksum(state.network), str(state.optimiser.state_dict()), str(course.order.bit_generator.state)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        state.load(path, "cpu")
    after = weights_checksum(state.network), str(state.optimiser.state_dict()), str(course.order.bit_generator.state)
    kept = said and after == before and course.loss == [0.5]
    assert kept or not said and after != before and course.loss == [0.25]


def checkpoint_contents(folder: Path) -> list[bytes]:
    """As `checkpoints`, without the line that says whether they are damaged."""
    return [data.partition(b"\n")[2] for data in checkpoints(folder)]


def read_checkpoint_contents(path: Path) -> None:
    """A checkpoint that says it is whole, of anything."""
    from lib import train

    path.write_bytes(train.seal(path.read_bytes()))
    progress().load(path, "cpu")


KINDS: dict[str, tuple[Callable[[Path], list[bytes]], Callable[[Path], None], bool]] = {  # made, read, is it text?
    "hdf5": (hdf5_files, read_hdf5, False),
    "archive": (archives, read_archive, False),
    "recordings": (recordings, read_recordings, False),
    "sound": (sounds, read_sound, False),
    "result": (results, read_result, True),
    "table": (tables, read_table, False),
    "unpacked table": (unpacked_tables, read_unpacked_table, True),
    "figure": (figures, read_figure, True),
    "claims": (claims_files, read_claims, True),
    "authors": (authors_files, read_authors, True),
    "checkpoint": (checkpoints, read_checkpoint, False),
    "checkpoint's content": (checkpoint_contents, read_checkpoint_contents, False),
}


def main(kind: str, first: int, last: int) -> None:
    """Read the mutants `first` to `last` - 1 of a kind; a line before each, and one after it."""
    from lib.errors import InputError

    make, read, _ = KINDS[kind]
    with tempfile.TemporaryDirectory() as place:
        tempfile.tempdir = place
        folder = Path(place) / "good"
        folder.mkdir()
        good = make(folder)
        for _ in range(2):  # libraries may make folders of their own, once
            known = {path.name for path in Path(place).iterdir()}
            for number, data in enumerate(good):
                read_one(read, Path(place), data, f"good-{number}")
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in range(first, last):
            data = mutant(kind, good, number)
            print(json.dumps({"mutant": number}), flush=True)
            signal.alarm(SECONDS)  # kills, also inside a library
            try:
                read_one(read, Path(place), data, str(number))
                strange = {path.name for path in Path(place).iterdir()} - known
                assert not strange, strange
                came = "read"
            except InputError as error:
                came = "refused" if str(error).count("\n") == 0 else f"several lines: {error}"
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is a fault
                came = f"{type(error).__name__}: {error}"
            signal.alarm(0)
            print(json.dumps({"mutant": number, "came": came[:300]}), flush=True)


def read_one(read: Callable[[Path], None], place: Path, data: bytes, name: str) -> None:
    """Read a file in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=place) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (Path(folder) / name).write_bytes(data)
        read(Path(folder) / name)


if __name__ == "__main__":
    os.environ["BRC_HEADLESS"] = "1"
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
