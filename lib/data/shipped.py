"""The synthetic spoken digits that come with the code: binned, bit-packed, compressed, one file a part.

Bins are 14.14 ms wide and binary, as in the paper: several events of a unit in one bin count once. The event
file itself is generated on request (`python -m lib data digits`); binning it gives these files.
"""

from __future__ import annotations

import itertools
import lzma
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import soundfile

from ..errors import InputError
from ..files import sha256_of, write_atomically
from .digits import CLASSES, utterances_of_voice, voices_of_part
from .events import BIN_WIDTH_PAPER, Binned, bin_events, read_shd

FOLDER = Path(__file__).parent / "shipped_digits"
CHECKSUMS = "SHA256SUMS"


def pack(path: Path, data: Binned) -> None:
    """Write `data` as a bit array (sample, bin, unit), compressed, with labels and speakers."""
    bits = np.packbits(data.dense(np.arange(len(data))))
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
    offsets, bins, units = _unpack(bits, n_samples, n_bins, n_units)
    return Binned(
        bins=bins,
        units=units,
        offsets=offsets,
        labels=labels,
        speakers=speakers,
        keys=CLASSES,
        n_units=n_units,
        n_bins=n_bins,
        bin_width=BIN_WIDTH_PAPER,
    )


@numba.njit(cache=True)
def _unpack(bits, n_samples, n_bins, n_units):
    """List the set bits of each sample by unit, then bin (numpy packs the first of eight into the highest bit)."""
    n_spikes = 0
    for byte in bits:
        while byte:
            byte &= byte - 1
            n_spikes += 1
    offsets = np.zeros(n_samples + 1, np.int64)
    bins, units = np.empty(n_spikes, np.uint16), np.empty(n_spikes, np.uint16)
    spike = 0
    for sample in range(n_samples):
        for unit in range(n_units):
            for bin_ in range(n_bins):
                cell = (sample * n_bins + bin_) * n_units + unit
                if bits[cell >> 3] >> (7 - (cell & 7)) & 1:
                    bins[spike], units[spike] = bin_, unit
                    spike += 1
        offsets[sample + 1] = spike
    return offsets, bins, units


def read(part: str, folder: Path = FOLDER) -> Binned:
    """The shipped samples of "train", "validation" or "test".

    Raises:
        InputError: the file is missing or its checksum is wrong.
    """
    path = folder / f"{part}.npz"
    if not path.exists():
        raise InputError(f"{path}: missing; restore it with `git checkout -- lib/data/shipped_digits`")
    lines = (folder / CHECKSUMS).read_text(errors="replace").splitlines() if (folder / CHECKSUMS).exists() else []
    if f"{sha256_of(path)}  {path.name}" not in lines:
        raise InputError(f"{path}: checksum differs; restore it with `git checkout -- lib/data/shipped_digits`")
    return unpack(path)


def make(event_files: dict[str, Path], folder: Path = FOLDER) -> None:
    """Bin the generated event files and write the shipped files and their checksums (for maintainers)."""
    parts = {part: read_shd(path) for part, path in event_files.items()}
    n_bins = int(max(events.times.max() for events in parts.values()) / BIN_WIDTH_PAPER) + 1
    for part, events in parts.items():
        pack(folder / f"{part}.npz", bin_events(events, BIN_WIDTH_PAPER, n_bins)[0])
    for voices in (voices_of_part()["train"], voices_of_part()["test"]):
        command = [sys.executable, "-m", __name__, str(voices[0]), str(folder / "audio")]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[2])  # a fresh process: see lib.data.espeak
    names = [f"{part}.npz" for part in parts]
    lines = [f"{sha256_of(folder / name)}  {name}" for name in names]
    with write_atomically(folder / CHECKSUMS) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def write_sounds(voice: int, folder: Path) -> None:
    """Write the first recording of each class of a voice, as it was heard by the cochlea, for listening."""
    for label, sound, sample_rate, _ in itertools.islice(utterances_of_voice(voice), len(CLASSES)):
        with write_atomically(folder / f"voice-{voice:02d}_class-{label:02d}.flac") as temporary:
            soundfile.write(temporary, sound, sample_rate)


if __name__ == "__main__":
    write_sounds(int(sys.argv[1]), Path(sys.argv[2]))
