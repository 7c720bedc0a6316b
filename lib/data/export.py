"""Timing-only data sets as files for other people: HDF5 in SHD's layout, checksums and a data card.

Each variant has a file a part. Beside SHD's own data sets a file holds `extra/original_sample` (number in the file, or
among the recordings, that the sample comes from) and `extra/unit_map` (original number of each unit), and attributes
that say how it was made. Samples pass through memory some at a time, so SSC needs no more of it than SHD.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import h5py
import numpy as np

from .. import __version__
from ..errors import InputError
from ..files import sha256_of, write_atomically
from ..progress import progress
from . import as_published, audit, shd, shipped, speech
from .card import card
from .events import BIN_WIDTH_PAPER, Binned, bin_events
from .variants import VARIANTS, MinimumCounts, make_variant, minimum_of_counts

PROTOCOLS = ("strict", "paper")
CHECKSUMS, RECORD, CARD = "checksums.sha256", "export.json", "README.md"


def export(
    data: str,
    variants: tuple[str, ...],
    output: str | Path,
    data_dir: str | None = None,
    protocol: str = "strict",
    bin_width: float = BIN_WIDTH_PAPER,
    seed: int = 0,
) -> Path:
    """Write the parts of a data set in some variants into a new folder.

    An interrupted call goes on, part by part, in a folder beside `output` that is renamed at the end.

    Args:
        data: a name of `speech.DATA_SETS`.
        variants: some of VARIANTS.
        output: folder to make.
        data_dir: as in `speech.load`.
        protocol: "strict" (`lib.data.variants`), or "paper" (`lib.data.as_published`; shd and ssc).
        bin_width: seconds; digits come in bins of 14.14 ms unless their events have been generated.
        seed: of the surviving spikes.

    Raises:
        InputError: the folder exists, a name is unknown, the protocol does not fit, or as `speech.load`.
    """
    output, variants = Path(output), tuple(dict.fromkeys(variants))
    if output.exists():
        raise InputError(f"--output: {output} exists; give a new folder")
    if protocol not in PROTOCOLS or unknown(variants):
        raise InputError(f"--protocol, --variants: choose from {', '.join(PROTOCOLS)} and {', '.join(VARIANTS)}")
    if protocol == "paper" and (data not in shd.FILES or "norm_aligned" in variants or bin_width != BIN_WIDTH_PAPER):
        raise InputError("--protocol: the published construction is of shd and ssc, whole, part and norm, at 14.14 ms")
    if not bin_width > 0:
        raise InputError(f"--bin-width-ms: {1e3 * bin_width:g} is not a width; give a number above 0")
    speech.fetch(data, data_dir)
    record = {
        "data": data, "variants": variants, "protocol": protocol, "bin_width_s": bin_width, "seed": seed,
        "source_sha256": speech.checksum(data, data_dir), "version": __version__,
    }  # fmt: skip
    partial = output.with_name(f".{output.name}-partial")
    _claim(partial, json.dumps(record, indent=1) + "\n")
    if protocol == "paper":
        _published(partial, data, variants, data_dir, seed)
    else:
        _strict(partial, data, variants, data_dir, bin_width, seed)
    audits = {}
    with progress(len(variants), f"{data}: audit", "variant") as bar:
        for variant in variants:
            paths = [partial / f"{data}_{variant}_{part}.h5" for part in ("train", "validation")]
            audits[variant] = audit.audit(*(audit.sampled(path, bin_width)[0] for path in paths))
            bar.update()
    with write_atomically(partial / CARD) as temporary:
        temporary.write_text(card(record, partial, audits))
    with write_atomically(partial / CHECKSUMS) as temporary:
        listed = sorted(path for path in partial.iterdir() if not path.name.startswith(".") and path.name != CHECKSUMS)
        temporary.write_text("".join(f"{sha256_of(path)}  {path.name}\n" for path in listed))
    partial.rename(output)
    return output


def unknown(variants: tuple[str, ...]) -> list[str]:
    """The names that are no variants; all of them if there are none."""
    return [name for name in variants or ("",) if name not in VARIANTS]


def _claim(partial: Path, record: str) -> None:
    """Begin a partial folder, or make sure that it is of the same export."""
    path = partial / RECORD
    if path.exists() and path.read_text() != record:
        raise InputError(f"{partial}: left by another export; delete it")
    partial.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as temporary:
        temporary.write_text(record)


def _strict(partial: Path, data: str, variants: tuple, data_dir: str | None, bin_width: float, seed: int) -> None:
    """Two passes: counts of the training voices, then all parts. A part that is there is not made again."""
    names = {part: [partial / f"{data}_{variant}_{part}.h5" for variant in variants] for part in speech.PARTS}
    if all(path.exists() for paths in names.values() for path in paths):
        return
    with progress(1 + len(names), f"{data}: counts, then the parts", "step") as bar:
        pieces = _binned(data, "train", data_dir, bin_width)
        minimum = minimum_of_counts(np.concatenate([piece.counts(np.uint16) for piece, _, _ in pieces]))
        bar.update()
        for place, part in enumerate(speech.PARTS):
            if not all(path.exists() for path in names[part]):
                pieces = _binned(data, part, data_dir, bin_width)
                _write_part(pieces, dict(zip(variants, names[part], strict=True)), minimum, [seed, place, 0])
            bar.update()


def _binned(data: str, part: str, data_dir: str | None, width: float) -> Iterator[tuple[Binned, np.ndarray, int]]:
    """Samples of a part, some at a time, their original numbers, and how many events binning merged."""
    if data == "digits" and width == BIN_WIDTH_PAPER:
        spikes = shipped.read(part)
        yield spikes, np.arange(len(spikes)), 0
        return
    for events, rows in speech.chunks(data, part, data_dir):
        spikes, report = bin_events(events, width)
        yield spikes, rows, report.n_shared


def _write_part(pieces, paths: dict[str, Path], minimum: MinimumCounts, seed: list[int]) -> None:
    """One part in several variants, all of the same samples."""
    with ExitStack() as stack:
        files = {name: stack.enter_context(_Writer(path)) for name, path in paths.items()}
        rngs = {name: np.random.default_rng(seed) for name in paths}
        for spikes, rows, merged in pieces:
            enough = minimum.enough(spikes)
            kept = spikes.select(np.flatnonzero(enough))
            for name, file in files.items():
                variant = make_variant(name, kept, minimum, rngs[name]) if len(kept) else kept
                file.append(variant, rows[enough], spikes.labels[~enough], spikes.speakers[~enough], merged)
                file.units = np.arange(minimum.n_units) if name == "whole" else minimum.units


def _published(partial: Path, data: str, variants: tuple, data_dir: str, seed: int) -> None:
    """The authors' construction, in passes over the files: only part and norm are held."""

    def pieces() -> Iterator[Binned]:
        return as_published.whole_chunks(as_published.batches(data, data_dir))

    n = sum(len(chunk.labels) for chunk in pieces())
    made = {}
    if {"part", "norm"} & set(variants):
        both = as_published.part_and_norm_of_chunks(pieces, as_published.RULES[data], seed)
        made = dict(zip(("part", "norm"), both, strict=True))
    for variant in variants:
        for part in speech.PARTS:
            chunks = [as_published.split(made[variant], part)] if variant in made else None
            with _Writer(partial / f"{data}_{variant}_{part}.h5") as file:
                for chunk in chunks or as_published.rows(pieces(), as_published.span(n, part)):
                    file.append(chunk)


