"""Timing-only data sets as files for other people: HDF5 in SHD's layout, checksums and a data card.

Each variant has a file a part. Beside SHD's own data sets a file holds `extra/original_sample` (number in the file, or
among the recordings, that the sample comes from) and `extra/unit_map` (original number of each unit), and attributes
that say how it was made. By the strict protocol, samples pass through memory some at a time, so that SSC needs no more
of it than SHD; the authors' construction holds part and norm.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from .. import __version__
from ..errors import InputError
from ..files import sha256_of, write_atomically
from ..progress import progress
from . import as_published, audit, ragged, shd, shipped, speech
from .card import card
from .events import BIN_WIDTH_PAPER, Binned, Events, bin_events
from .hdf5 import writing_hdf5
from .variants import VARIANTS, MinimumCounts, make_variant, minimum_of_counts

PROTOCOLS = ("strict", "paper")
CHECKSUMS, RECORD, CARD = "checksums.sha256", "export.json", "README.md"
SLICE = 256  # samples written at a time


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
        seed: of the surviving spikes: norm is one draw of them.

    Raises:
        InputError: the folder exists or cannot be made, a name is unknown, the protocol does not fit, or as
            `speech.load`.
    """
    output, variants = Path(output), tuple(dict.fromkeys(variants))
    if output.exists():
        raise InputError(f"--output: {output} exists; give a new folder")
    if protocol not in PROTOCOLS or unknown(variants):
        raise InputError(f"--protocol, --variants: choose from {', '.join(PROTOCOLS)} and {', '.join(VARIANTS)}")
    if protocol == "paper" and (data not in shd.FILES or "norm_aligned" in variants or bin_width != BIN_WIDTH_PAPER):
        raise InputError("--protocol: the published construction is of shd and ssc, whole, part and norm, at 14.14 ms")
    if not 0 < bin_width < np.inf:
        raise InputError(f"--bin-width-ms: {1e3 * bin_width:g} is not a width; give a number above 0")
    speech.fetch(data, data_dir)
    record = {
        "data": data, "variants": variants, "protocol": protocol, "bin_width_s": bin_width, "seed": seed,
        "source_sha256": _source(data, data_dir, bin_width), "version": __version__,
    }  # fmt: skip
    partial = output.with_name(f".{output.name}-partial")
    _claim(partial, json.dumps(record, indent=1) + "\n")
    try:
        (_strict if protocol == "strict" else _published)(partial, record, data_dir)
        _describe(partial, record)
    except InputError:
        if not list(partial.glob("[!.]*.h5")):  # nothing to go on from
            shutil.rmtree(partial)
        raise
    partial.rename(output)
    return output


def unknown(variants: tuple[str, ...]) -> list[str]:
    """The names that are no variants; all of them if there are none."""
    return [name for name in variants or ("",) if name not in VARIANTS]


def _source(data: str, data_dir: str | None, bin_width: float) -> str | dict[str, str]:
    """SHA-256 of what the spikes come from."""
    if data == "digits" and bin_width != BIN_WIDTH_PAPER:
        return {part: sha256_of(speech.digit_events(part)) for part in speech.PARTS}
    return speech.checksum(data, data_dir)


def _claim(partial: Path, record: str) -> None:
    """Begin a partial folder, or make sure that it is of the same export; what was half written in it goes."""
    path = partial / RECORD
    if path.exists() and path.read_text() != record:
        raise InputError(f"{partial}: left by an export with other arguments; repeat that one or delete the folder")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        for half in partial.glob(".*"):
            half.unlink()
        with write_atomically(path) as temporary:
            temporary.write_text(record)
    except OSError as error:
        raise InputError(
            f"--output: {partial.parent} cannot be written ({error.strerror}); give another folder"
        ) from None


