"""Events, SHD's file format, and binning that loses nothing uncounted."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import random_binned

from lib.data.events import (
    BIN_WIDTH_PAPER,
    Binned,
    Events,
    bin_events,
    concatenate,
    join,
    read_shd,
    read_shd_chunks,
    write_shd,
)  # fmt: skip
from lib.errors import InputError


def random_events(seed=0, n=5, longest=200, n_classes=3):
    rng = np.random.default_rng(seed)
    trains = [(np.sort(rng.uniform(0, 1.3, k)), rng.integers(0, 700, k)) for k in rng.integers(0, longest, n)]
    return Events.from_list(trains, np.arange(n) % n_classes, np.arange(n) % 2, [f"k{i}" for i in range(n_classes)])


@st.composite
def few_events(draw):
    trains = []
    for _ in range(draw(st.integers(0, 4))):
        pairs = draw(st.lists(st.tuples(st.floats(0, 1.5), st.integers(0, 5)), max_size=30))
        trains.append((np.array([t for t, _ in pairs]), np.array([u for _, u in pairs], np.uint16)))
    return Events.from_list(trains, [0] * len(trains), [0] * len(trains), ["word"], n_units=6)


@settings(max_examples=150, deadline=None)
@given(few_events(), st.sampled_from([0.001, 0.004, BIN_WIDTH_PAPER, 0.1]), st.sampled_from([None, 1, 7, 50]))
def test_binning_loses_nothing_uncounted(events, width, n_bins):
    """Spikes + events that share a bin + events outside = events; and the cells are those of a plain loop."""
    binned, report = bin_events(events, width, n_bins)
    cells = {
        (i, int(u), int(np.floor(t / width + 1e-9)))
        for i in range(len(events))
        for t, u in zip(*events[i], strict=True)
    }
    inside = sorted(cell for cell in cells if cell[2] < binned.n_bins)
    sample = np.repeat(np.arange(len(binned)), np.diff(binned.offsets))
    assert list(zip(sample.tolist(), binned.units.tolist(), binned.bins.tolist(), strict=True)) == inside
    assert len(binned.bins) + report.n_shared + report.n_outside == report.n_events == len(events.times)
    if n_bins is None:
        assert report.n_outside == 0


def test_a_time_on_an_edge_belongs_to_the_bin_that_begins_there():
    """t = k * width falls in bin k for every k, whatever the rounding of the product."""
    for width in (BIN_WIDTH_PAPER, 0.001, 0.01, 1 / 3):
        k = np.arange(500)
        events = Events.from_list([(k * width, np.zeros(500, int))], [0], [0], ["w"])
        assert (bin_events(events, width)[0].bins == k).all()


def test_absolute_time_is_kept():
    """Shifting all events by k bins shifts all spikes by k bins: the onset is not subtracted."""
    events = random_events(1)
    later = Events.from_list(
        [(events[i][0] + 7 * 0.01, events[i][1]) for i in range(len(events))],
        events.labels,
        events.speakers,
        events.keys,
    )
    one, two = bin_events(events, 0.01, 200)[0], bin_events(later, 0.01, 200)[0]
    assert (one.dense(np.arange(5))[:, :190] == two.dense(np.arange(5))[:, 7:197]).all()


def test_the_paper_s_binning():
    """Equal to numpy.digitize on linspace(0, 1.4, 100), shifted by the one bin that the paper never uses."""
    times = np.random.default_rng(0).uniform(0, 1.39, 3000)
    events = Events.from_list([([t], [3]) for t in times], [0] * 3000, [0] * 3000, ["w"])
    assert (bin_events(events, BIN_WIDTH_PAPER)[0].bins + 1 == np.digitize(times, np.linspace(0, 1.4, 100))).all()


def test_dense_and_counts_agree_with_a_loop():
    """`dense` marks exactly the listed spikes, `counts` sums them; any choice and order of samples."""
    data = random_binned(seed=0, n_samples=6, n_units=9, rate=0.2)
    chosen = [4, 0, 4, 2]
    dense = data.dense(chosen, dtype=np.float32)
    for row, sample in enumerate(chosen):
        expected = np.zeros((data.n_bins, data.n_units))
        for spike in range(data.offsets[sample], data.offsets[sample + 1]):
            expected[data.bins[spike], data.units[spike]] = 1
        assert (dense[row] == expected).all()
    assert (data.counts() == data.dense(np.arange(6)).sum(axis=1)).all()
    assert (data.select(np.array(chosen)).dense(np.arange(4)) == dense).all()


def test_select_and_concatenate_keep_samples_whole():
    """Selecting and joining give the very events of each sample, with label and speaker."""
    events = random_events(2)
    joined = concatenate([events.select(np.array([3, 1])), events.select(np.array([4]))])
    for new, old in enumerate((3, 1, 4)):
        assert (joined[new][0] == events[old][0]).all() and (joined[new][1] == events[old][1]).all()
        assert joined.labels[new] == events.labels[old] and joined.speakers[new] == events.speakers[old]


@settings(max_examples=20)
@given(n=st.integers(0, 9), samples=st.integers(1, 10))
def test_chunks_of_a_file_are_the_file(tmp_path_factory, n, samples):
    """Chunks hold the samples of the file in order, so many at a time; binned and joined they are the file binned."""
    path = tmp_path_factory.mktemp("chunks") / "a.h5"
    write_shd(path, random_events(8, n=n))
    chunks, whole = list(read_shd_chunks(path, samples)), read_shd(path)
    assert [len(chunk) for chunk in chunks] == ([min(samples, n - i) for i in range(0, n, samples)] or [0])
    first = 0
    for chunk in chunks:
        for i in range(len(chunk)):
            assert (chunk[i][0] == whole[first + i][0]).all() and (chunk[i][1] == whole[first + i][1]).all()
        first += len(chunk)
    assert first == len(whole) == n
    joined, once = join(bin_events(chunk, 0.01)[0] for chunk in chunks), bin_events(whole, 0.01)[0]
    for name in ("bins", "units", "offsets", "labels", "speakers"):
        assert (getattr(joined, name) == getattr(once, name)).all()
    assert joined.n_bins == once.n_bins


def test_nothing_cannot_be_joined():
    """One line."""
    with pytest.raises(InputError, match="there are none to join"):
        join([])


def test_writing_and_reading_gives_the_events_back(tmp_path):
    """Round trip through SHD's layout: equal up to float16 seconds; a second trip changes nothing more."""
    events = random_events(3, n=7)
    write_shd(tmp_path / "a.h5", events)
    once = read_shd(tmp_path / "a.h5")
    assert (once.units == events.units).all() and (once.offsets == events.offsets).all()
    assert (once.labels == events.labels).all() and once.keys == events.keys
    assert once.times.dtype == np.float64 and abs(once.times - events.times).max() <= 0.0005
    write_shd(tmp_path / "b.h5", once)
    assert (read_shd(tmp_path / "b.h5").times == once.times).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.h5"]


