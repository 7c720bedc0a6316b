"""The speech data sets of the experiments, by name, one part at a time.

| name | what | where it comes from |
|---|---|---|
| `digits` | synthetic spoken digits, 20 classes, 16 voices | shipped, binned at 14.14 ms |
| `fsdd` | human spoken digits (FSDD), 10 classes, 6 speakers | recordings that the reader has (`data_dir`) |
| `shd`, `ssc` | human spoken digits and commands, 20 and 35 classes | event files in `data_dir`; missing ones are fetched |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import is_intact, sha256_of
from . import fsdd, shd, shipped, trial
from .events import BIN_WIDTH_PAPER, Binned, Events, bin_events, join, read_shd_chunks
from .variants import Dropped, MinimumCounts, keep_enough, minimum_counts

DATA_SETS = ("digits", "fsdd", "shd", "ssc")
PARTS = ("train", "validation", "test")
SHORTEST = 100  # bins of shd and ssc: 1.4 s, as in the paper


def check_names(data: str, data_dir: str | None) -> None:
    """Raise InputError unless `data` is a data set and its recordings can be found."""
    if data not in DATA_SETS:
        raise InputError(f"--data: {data!r} is not a data set; choose from {', '.join(DATA_SETS)}")
    if data == "fsdd" and not data_dir:
        raise InputError(
            "--data-dir: fsdd needs the recordings; give the folder or zip of the Free Spoken Digit Dataset"
        )
    if data in shd.FILES and not data_dir:
        raise InputError(f"--data-dir: {data} needs a folder; give the one that holds its event files, or an empty one")
    if data != "digits" and not Path(data_dir).exists():
        raise InputError(f"--data-dir: {data_dir} does not exist; give the folder (or zip) of the data set")
    if data in shd.FILES and not Path(data_dir).is_dir():
        raise InputError(f"--data-dir: {data_dir} is a file; give the folder that holds the event files")


def fetch(data: str, data_dir: str | None) -> None:
    """Download the event files that `data_dir` lacks (shd, ssc), and try whether they can be read.

    Raises:
        InputError: as `check_names`, or a file cannot be had, or is so damaged that the HDF5 library fails on it.
    """
    check_names(data, data_dir)
    for name in set(shd.FILES.get(data, {}).values()):
        shd.download(data, data_dir)
        trial.check(Path(data_dir) / name)


def load(data: str, part: str, data_dir: str | None = None) -> Binned:
    """All samples of one part, binned at 14.14 ms (the paper's bins).

    Args:
        data: a name of DATA_SETS.
        part: "train", "validation" or "test". Voices of validation are never trained on, nor are those of test, but for
            SHD: its official test part has two voices of its own, and others that training and validation have too.
        data_dir: folder or zip with the recordings (fsdd) or the event files (shd, ssc).

    Raises:
        InputError: unknown data set or part; recordings missing or altered; a shipped file is damaged.
    """
    return _load(data, part, data_dir, _contents(data, data_dir))


def _contents(data: str, data_dir: str | None) -> str | None:
    """Checksum of files that may change between two readings; those of digits and fsdd are checked as they are read."""
    if data not in shd.FILES:
        return None
    check_names(data, data_dir)
    shd.download(data, data_dir)
    return checksum(data, data_dir)


@lru_cache(maxsize=4)
def _load(data: str, part: str, data_dir: str | None, contents: str | None) -> Binned:
    if data == "digits" and part in PARTS:
        return shipped.read(part)
    spikes = join(bin_events(events, BIN_WIDTH_PAPER)[0] for events, _ in chunks(data, part, data_dir))
    if data == "fsdd":  # one grid for all speakers
        last = max(1.0, _fsdd_events(data_dir).times.max())
        return replace(spikes, n_bins=int(np.ceil(last / BIN_WIDTH_PAPER)) + 1)
    return replace(spikes, n_bins=max(spikes.n_bins, SHORTEST))


def chunks(data: str, part: str, data_dir: str | None = None) -> Iterator[tuple[Events, np.ndarray]]:
    """The events of one part, some samples at a time, each with its number in the file (recordings: in their order).

    Raises:
        InputError: as `load`; the events of `digits` are not shipped, and have not been generated either.
    """
    check_names(data, data_dir)
    if data in shd.FILES:
        shd.download(data, data_dir)
    if part not in PARTS:
        raise InputError(f"part: {part!r} is not a part; choose from {', '.join(PARTS)}")
    if data == "digits":
        first = 0
        for events in read_shd_chunks(digit_events(part)):
            yield events, first + np.arange(len(events))
            first += len(events)
    elif data in shd.FILES:
        yield from shd.chunks(data, part, data_dir)
    else:
        events = _fsdd_events(data_dir)
        speakers = [fsdd.SPEAKERS.index(speaker) for speaker in fsdd.SPEAKERS_OF_PART[part]]
        chosen = np.flatnonzero(np.isin(events.speakers, speakers))
        yield events.select(chosen), chosen


def digit_events(part: str) -> Path:
    """The generated event file of a part of `digits`. Raises InputError if it is not there."""
    from .digits import event_folder  # only here: what makes sounds and spikes takes a second to import

    path = event_folder() / f"digits_{part}.h5"
    if not is_intact(path):
        raise InputError(f"{path}: digits come in bins of 14.14 ms; make their events: python -m lib data digits")
    return path


@lru_cache(maxsize=1)
def _fsdd_events(data_dir: str):
    from .digits import cache_dir  # as above

    return fsdd.fsdd_events(data_dir, cache_dir())


def minimum(data: str, data_dir: str | None = None) -> MinimumCounts:
    """Surviving units and their spike counts, from the training voices alone."""
    return _minimum(data, data_dir, _contents(data, data_dir))


@lru_cache(maxsize=2)
def _minimum(data: str, data_dir: str | None, contents: str | None) -> MinimumCounts:
    return minimum_counts(load(data, "train", data_dir))


def eligible(data: str, part: str, data_dir: str | None = None) -> tuple[Binned, Dropped]:
    """The samples of a part that all variants use, and what was dropped for having too few spikes."""
    return keep_enough(load(data, part, data_dir), minimum(data, data_dir))


def checksum(data: str, data_dir: str | None = None) -> str:
    """SHA-256 of the list of a data set's files with their checksums.

    Of digits and fsdd the list is fixed, and reading verifies each file against it. Of shd and ssc it is that of the
    files in `data_dir`, whatever they hold: results from other files have other names in the store.

    Raises:
        InputError: unknown data set; shd or ssc without their files.
    """
    if data not in DATA_SETS:
        raise InputError(f"--data: {data!r} is not a data set; choose from {', '.join(DATA_SETS)}")
    if data in shd.FILES:
        check_names(data, data_dir)
        return shd.checksum(data, data_dir)
    return sha256_of(shipped.FOLDER / shipped.CHECKSUMS if data == "digits" else fsdd.MANIFEST)