def _describe(partial: Path, record: dict) -> None:
    """Audit of every variant, data card, checksums."""
    audits = {}
    with progress(len(record["variants"]), f"{record['data']}: audit", "variant") as bar:
        for variant in record["variants"]:
            names = [_path(partial, record, variant, part) for part in ("train", "validation")]
            audits[variant] = audit.audit(*(audit.sampled(path, record["bin_width_s"])[0] for path in names))
            bar.update()
    with write_atomically(partial / CARD) as temporary:
        temporary.write_text(card(record, partial, audits))
    with write_atomically(partial / CHECKSUMS) as temporary:
        listed = [path for path in sorted(partial.glob("[!.]*")) if path.name != CHECKSUMS]
        temporary.write_text("".join(f"{sha256_of(path)}  {path.name}\n" for path in listed))


def _path(folder: Path, record: dict, variant: str, part: str) -> Path:
    return folder / f"{record['data']}_{variant}_{part}.h5"


def _strict(partial: Path, record: dict, data_dir: str | None) -> None:
    """Two passes: counts of the training voices, then all parts. A part that is there is not made again."""
    variants, data, width = record["variants"], record["data"], record["bin_width_s"]
    names = {part: {name: _path(partial, record, name, part) for name in variants} for part in speech.PARTS}
    if all(path.exists() for paths in names.values() for path in paths.values()):
        return
    with progress(1 + len(names), f"{data}: counts, then the parts", "step") as bar:
        counts = [spikes.counts(np.uint16) for spikes, _, _ in _binned(data, "train", data_dir, width)]
        minimum = minimum_of_counts(np.concatenate(counts))
        bar.update()
        for place, (part, paths) in enumerate(names.items()):
            if not all(path.exists() for path in paths.values()):
                _write_part(_binned(data, part, data_dir, width), paths, minimum, record | {"part": part}, place)
            bar.update()


def _binned(data: str, part: str, data_dir: str | None, width: float) -> Iterator[tuple]:
    """Samples of a part, some at a time; their original numbers; events merged, (samples, units) (None: unknown)."""
    if data == "digits" and width == BIN_WIDTH_PAPER:
        spikes = shipped.read(part)
        for rows in _slices(len(spikes)):
            yield spikes.select(rows), rows, None
        return
    for events, rows in speech.chunks(data, part, data_dir):
        spikes, _ = bin_events(events, width)
        yield spikes, rows, _counts(events) - spikes.counts(np.int32)


def _counts(events: Events) -> np.ndarray:
    """Events of every sample and unit."""
    counts = np.zeros((len(events), events.n_units), np.int32)
    ragged.count(counts, events.units, events.offsets)
    return counts


def _slices(n: int) -> list[np.ndarray]:
    """The numbers below n, some at a time."""
    return [np.arange(first, min(first + SLICE, n)) for first in range(0, max(n, 1), SLICE)]


def _write_part(pieces, paths: dict[str, Path], minimum: MinimumCounts, about: dict, place: int) -> None:
    """One part in several variants, all of the same samples."""
    with ExitStack() as stack:
        files = {name: stack.enter_context(_writing(path, about | {"variant": name})) for name, path in paths.items()}
        rngs = {name: np.random.default_rng([about["seed"], place, 0]) for name in paths}
        for spikes, rows, lost in pieces:
            enough = minimum.enough(spikes)
            kept = spikes.select(np.flatnonzero(enough))
            for name, file in files.items():
                units = np.arange(minimum.n_units) if name == "whole" else minimum.units
                made = make_variant(name, kept, minimum, rngs[name]) if len(kept) else replace(kept, n_units=len(units))
                merged = None if lost is None else int(lost[enough][:, units].sum())
                file.append(made, merged, rows[enough], units)
                file.drop(spikes.labels[~enough], spikes.speakers[~enough])