TONIC = {  # file -> how tonic opens it
    "shd_train": lambda tonic, folder: tonic.datasets.SHD(folder, train=True),
    "shd_test": lambda tonic, folder: tonic.datasets.SHD(folder, train=False),
    "ssc_train": lambda tonic, folder: tonic.datasets.SSC(folder, split="train"),
    "ssc_valid": lambda tonic, folder: tonic.datasets.SSC(folder, split="valid"),
    "ssc_test": lambda tonic, folder: tonic.datasets.SSC(folder, split="test"),
}


@pytest.mark.parametrize("name", TONIC)
def test_tonic_reads_what_we_read(tmp_path, name):
    """tonic's own SHD and SSC give the same events, in microseconds, labels and classes."""
    tonic = pytest.importorskip("tonic")
    path = tmp_path / name[:3].upper() / f"{name}.h5"
    write_shd(path, random_events(4, n=4))
    path.with_name(f"{name}.h5.zip").write_bytes(b"")  # tonic looks for the download
    theirs, ours = TONIC[name](tonic, str(tmp_path)), read_shd(path)
    assert len(theirs) == 4 and tuple(key.decode() for key in theirs.classes) == ours.keys
    for i in range(4):
        spikes, label = theirs[i]
        assert label == ours.labels[i]
        assert (spikes["x"] == ours[i][1]).all()
        assert abs(spikes["t"] - ours[i][0] * 1e6).max(initial=0) <= 1


