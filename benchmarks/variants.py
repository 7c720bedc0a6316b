"""`python -m benchmarks.variants`: whole, part and norm of a data set of SSC's size (about 15 minutes, 10 GB of disk).

Random events with SSC's number of samples and sizes (about 8,000 events each) are written in its layout, then exported
in all three variants by a process of its own, whose peak memory the operating system tells. On a slice, the same
construction is timed against dense arrays on the paper's grid of 100 bins: with a draw for every sample and unit, as
one writes it first, and with all draws at once.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from lib.data.events import BIN_WIDTH_PAPER, Events, bin_events
from lib.data.export import export
from lib.data.variants import keep_enough, minimum_counts, norm, part
from lib.progress import progress

SIZES = {"ssc_train.h5": 75_466, "ssc_valid.h5": 9_981, "ssc_test.h5": 20_382}
SLICE, REPETITIONS, CLASSES, UNITS, BINS = 256, 7, 35, 700, 100
STRONG = 300  # units that fire four times as often as the others, so that some survive in norm


def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Times (s, ascending, half precision as in SSC) and units of 4,000 or more events, 8,000 on average."""
    n = max(4_000, int(rng.normal(8_000, 2_000)))
    weights = np.where(np.arange(UNITS) < STRONG, 4.0, 1.0)
    units = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(n), side="right").astype(np.uint16)
    return np.sort(rng.random(n).astype(np.float16)), units


def write_files(folder: Path) -> None:
    """All three files, sample by sample."""
    with progress(sum(SIZES.values()), "events", "sample") as bar:
        for seed, (name, n) in enumerate(SIZES.items()):
            rng = np.random.default_rng(seed)
            with h5py.File(folder / name, "w") as file:
                times = file.create_dataset("spikes/times", (n,), h5py.vlen_dtype(np.float16))
                units = file.create_dataset("spikes/units", (n,), h5py.vlen_dtype(np.uint16))
                for i in range(n):
                    times[i], units[i] = sample(rng)
                    bar.update()
                file["labels"], file["extra/speaker"] = np.arange(n) % CLASSES, np.arange(n) // CLASSES % 100
                file["extra/keys"] = [f"word {i}" for i in range(CLASSES)]


def dense_construction(events: Events, rng: np.random.Generator, draw: Callable) -> dict[str, np.ndarray]:
    """The same by (sample, unit, bin) arrays; `draw` as `drawn_one_by_one`."""
    bins = np.minimum((events.times / BIN_WIDTH_PAPER).astype(int), BINS - 1)
    whole = np.zeros((len(events), UNITS, BINS), np.uint8)
    whole[np.repeat(np.arange(len(events)), np.diff(events.offsets)), events.units, bins] = 1
    counts = whole.sum(axis=2, dtype=int)
    few = counts < 2
    poor = few[:, few.any(axis=0) & (few.mean(axis=0) <= 0.01)].any(axis=1)
    least = counts[~poor].min(axis=0)
    surviving = least >= 2
    enough = (counts[:, surviving] >= least[surviving]).all(axis=1)
    whole = whole[enough]
    return {"whole": whole, "part": whole[:, surviving], "norm": draw(whole[:, surviving], least[surviving], rng)}


def drawn_one_by_one(part_: np.ndarray, least: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many spikes of each unit as `least` says, unit by unit."""
    norm_ = np.zeros_like(part_)
    for sample_, unit in np.ndindex(part_.shape[:2]):
        spikes = np.flatnonzero(part_[sample_, unit])
        norm_[sample_, unit, rng.choice(spikes, least[unit], replace=False)] = 1
    return norm_


def drawn_at_once(part_: np.ndarray, least: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same, by sorting random numbers."""
    order = np.argsort(np.where(part_, rng.random(part_.shape), 2), axis=2)  # spikes first, in random order
    chosen = np.arange(part_.shape[2]) < least[None, :, None]
    norm_ = np.zeros_like(part_)
    np.put_along_axis(norm_, order, np.broadcast_to(chosen, part_.shape).astype(np.uint8), axis=2)
    return norm_


def construction(events: Events, rng: np.random.Generator) -> dict:
    """Ours, on lists of spikes."""
    whole, _ = bin_events(events, BIN_WIDTH_PAPER)
    minimum = minimum_counts(whole)
    whole, _ = keep_enough(whole, minimum)
    return {"whole": whole, "part": part(whole, minimum), "norm": norm(whole, minimum, rng)}


def compare() -> None:
    """Print the time of all three on a slice, interleaved, after checking that they agree."""
    rng = np.random.default_rng(0)
    events = Events.from_list([sample(rng) for _ in range(SLICE)], np.zeros(SLICE), np.zeros(SLICE), ["word"])
    ways = {
        "lists of spikes (ours)": construction,
        "dense, unit by unit": partial(dense_construction, draw=drawn_one_by_one),
        "dense, draws at once": partial(dense_construction, draw=drawn_at_once),
    }
    ours, *others = (build(events, rng) for build in ways.values())
    for dense, name in itertools.product(others, ("whole", "part")):
        seen = ours[name].dense(np.arange(len(ours[name]))).transpose(0, 2, 1)
        assert np.array_equal(seen, dense[name][:, :, : seen.shape[2]])
    assert all(np.array_equal(ours["norm"].counts(), dense["norm"].sum(axis=2)) for dense in others)
    spent = {name: [] for name in ways}
    for _, (name, build) in itertools.product(range(REPETITIONS), ways.items()):
        before = time.process_time()
        build(events, rng)
        spent[name].append(time.process_time() - before)
    for name, seconds in spent.items():
        each, ratio = np.median(seconds) / SLICE, np.median(seconds) / np.median(spent[next(iter(ways))])
        print(f"{name:22s} {1e3 * each:6.2f} ms of one core a sample, {ratio:.1f} x ours")


def scale(folder: Path) -> None:
    """Print time and peak memory of the export of all."""
    write_files(folder)
    begin = time.monotonic()
    child = [sys.executable, "-m", "benchmarks.variants", "--export", str(folder)]
    peak = int(subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])
    minutes = (time.monotonic() - begin) / 60
    written = sum(path.stat().st_size for path in (folder / "out").iterdir()) / 1e9
    n = sum(SIZES.values())
    print(
        f"{n:,} samples exported with their audit in {minutes:.1f} min, {written:.1f} GB; peak memory {peak / 1e6:.2f} GB"
    )


def main() -> None:
    """Compare on a slice, then export everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--export", metavar="FOLDER", help="(used by itself) export the files of a folder")
    parser.add_argument("--slice", action="store_true", help="only the comparison on a slice")
    args = parser.parse_args()
    if args.export:
        export("ssc", ("whole", "part", "norm"), Path(args.export) / "out", args.export)
        status = Path("/proc/self/status").read_text()
        print(status.split("VmHWM:")[1].split()[0])  # kB
        return
    compare()
    if not args.slice:
        folder = Path(tempfile.mkdtemp(prefix="ssc-"))
        try:
            scale(folder)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
