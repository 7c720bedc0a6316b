"""The published construction of whole, part and norm against a dense one, written anew from the paper's rules."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import random_binned

from lib.data import as_published
from lib.data.events import Events, read_shd, write_shd
from lib.errors import InputError


def random_file(rng, n, n_units=6, n_classes=3):
    """Spikes in ties, on the bins' edges and after 1.4 s; units that are rarely or never heard."""
    rates = rng.choice([0, 1, 4, 8, 15], n_units)
    rates[0] = 20
    trains = []
    for _ in range(n):
        units = np.repeat(np.arange(n_units), rng.poisson(rates))
        times = rng.choice(np.concatenate([np.linspace(0, 1.4, 100), rng.uniform(0, 1.7, 100)]), len(units))
        trains.append((times, units))
    return Events.from_list(
        trains, rng.integers(0, n_classes, n), np.zeros(n), [str(k) for k in range(n_classes)], n_units
    )


def dense(data):
    """(sample, unit, bin)."""
    return data.dense(np.arange(len(data))).transpose(0, 2, 1)


def dense_whole(files):
    """Straight from the text: digitize, clip, 256-batches, one file after the other, 100 empty bins."""
    cube = []
    for events in files:
        for i in range(len(events) // 256 * 256):
            sample = np.zeros((events.n_units, 200), np.uint8)
            for time, unit in zip(*events[i], strict=True):
                sample[unit, min(int(np.digitize(time, np.linspace(0, 1.4, 100))), 99)] = 1
            cube.append(sample)
    return np.array(cube)


def dense_survivors(cube, rare, removable):
    """Kept samples, kept units and their minima."""
    counts = cube.sum(axis=2).astype(int)
    marked = set()
    for unit in range(counts.shape[1]):
        low = np.flatnonzero(counts[:, unit] < 2)
        if counts[:, unit].min() < 2 and len(low) / len(counts) <= rare:
            marked |= set(low)
    rows = [i for i in range(len(counts)) if not (0 < len(marked) < removable and i in marked)]
    least = counts[rows].min(axis=0)
    return rows, np.flatnonzero(least), least[least > 0]


def as_multiset(cube, labels):
    return sorted(zip((sample.tobytes() for sample in cube), labels.tolist(), strict=True))


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1))
def test_whole_is_the_dense_construction(seed):
    """Bins, order, batches and padding, bit by bit."""
    rng = np.random.default_rng(seed)
    files = [random_file(rng, n) for n in (int(rng.integers(256, 300)), int(rng.integers(0, 256)))]
    data = as_published.whole(iter(files))
    assert (dense(data) == dense_whole(files)).all()
    assert (data.labels == files[0].labels[:256]).all()


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), rare=st.sampled_from([0.01, 0.1, 0.6]), removable=st.sampled_from([5, 2000]))
def test_part_and_norm_follow_the_dense_construction(seed, rare, removable):
    """Units, removed samples and classes are right; part keeps all spikes, norm the minima, each a subset."""
    rng = np.random.default_rng(seed)
    data = as_published.whole([random_file(rng, 256)]).select(np.arange(rng.choice([1, 2, 30, 200])))
    cube = dense(data)
    rows, units, least = dense_survivors(cube, rare, removable)
    rule = as_published.Rule(rare, removable)
    if not rows or not len(units):
        with pytest.raises(InputError, match="no unit fires in every sample"):
            as_published.part_and_norm(data, rule, seed=1)
        return
    part, norm = as_published.part_and_norm(data, rule, seed=1)
    labels = data.labels[rows]
    smallest = min(np.bincount(labels)[np.bincount(labels) > 0])
    pool = as_multiset(cube[rows][:, units], labels)
    for drawn in (part, norm):
        assert (np.bincount(drawn.labels)[np.unique(labels)] == smallest).all()
        assert len(drawn) == smallest * len(np.unique(labels)) and drawn.n_bins == 200
    for sample in as_multiset(dense(part), part.labels):
        pool.remove(sample)
    assert (dense(norm).sum(axis=2) == least).all()
    for sample, label in zip(dense(norm), norm.labels, strict=True):
        same = cube[rows][:, units][labels == label]
        assert (sample <= same).all(axis=(1, 2)).any()


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_size_of_chunks_changes_nothing(seed):
    """Whole, part and norm of one file, of its batches, and of chunks that are never held together are the same."""
    rng = np.random.default_rng(seed)
    file = random_file(rng, 256 * 3 + 40)
    pieces = [file.select(np.arange(start, min(start + 512, len(file)))) for start in range(0, len(file), 512)]
    data = as_published.whole([file])
    assert_same(as_published.whole(pieces), data)
    rule = as_published.RULES["shd"]
    held = as_published.part_and_norm(data, rule, seed=3)
    streamed = as_published.part_and_norm_of_chunks(lambda: as_published.whole_chunks(pieces), rule, seed=3)
    for one, other in zip(held, streamed, strict=True):
        assert_same(one, other)