DAMAGE = {
    "lacks spikes/units": lambda f: f.__delitem__("spikes/units"),
    "lacks labels": lambda f: f.__delitem__("labels"),
    "lacks spikes/times": lambda f: f.__delitem__("spikes"),
    "lacks extra/speaker": lambda f: replace_dataset(f, "extra", np.zeros(3)),
    "lacks extra/keys": lambda f: replace_dataset(f, "extra/keys", 5),
    "different lengths": lambda f: replace_dataset(f, "labels", np.zeros(1, np.uint16)),
    "units go up to 700": lambda f: f["spikes/units"].__setitem__(0, np.full(length(f), 700, np.uint16)),
    "not finite": lambda f: f["spikes/times"].__setitem__(0, np.full(length(f), np.nan, np.float16)),
    "earliest is -1 s": lambda f: f["spikes/times"].__setitem__(0, np.full(length(f), -1, np.float16)),
    "times but": lambda f: f["spikes/times"].__setitem__(0, np.zeros(1, np.float16)),
    "some are not finite": lambda f: f["spikes/times"].__setitem__(0, np.full(length(f), np.inf, np.float16)),
    "units go down to -1": lambda f: replace_trains(f, "spikes/units", np.int16, -1),
    "sample 0 does not hold float times and integer units": lambda f: replace_trains(f, "spikes/units", np.float32, 1),
    "sample 0 does not hold float times": lambda f: replace_trains(f, "spikes/times", np.int32, 1),
    "labels or speakers are not whole": lambda f: replace_dataset(f, "labels", np.zeros(5)),
    "labels or speakers are not whole numbers": lambda f: replace_dataset(f, "extra/speaker", np.array([b"a"] * 5)),
    "labels: they go from": lambda f: f["labels"].__setitem__(0, 77),
    "float times": lambda f: replace_dataset(f, "spikes/times", np.zeros((5, 2), int)),
}


def replace_dataset(file, name, values):
    del file[name]
    file[name] = values


def length(file):
    return len(file["spikes/units"][0])


def replace_trains(file, name, kind, value):
    """All samples' times or units: one value, of another type."""
    lengths = [len(units) for units in file["spikes/units"][:]]
    del file[name]
    trains = file.create_dataset(name, (len(lengths),), dtype=h5py.vlen_dtype(kind))
    for i, n in enumerate(lengths):
        trains[i] = np.full(n, value, kind)


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_file_is_said_in_one_line(tmp_path, message):
    """Each fault of a file is an InputError of one line that names the file and the fault."""
    path = tmp_path / "bad.h5"
    write_shd(path, random_events(5, longest=100).select(np.array([1, 2, 3, 4, 0])))
    with h5py.File(path, "r+") as file:
        assert len(file["spikes/times"][0]) > 1
        DAMAGE[message](file)
    with pytest.raises(InputError, match=message) as error:
        read_shd(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_fault_in_a_later_chunk_is_said(tmp_path):
    """Samples are counted from the file's first; the chunks before the fault are given."""
    path = tmp_path / "late.h5"
    write_shd(path, random_events(9, n=7))
    with h5py.File(path, "r+") as file:
        file["spikes/times"][5] = np.zeros(1, np.float16)
    chunks = read_shd_chunks(path, 2)
    assert len(next(chunks)) == len(next(chunks)) == 2
    with pytest.raises(InputError, match="late.h5: sample 5 has 1 times but"):
        next(chunks)


def test_a_time_beyond_all_bins_is_said_or_counted():
    """Without a grid it is refused in one line; on a grid it is outside, as any late spike."""
    events = Events.from_list([(np.array([0.1, 1.7e308]), np.array([0, 1]))], [0], [0], ["a"])
    with pytest.raises(InputError, match="bins are too many"):
        bin_events(events, 0.01)
    binned, report = bin_events(events, 0.01, 20)
    assert binned.bins.tolist() == [10] and report.n_outside == 1


@pytest.mark.parametrize("keep", [0, 100, 3000, -1])
def test_a_truncated_file_is_refused(tmp_path, keep):
    """A file cut anywhere is refused with its name; so is a file that is not there."""
    path = tmp_path / "cut.h5"
    write_shd(path, random_events(6))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="cut.h5: not a whole HDF5 file"):
        read_shd(path)
    with pytest.raises(InputError, match="no such file"):
        read_shd(tmp_path / "none.h5")


def test_impossible_spike_trains_are_refused():
    """Wrong lengths, NaN, negative times, units and labels out of range never become a data set."""
    good = random_events(7)
    with pytest.raises(InputError, match="every event needs both"):
        Events(good.times[:-1], good.units, good.offsets, good.labels, good.speakers, good.keys)
    with pytest.raises(InputError, match="offsets"):
        Events(good.times, good.units, good.offsets + 1, good.labels, good.speakers, good.keys)
    with pytest.raises(InputError, match="n_units"):
        Events(good.times, good.units, good.offsets, good.labels, good.speakers, good.keys, n_units=3)
    spikes = random_binned(seed=1, n_samples=2, n_units=3, rate=0.5)
    with pytest.raises(InputError, match="n_bins"):
        Binned(**(spikes.__dict__ | {"n_bins": 2}))
    with pytest.raises(InputError, match="not a width"):
        bin_events(good, 0.0)
