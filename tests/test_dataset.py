"""Our data in tonic's form: same events, tonic's transforms apply, and what `ToFrame` does to them."""

from dataclasses import replace

import numpy as np
import pytest
from samples import random_binned
from tonic import transforms
from tonic.datasets import SHD

from lib.data.dataset import TimingDataset
from lib.data.events import BIN_WIDTH_PAPER, Events, bin_events, read_shd, write_shd


def late_word() -> Events:
    """One sample that begins at 100 ms: ten spikes of unit 3, 10 ms apart."""
    return Events.from_list([(0.1 + 0.01 * np.arange(10), np.full(10, 3))], [1], [7], ["a", "b"])


def test_a_file_reads_as_tonic_reads_it(tmp_path):
    """Same events to the microsecond, targets, speakers, sensor size and field names as tonic.datasets.SHD."""
    rng = np.random.default_rng(0)
    trains = [(np.sort(rng.random(50)), rng.integers(700, size=50)) for _ in range(4)]
    write_shd(tmp_path / "SHD" / "shd_train.h5", Events.from_list(trains, [0, 1, 1, 0], [2, 3, 2, 3], ["a", "b"]))
    (tmp_path / "SHD" / "shd_train.h5.zip").write_bytes(b"")  # tonic looks for the download
    ours, theirs = TimingDataset(read_shd(tmp_path / "SHD" / "shd_train.h5")), SHD(tmp_path, train=True)
    assert (ours.sensor_size, ours.ordering, ours.dtype) == (theirs.sensor_size, theirs.ordering, theirs.dtype)
    assert len(ours) == len(theirs) and list(ours.speaker) == list(theirs.speaker)
    for sample in range(4):
        (mine, label), (other, target) = ours[sample], theirs[sample]
        assert label == target and np.array_equal(mine["x"], other["x"])
        assert np.abs(mine["t"] - other["t"]).max() <= 1


@pytest.mark.parametrize("width", [BIN_WIDTH_PAPER, 0.014, 0.001])
def test_binned_spikes_stay_in_their_bins(width):
    """Binning the events again gives the same bins; a last sample can be counted from the end; none lies beyond."""
    data = replace(random_binned(0, n_samples=5, n_units=8, rate=0.2), bin_width=width)
    samples = TimingDataset(data)
    events, target = samples[-1]
    times = events["t"] * 1e-6
    back, _ = bin_events(Events.from_list([(times, events["x"])], [0], [0], ["a"], 8), data.bin_width)
    span = slice(data.offsets[4], data.offsets[5])
    assert np.array_equal(back.bins, data.bins[span]) and np.array_equal(back.units, data.units[span])
    assert target == data.labels[4] and samples.classes == data.keys
    with pytest.raises(IndexError, match="sample 5: there are 5"):
        samples[5]


def test_transforms_are_applied():
    """tonic's transforms of events, any function of the target."""
    samples = TimingDataset(late_word(), transforms.TimeJitter(0), lambda target: 10 * target)
    events, target = samples[0]
    assert len(events) == 10 and target == 10


def test_frames_of_tonic_lose_the_last_spikes_and_the_onset():
    """`ToFrame` counts time from the first spike and drops the last, incomplete window; our binning does neither."""
    width = round(1e6 * BIN_WIDTH_PAPER)
    frames = TimingDataset(late_word(), transforms.ToFrame((700, 1, 1), time_window=width))[0][0]
    binned, report = bin_events(late_word(), BIN_WIDTH_PAPER)
    assert frames[0].sum() > 0 and binned.bins.min() == 7  # 100 ms are seven bins
    assert frames.sum() < 10 and len(binned.bins) + report.n_shared == 10 and report.n_outside == 0
