"""Spike trains: events in continuous time, SHD's file format, and binning.

An `Events` holds what a cochlea or a file gives: one time and one unit an event. A `Binned` holds spikes on a grid
of time bins, sparsely: at most one spike a unit and bin. Binning loses nothing uncounted and keeps absolute time.

SHD's HDF5 layout: Cramer et al. 2022 (datasets `spikes/times` float16 seconds, `spikes/units` uint16, `labels`,
`extra/speaker`, `extra/keys`, `extra/meta_info`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from ..errors import InputError
from . import ragged
from .hdf5 import writing_hdf5

N_UNITS = 700
CHUNK = 256  # samples read at a time
REMEDY = "delete it and fetch or make it again"
BIN_WIDTH_PAPER = 1.4 / 99  # s; numpy.digitize(t, linspace(0, 1.4, 100)) of the paper is our bin + 1


@dataclass(frozen=True)
class Events:
    """Ragged spike trains of many samples, in continuous time.

    Attributes:
        times: float64 (n_events,), seconds, sample after sample.
        units: uint16 (n_events,).
        offsets: int64 (n_samples + 1,); sample i holds events offsets[i] to offsets[i + 1].
        labels, speakers: int64 (n_samples,).
        keys: names of the classes; labels index them.
        n_units: units are 0 to n_units - 1.

    Raises:
        InputError: shapes disagree, a time is negative or not finite, a unit or a label is out of range.
    """

    times: np.ndarray
    units: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray
    keys: tuple[str, ...]
    n_units: int = N_UNITS

    def __post_init__(self) -> None:
        _check_ragged(self.times, self.units, self.offsets, self.labels, self.speakers, self.keys, self.n_units)
        if not np.isfinite(self.times).all():
            raise InputError("times: some are not finite (NaN or infinite); repair or remove these events")
        if len(self.times) and self.times.min() < 0:
            raise InputError(f"times: the earliest is {self.times.min():.4g} s; shift them so that none is negative")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        """Times and units of one sample."""
        span = slice(self.offsets[sample], self.offsets[sample + 1])
        return self.times[span], self.units[span]

    def select(self, samples: np.ndarray) -> Events:
        """These samples, in this order."""
        return _selected(self, samples, "times", "units")

    @classmethod
    def from_list(
        cls,
        trains: Sequence[tuple[np.ndarray, np.ndarray]],
        labels: Sequence[int],
        speakers: Sequence[int],
        keys: Sequence[str],
        n_units: int = N_UNITS,
    ) -> Events:
        """Join (times, units) of single samples."""
        offsets = np.concatenate([[0], np.cumsum([len(times) for times, _ in trains])]).astype(np.int64)
        return cls(
            times=np.concatenate([np.asarray(times, np.float64) for times, _ in trains] or [np.empty(0)]),
            units=np.concatenate([np.asarray(units, np.uint16) for _, units in trains] or [np.empty(0, np.uint16)]),
            offsets=offsets,
            labels=np.asarray(labels, np.int64),
            speakers=np.asarray(speakers, np.int64),
            keys=tuple(keys),
            n_units=n_units,
        )


def concatenate(several: Sequence[Events]) -> Events:
    """Join data sets of the same classes and units, sample after sample."""
    firsts = np.cumsum([0, *(len(events.times) for events in several)])
    ends = [events.offsets[1:] + first for events, first in zip(several, firsts, strict=False)]
    joined = {"offsets": np.concatenate([np.zeros(1, np.int64), *ends])}
    for name in ("times", "units", "labels", "speakers"):
        joined[name] = np.concatenate([getattr(events, name) for events in several])
    return replace(several[0], **joined)


@dataclass(frozen=True)
class Binned:
    """Binary spike trains of many samples on a grid of time bins, as lists of spikes.

    Attributes:
        bins, units: uint16 (n_spikes,), sample after sample; within a sample sorted by unit, then bin; unique.
        offsets, labels, speakers, keys, n_units: as in `Events`.
        n_bins: bins are 0 to n_bins - 1.
        bin_width: seconds; bin b holds times from b * bin_width up to (b + 1) * bin_width.
    """

    bins: np.ndarray
    units: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray
    keys: tuple[str, ...]
    n_units: int
    n_bins: int
    bin_width: float

    def __post_init__(self) -> None:
        _check_ragged(self.bins, self.units, self.offsets, self.labels, self.speakers, self.keys, self.n_units)
        if len(self.bins) and self.bins.max() >= self.n_bins:
            raise InputError(f"bins: the last is {self.bins.max()}, but there are {self.n_bins}; raise n_bins")

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, samples: np.ndarray) -> Binned:
        """These samples, in this order."""
        return _selected(self, samples, "bins", "units")

    def counts(self, dtype: type = np.int64) -> np.ndarray:
        """Spikes of every unit in every sample, (n_samples, n_units) of `dtype`."""
        out = np.zeros((len(self), self.n_units), dtype)
        ragged.count(out, self.units, self.offsets)
        return out

    def events(self) -> Events:
        """The same spikes in continuous time, in order of time: a spike in bin b at b * bin_width."""
        bins, units = ragged.by_time(self.bins, self.units, self.offsets, self.n_bins)
        return Events(
            times=bins * self.bin_width,
            units=units,
            offsets=self.offsets,
            labels=self.labels,
            speakers=self.speakers,
            keys=self.keys,
            n_units=self.n_units,
        )

    def dense(self, samples: Sequence[int] | np.ndarray, dtype: type = np.uint8) -> np.ndarray:
        """0/1 array (len(samples), n_bins, n_units) of `dtype`."""
        out = np.zeros((len(samples), self.n_bins, self.n_units), dtype)
        ragged.fill(out, self.bins, self.units, self.offsets, np.asarray(samples, np.int64))
        return out


def join(parts: Iterable[Binned]) -> Binned:
    """Join data of the same classes and units, sample after sample, on the longest of their grids.

    Arrays grow in place while the parts come, so that the spikes are held once.

    Raises:
        InputError: there is no part.
    """
    bins, units = np.empty(0, np.uint16), np.empty(0, np.uint16)
    offsets, labels, speakers, n_bins, part = [np.zeros(1, np.int64)], [], [], 0, None
    for part in parts:
        offsets.append(len(bins) + part.offsets[1:])
        for grown, new in ((bins, part.bins), (units, part.units)):
            grown.resize(len(grown) + len(new), refcheck=False)
            grown[len(grown) - len(new) :] = new
        labels.append(part.labels)
        speakers.append(part.speakers)
        n_bins = max(n_bins, part.n_bins)
    if part is None:
        raise InputError("parts: there are none to join; give one or more")
    spikes = {"bins": bins, "units": units, "offsets": np.concatenate(offsets), "n_bins": n_bins}
    return replace(part, **spikes, labels=np.concatenate(labels), speakers=np.concatenate(speakers))


@dataclass(frozen=True)
class BinningReport:
    """What binning merged or left out.

    Attributes:
        n_events: before.
        n_shared: events that share their unit's bin with an earlier one (a bin is 0 or 1).
        n_outside: events after the last bin, left out.
    """

    n_events: int
    n_shared: int
    n_outside: int


def bin_events(events: Events, bin_width: float, n_bins: int | None = None) -> tuple[Binned, BinningReport]:
    """Put events on a grid: bin = floor(t / bin_width), counted from time 0.

    A time within 1e-9 bins below an edge counts as on it, so that t = k * bin_width falls in bin k whatever the
    rounding of the product.

    Args:
        events: spike trains.
        bin_width: seconds.
        n_bins: length of the grid; default: up to the last event.

    Returns:
        The spikes (spikes + n_shared + n_outside = n_events), and the report.

    Raises:
        InputError: the bin width is not positive, or the grid has over 65,535 bins.
    """
    if not bin_width > 0:
        raise InputError(f"bin_width: {bin_width} s is not a width; give seconds above 0")
    most = np.iinfo(np.uint16).max
    with np.errstate(over="ignore"):
        places = np.floor(events.times / bin_width + 1e-9)
    last = places.max(initial=0.0) + 1  # a float: a hostile time may be infinitely many bins away
    if (last if n_bins is None else n_bins) > most:
        raise InputError(f"bin_width: {n_bins or last:.6g} bins are too many; choose wider bins than {bin_width} s")
    n_bins = int(last) if n_bins is None else n_bins
    slots = np.minimum(places, most + 1).astype(np.int64)
    bins, units, offsets = ragged.distinct_spikes(slots, events.units, events.offsets, n_bins, events.n_units)
    binned = Binned(
        bins=bins,
        units=units,
        offsets=offsets,
        labels=events.labels,
        speakers=events.speakers,
        keys=events.keys,
        n_units=events.n_units,
        n_bins=n_bins,
        bin_width=bin_width,
    )
    n_events, n_inside = len(slots), int(np.count_nonzero(slots < n_bins))
    return binned, BinningReport(n_events, n_inside - len(bins), n_events - n_inside)


def read_shd(path: str | Path) -> Events:
    """All of a file in SHD's layout. Raises InputError as `read_shd_chunks`."""
    return concatenate(list(read_shd_chunks(path)))


