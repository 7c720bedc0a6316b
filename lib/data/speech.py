"""The speech data sets of the experiments, by name, one part at a time.

| name | what | where it comes from |
|---|---|---|
| `digits` | synthetic spoken digits, 20 classes, 16 voices | shipped, binned at 14.14 ms |
| `fsdd` | human spoken digits (FSDD), 10 classes, 6 speakers | recordings that the reader has (`data_dir`) |
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import sha256_of
from . import fsdd, shipped
from .digits import cache_dir
from .events import BIN_WIDTH_PAPER, Binned, bin_events
from .variants import Dropped, MinimumCounts, keep_enough, minimum_counts

DATA_SETS = ("digits", "fsdd")
PARTS = ("train", "validation", "test")


def check_names(data: str, data_dir: str | None) -> None:
    """Raise InputError unless `data` is a data set and its recordings can be found."""
    if data not in DATA_SETS:
        raise InputError(f"--data: {data!r} is not a data set; choose from {', '.join(DATA_SETS)}")
    if data == "fsdd" and not data_dir:
        raise InputError("--data-dir: fsdd needs the recordings; give the folder or zip of the Free Spoken Digit Dataset")
    if data == "fsdd" and not Path(data_dir).exists():
        raise InputError(f"--data-dir: {data_dir} does not exist; give the folder or zip of the recordings")


@lru_cache(maxsize=4)
def load(data: str, part: str, data_dir: str | None = None) -> Binned:
    """All samples of one part, binned at 14.14 ms (the paper's bins).

    Args:
        data: "digits" or "fsdd".
        part: "train", "validation" or "test": disjoint sets of voices.
        data_dir: folder or zip with the recordings (fsdd).

    Raises:
        InputError: unknown data set or part; recordings missing or altered; a shipped file is damaged.
    """
    check_names(data, data_dir)
    if part not in PARTS:
        raise InputError(f"part: {part!r} is not a part; choose from {', '.join(PARTS)}")
    if data == "digits":
        return shipped.read(part)
    events = _fsdd_events(data_dir)
    speakers = [fsdd.SPEAKERS.index(speaker) for speaker in fsdd.SPEAKERS_OF_PART[part]]
    chosen = np.flatnonzero(np.isin(events.speakers, speakers))
    n_bins = int(np.ceil(max(1.0, events.times.max()) / BIN_WIDTH_PAPER)) + 1
    return bin_events(events.select(chosen), BIN_WIDTH_PAPER, n_bins)[0]


@lru_cache(maxsize=1)
def _fsdd_events(data_dir: str):
    return fsdd.fsdd_events(data_dir, cache_dir())


@lru_cache(maxsize=2)
def minimum(data: str, data_dir: str | None = None) -> MinimumCounts:
    """Surviving units and their spike counts, from the training voices alone."""
    return minimum_counts(load(data, "train", data_dir))


def eligible(data: str, part: str, data_dir: str | None = None) -> tuple[Binned, Dropped]:
    """The samples of a part that all variants use, and what was dropped for having too few spikes."""
    return keep_enough(load(data, part, data_dir), minimum(data, data_dir))


def checksum(data: str) -> str:
    """SHA-256 of the list of a data set's files with their checksums; reading verifies each file against it."""
    if data not in DATA_SETS:
        raise InputError(f"--data: {data!r} is not a data set; choose from {', '.join(DATA_SETS)}")
    return sha256_of(shipped.FOLDER / shipped.CHECKSUMS if data == "digits" else fsdd.MANIFEST)
