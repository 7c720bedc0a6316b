"""The synthetic spoken digits that come with the code: binned, bit-packed, compressed, one file a part.

Bins are 14.14 ms wide and binary, as in the paper: several events of a unit in one bin count once. The event
file itself is generated on request (`python -m lib data digits`); binning it gives these files.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import sha256_of, write_atomically
from .digits import CLASSES
from .events import BIN_WIDTH_PAPER, Binned, bin_events, read_shd

FOLDER = Path(__file__).parent / "shipped_digits"
CHECKSUMS = "SHA256SUMS"


def pack(path: Path, data: Binned) -> None:
    """Write `data` as a bit array (sample, unit, bin), compressed, with labels and speakers."""
    bits = np.packbits(data.dense(np.arange(len(data))).transpose(0, 2, 1))
    squeezed = np.frombuffer(lzma.compress(bits.tobytes(), preset=9), np.uint8)
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            spikes=squeezed,
            labels=data.labels.astype(np.uint8),
            speakers=data.speakers.astype(np.uint8),
            shape=np.array([len(data), data.n_units, data.n_bins]),
        )


def unpack(path: Path) -> Binned:
    """Read what `pack` wrote."""
    with np.load(path, allow_pickle=False) as file:
        labels, speakers = file["labels"].astype(np.int64), file["speakers"].astype(np.int64)
        n_samples, n_units, n_bins = (int(n) for n in file["shape"])
        bits = np.frombuffer(lzma.decompress(file["spikes"].tobytes()), np.uint8)
    spikes = np.unpackbits(bits, count=n_samples * n_units * n_bins).reshape(n_samples, n_units, n_bins)
    sample, unit, bin_ = np.nonzero(spikes)
    offsets = np.searchsorted(sample, np.arange(n_samples + 1))
    return Binned(
        bins=bin_.astype(np.uint16),
        units=unit.astype(np.uint16),
        offsets=offsets.astype(np.int64),
        labels=labels,
        speakers=speakers,
        keys=CLASSES,
        n_units=n_units,
        n_bins=n_bins,
        bin_width=BIN_WIDTH_PAPER,
    )


def read(part: str, folder: Path = FOLDER) -> Binned:
    """The shipped samples of "train", "validation" or "test".

    Raises:
        InputError: the file is missing or its checksum is wrong.
    """
    path = folder / f"{part}.npz"
    if not path.exists():
        raise InputError(f"{path}: missing; restore it with `git checkout -- lib/data/shipped_digits`")
    checksums = dict(line.split()[::-1] for line in (folder / CHECKSUMS).read_text().splitlines())
    if sha256_of(path) != checksums[path.name]:
        raise InputError(f"{path}: checksum differs; restore it with `git checkout -- lib/data/shipped_digits`")
    return unpack(path)


def make(event_files: dict[str, Path], folder: Path = FOLDER) -> None:
    """Bin the generated event files and write the shipped files and their checksums (for maintainers)."""
    events = {part: read_shd(path) for part, path in event_files.items()}
    n_bins = int(max(train.times.max() for train in events.values()) / BIN_WIDTH_PAPER) + 1
    names = []
    for part, train in events.items():
        pack(folder / f"{part}.npz", bin_events(train, BIN_WIDTH_PAPER, n_bins)[0])
        names.append(f"{part}.npz")
    lines = [f"{sha256_of(folder / name)}  {name}" for name in names]
    with write_atomically(folder / CHECKSUMS) as temporary:
        temporary.write_text("\n".join(lines) + "\n")