def assert_same(one, other):
    """Spikes, samples and grid."""
    for name in ("bins", "units", "offsets", "labels", "speakers"):
        assert (getattr(one, name) == getattr(other, name)).all()
    assert (one.n_units, one.n_bins, one.keys) == (other.n_units, other.n_bins, other.keys)


def test_batches_read_the_files_in_the_authors_order(tmp_path):
    """SHD: training, test; SSC: training, test, validation. Each file loses its incomplete batch."""
    rng = np.random.default_rng(0)
    for name, n in (("ssc_train", 300), ("ssc_test", 600), ("ssc_valid", 270), ("shd_train", 257), ("shd_test", 100)):
        file = random_file(rng, n)
        write_shd(tmp_path / f"{name}.h5", file)
    read = {path.stem: read_shd(path) for path in tmp_path.iterdir()}
    for data, names in (("ssc", ("ssc_train", "ssc_test", "ssc_valid")), ("shd", ("shd_train", "shd_test"))):
        ours = as_published.whole(as_published.batches(data, tmp_path))
        assert_same(ours, as_published.whole([read[name] for name in names]))
        assert len(ours) == {"ssc": 256 + 512 + 256, "shd": 256}[data]


@settings(max_examples=25)
@given(n=st.integers(0, 300), seed=st.integers(0, 2**32 - 1))
def test_splits_are_contiguous_and_leave_a_tenth(n, seed):
    """60, 15 and 15 % of the samples in order, with their spikes; what is left over comes last and is in none."""
    rng = np.random.default_rng(seed)
    data = random_binned(int(rng.integers(1000)), n, n_units=4, rate=0.1, n_bins=20)
    data = replace(data, labels=rng.permutation(data.labels), speakers=np.arange(n))
    parts = {part: as_published.split(data, part) for part in ("train", "validation", "test")}
    stops = [int(n * percent) // 100 for percent in (60, 75, 90)]
    expected = {"train": range(stops[0]), "validation": range(*stops[:2]), "test": range(*stops[1:])}
    for part, rows in expected.items():
        assert parts[part].speakers.tolist() == list(rows)
        assert (parts[part].labels == data.labels[list(rows)]).all()
        assert (dense(parts[part]) == dense(data)[list(rows)]).all()


def test_sizes_of_the_published_splits():
    """Of SHD 3,276, 819, 819 samples (part, norm) and 5,990, 1,498, 1,497 (whole)."""
    for n, sizes in ((5460, [3276, 819, 819]), (9984, [5990, 1498, 1497])):
        data = random_binned(0, n, n_units=1, rate=0.1, n_bins=2)
        assert [len(as_published.split(data, part)) for part in ("train", "validation", "test")] == sizes


def real(*names):
    """The folder of the real files, if the reader has them."""
    folder = Path(os.environ.get("BRC_SHD_DIR", "/nowhere"))
    if not all((folder / name).exists() for name in names):
        pytest.skip(f"BRC_SHD_DIR does not hold {', '.join(names)}")
    return folder


def test_anchors_of_shd():
    """The numbers that the authors' notebooks print."""
    data = as_published.whole(as_published.batches("shd", real("shd_train.h5", "shd_test.h5")))
    counts = data.counts()
    assert (len(data), (counts.min(axis=0) < 2).sum()) == (9984, 691)
    rows, units, _ = dense_survivors(data.dense(np.arange(len(data))).transpose(0, 2, 1), 0.01, 2000)
    assert (9984 - len(rows), len(units)) == (1037, 224)
    part, norm = as_published.part_and_norm(data, as_published.RULES["shd"], seed=42)
    assert len(part) == len(norm) == 5460 and part.n_units == 224
    assert (np.diff(norm.offsets) == 471).all()
    assert np.diff(part.offsets).mean() == pytest.approx(3220.58, abs=20)  # which samples are drawn is random
    assert np.diff(part.offsets).std() == pytest.approx(897.56, abs=20)


def test_anchors_of_ssc():
    """As above."""
    folder = real("ssc_train.h5", "ssc_test.h5", "ssc_valid.h5")
    part, norm = as_published.part_and_norm_of_chunks(
        lambda: as_published.whole_chunks(as_published.batches("ssc", folder)), as_published.RULES["ssc"], seed=42
    )
    assert len(part) == len(norm) == 40_390 == 1154 * 35 and norm.n_units == 285