class _Writer:
    """An HDF5 file in SHD's layout that grows, and appears at `path` when it is whole."""

    def __init__(self, path: Path) -> None:
        self._atomic = write_atomically(path)
        self._n, self._merged, self._dropped = 0, 0, {"by_class": {}, "by_speaker": {}}
        self.units: np.ndarray | None = None

    def __enter__(self) -> _Writer:
        self._file = h5py.File(self._atomic.__enter__(), "w")
        whole, spikes = np.int64, {"times": np.float32, "units": np.uint16}
        kinds = {f"spikes/{name}": h5py.vlen_dtype(kind) for name, kind in spikes.items()}
        kinds |= {"labels": whole, "extra/speaker": whole, "extra/original_sample": whole}
        for name, kind in kinds.items():
            self._file.create_dataset(name, (0,), maxshape=(None,), dtype=kind, chunks=(1024,))
        return self

    def append(self, spikes: Binned, rows=None, dropped_labels=(), dropped_speakers=(), merged: int = 0) -> None:
        """Add samples: a spike is dated in the middle of its bin, so that no rounding moves it to another one."""
        events = spikes.events()
        times = (events.times + spikes.bin_width / 2).astype(np.float32)
        columns = {"labels": spikes.labels, "extra/speaker": spikes.speakers}
        columns |= {} if rows is None else {"extra/original_sample": rows}
        for name, values in columns.items():
            self._file[name].resize(self._n + len(spikes), axis=0)
            self._file[name][self._n :] = values
        for name, values in (("spikes/times", times), ("spikes/units", events.units)):
            column = self._file[name]
            column.resize(self._n + len(spikes), axis=0)
            for i, (start, stop) in enumerate(zip(events.offsets, events.offsets[1:], strict=False)):
                column[self._n + i] = values[start:stop]  # one by one: h5py takes trains of one length for a matrix
        self._n, self._merged = self._n + len(spikes), self._merged + merged
        for counted, values in (("by_class", dropped_labels), ("by_speaker", dropped_speakers)):
            for value in map(int, values):
                self._dropped[counted][value] = self._dropped[counted].get(value, 0) + 1
        self._keys, self._width = spikes.keys, spikes.bin_width

    def __exit__(self, *error) -> None:
        if error[0] is None:
            self._file["extra/keys"] = np.array([key.encode() for key in self._keys])
            if self.units is None:  # the authors' construction keeps track neither of units nor of samples
                del self._file["extra/original_sample"]
            else:
                self._file["extra/unit_map"] = self.units
            self._file.attrs["bin_width_s"], self._file.attrs["merged_by_binning"] = self._width, self._merged
            self._file.attrs["dropped"] = json.dumps(self._dropped)
        self._file.close()
        self._atomic.__exit__(*error)