def read_shd_chunks(path: str | Path, samples: int = CHUNK) -> Iterator[Events]:
    """The samples of a file in SHD's layout, in their order, some at a time: those of SSC would fill 8 GB.

    Units are SHD's 700, or as many as the attribute `n_units` says (`lib.data.export`). Times become float64 before anything else. There is at least one chunk, of no samples if the file has none.

    Raises:
        InputError: the file is missing, damaged, lacks a data set, or holds values that cannot be (one line each).
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path or make it again")
    try:
        with h5py.File(path, "r") as file:
            names = ("spikes/times", "spikes/units", "labels", "extra/speaker", "extra/keys")
            columns = [file.get(name) for name in names]
            for name, column in zip(names, columns, strict=True):
                if not isinstance(column, h5py.Dataset) or not column.shape:
                    raise InputError(f"{path}: it lacks {name}, so it is not in SHD's layout; {REMEDY}")
            keys = [key.decode() if isinstance(key, bytes) else str(key) for key in columns.pop()[:]]
            n_units = file.attrs.get("n_units", N_UNITS)
            if np.ndim(n_units) or not isinstance(n_units, (int, np.integer)) or not 1 <= n_units <= N_UNITS:
                raise InputError(f"{path}: n_units is no number of units from 1 to {N_UNITS}; {REMEDY}")
            if len({len(column) for column in columns}) > 1:
                raise InputError(f"{path}: times, units, labels and speakers have different lengths; {REMEDY}")
            for first in range(0, max(len(columns[0]), 1), samples):
                yield _checked(
                    path, first, *(column[first : first + samples] for column in columns), keys, int(n_units)
                )
    except InputError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(f"{path}: not a whole HDF5 file ({reason}); {REMEDY}") from None


def _checked(path: Path, first: int, times, units, labels, speakers, keys, n_units: int) -> Events:
    """Events of some samples of a file, of which `first` is the first. Raises InputError if they cannot be."""
    if labels.dtype.kind not in "iu" or speakers.dtype.kind not in "iu":
        raise InputError(f"{path}: labels or speakers are not whole numbers; {REMEDY}")
    for i, (time, unit) in enumerate(zip(times, units, strict=True), start=first):
        if np.ndim(time) != 1 or time.dtype.kind != "f" or np.ndim(unit) != 1 or unit.dtype.kind not in "iu":
            raise InputError(f"{path}: sample {i} does not hold float times and integer units; {REMEDY}")
        if len(time) != len(unit):
            raise InputError(f"{path}: sample {i} has {len(time)} times but {len(unit)} units; {REMEDY}")
        if len(unit) and not 0 <= unit.min() <= unit.max() < n_units:
            worst = f"down to {unit.min()}" if unit.min() < 0 else f"up to {unit.max()}"
            raise InputError(f"{path}: units go {worst}, but there are {n_units} (0 to {n_units - 1}); {REMEDY}")
    try:
        return Events.from_list(list(zip(times, units, strict=True)), labels, speakers, keys, n_units)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_shd(path: str | Path, events: Events) -> None:
    """Write a file in SHD's layout, whole or not at all.

    Times are rounded to float16, as in SHD: to 0.24 ms at 0.3 s, 0.49 ms at 0.6 s, 0.98 ms from 1 s on.
    """
    with writing_hdf5(path) as file:
        n = len(events)
        times = file.create_dataset("spikes/times", (n,), dtype=h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (n,), dtype=h5py.vlen_dtype(np.uint16))
        for i in range(n):
            times[i], units[i] = (x.astype(kind) for x, kind in zip(events[i], (np.float16, np.uint16), strict=True))
        file["labels"] = events.labels.astype(np.uint16)
        file["extra/speaker"] = events.speakers.astype(np.uint16)
        file["extra/keys"] = np.array([key.encode() for key in events.keys])
        n_speakers = (
            int(events.speakers.max(initial=-1)) + 1
        )  # SHD describes its people here; voices have no such facts
        file["extra/meta_info/gender"] = np.array([b"-"] * n_speakers)
        file["extra/meta_info/age"] = np.zeros(n_speakers, np.uint16)
        file["extra/meta_info/body_height"] = np.zeros(n_speakers, np.uint16)


def _check_ragged(values, units, offsets, labels, speakers, keys, n_units: int) -> None:
    """The rules that `Events` and `Binned` share."""
    if len(values) != len(units):
        raise InputError(f"units: there are {len(units)}, but {len(values)} times; every event needs both")
    if len(offsets) != len(labels) + 1 or len(labels) != len(speakers):
        raise InputError(
            f"offsets, labels, speakers: lengths {len(offsets)}, {len(labels)}, {len(speakers)} do not fit; "
            "offsets has one more than the others"
        )
    if offsets[0] != 0 or offsets[-1] != len(values) or (np.diff(offsets) < 0).any():
        raise InputError("offsets: they must rise from 0 to the number of events")
    if len(units) and units.max() >= n_units:
        raise InputError(f"units: the largest is {units.max()}, but there are {n_units}; check n_units")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(keys):
        raise InputError(f"labels: they go from {labels.min()} to {labels.max()}, but there are {len(keys)} keys")


def _selected(data, samples: np.ndarray, *names: str):
    """`data` (Events or Binned) of these samples, in this order; `names` of the arrays that hold its events."""
    samples = np.arange(len(data))[samples]
    offsets = np.concatenate([[0], np.cumsum(np.diff(data.offsets)[samples])]).astype(np.int64)
    taken = {name: ragged.gather(getattr(data, name), data.offsets, samples, offsets) for name in names}
    return replace(data, **taken, offsets=offsets, labels=data.labels[samples], speakers=data.speakers[samples])