def _published(partial: Path, record: dict, data_dir: str) -> None:
    """The authors' construction, in passes over the files. A variant that is there is not made again.

    Their bins are counted from 1: bin b of the authors is bin b - 1 here, so that times are those of the source.
    """
    data = record["data"]
    names = {name: {part: _path(partial, record, name, part) for part in speech.PARTS} for name in record["variants"]}
    missing = [name for name, paths in names.items() if not all(path.exists() for path in paths.values())]

    def pieces() -> Iterator[Binned]:
        return as_published.whole_chunks(as_published.batches(data, data_dir))

    sizes = [len(events) for events in as_published.batches(data, data_dir)]
    n = as_published.in_whole_batches(sizes)
    made = {}
    with progress(1 + len(missing), f"{data}: part and norm, then files", "step") as bar:
        if {"part", "norm"} & set(missing):
            both = as_published.part_and_norm_of_chunks(pieces, as_published.RULES[data], record["seed"])
            made = dict(zip(("part", "norm"), both, strict=True))
        bar.update()
        for variant in missing:
            for part, path in names[variant].items():
                if variant in made:
                    rows = as_published.span(len(made[variant]), part)
                    chunks = (made[variant].select(rows[some]) for some in _slices(len(rows)))
                else:
                    chunks = as_published.rows(pieces(), as_published.span(n, part))
                about = record | {"variant": variant, "part": part, "source_samples": sum(sizes)}
                with _writing(path, about) as file:
                    for chunk in chunks:
                        file.append(replace(chunk, bins=chunk.bins - 1))
            bar.update()


@contextmanager
def _writing(path: Path, about: dict) -> Iterator[_File]:
    """A file that grows, and appears at `path` when it is whole; `about` becomes its attributes."""
    with writing_hdf5(path) as file:
        growing = _File(file)
        yield growing
        growing.finish(about)


class _File:
    """An HDF5 file in SHD's layout to which samples are added."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._n, self._dropped = 0, {"by_class": {}, "by_speaker": {}}
        self._about: dict = {}
        kinds = {"spikes/times": h5py.vlen_dtype(np.float32), "spikes/units": h5py.vlen_dtype(np.uint16)}
        for name, kind in (kinds | {"labels": np.uint16, "extra/speaker": np.uint16}).items():
            file.create_dataset(name, (0,), maxshape=(None,), dtype=kind, chunks=(1024,))

    def append(self, spikes: Binned, merged: int | None = None, rows=None, units=None) -> None:
        """Add samples: a spike is dated in the middle of its bin, so that no rounding moves it to another one.

        Args:
            merged: events of these samples and units that binning has merged with others (None: unknown).
            rows, units: original numbers of samples and units, if they are known.
        """
        events = spikes.events()
        times = (events.times + spikes.bin_width / 2).astype(np.float32)
        columns = {"labels": spikes.labels, "extra/speaker": spikes.speakers}
        if rows is not None:
            self._file.require_dataset("extra/original_sample", (self._n,), np.int64, maxshape=(None,), chunks=(1024,))
            columns["extra/original_sample"] = rows
        for name, values in columns.items():
            self._file[name].resize(self._n + len(spikes), axis=0)
            self._file[name][self._n :] = values
        for name, values in (("spikes/times", times), ("spikes/units", events.units)):
            column = self._file[name]
            column.resize(self._n + len(spikes), axis=0)
            for i, (start, stop) in enumerate(zip(events.offsets, events.offsets[1:], strict=False)):
                column[self._n + i] = values[start:stop]  # one by one: h5py takes trains of one length for a matrix
        self._n += len(spikes)
        self._units, self._keys = units, spikes.keys
        longest = max(self._about.get("n_bins", 0), spikes.n_bins)
        self._about |= {"n_units": spikes.n_units, "n_bins": longest, "bin_width_s": spikes.bin_width}
        if merged is not None:
            self._about["merged_by_binning"] = self._about.get("merged_by_binning", 0) + merged

    def drop(self, labels: np.ndarray, speakers: np.ndarray) -> None:
        """Count samples that are left out."""
        for counted, values in (("by_class", labels), ("by_speaker", speakers)):
            for value in map(int, values):
                self._dropped[counted][value] = self._dropped[counted].get(value, 0) + 1

    def finish(self, about: dict) -> None:
        """Class names, unit map, attributes."""
        self._file["extra/keys"] = np.array([key.encode() for key in self._keys])
        if self._units is not None:
            self._file["extra/unit_map"] = self._units
            self._about["dropped"] = json.dumps(self._dropped)
        told = {name: value for name, value in about.items() if name not in ("variants", "bin_width_s")}
        for name, value in (told | self._about).items():
            self._file.attrs[name] = json.dumps(value) if isinstance(value, dict) else value
