"""Whole and norm: rate-free means rate-free, and nothing is decided on held-out voices."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import random_binned

from lib.data.events import BIN_WIDTH_PAPER, Binned
from lib.data.variants import align, keep_enough, make_variant, minimum_counts, minimum_of_counts, norm, part
from lib.errors import InputError


def test_norm_keeps_exactly_the_minimum_counts_of_every_unit():
    """Every sample of norm has the same count in every unit, and it is the minimum count."""
    data = random_binned(seed=0, n_samples=40, n_units=30, rate=0.4)
    minimum = minimum_counts(data)
    kept, _ = keep_enough(data, minimum)
    counts = norm(kept, minimum, np.random.default_rng(0)).counts()
    assert (counts == minimum.counts).all()
    assert (minimum.counts >= 2).all()


def test_norm_spikes_are_spikes_of_the_sample():
    """Norm only removes: each surviving spike is one of the same sample, unit and bin; the input is untouched."""
    data = random_binned(seed=1, n_samples=25, n_units=12, rate=0.4)
    before = data.bins.copy()
    minimum = minimum_counts(data)
    kept, _ = keep_enough(data, minimum)
    drawn = norm(kept, minimum, np.random.default_rng(3))
    dense_all, dense_drawn = kept.dense(np.arange(len(kept))), drawn.dense(np.arange(len(kept)))
    assert (dense_drawn <= dense_all[:, :, minimum.units]).all()
    assert (data.bins == before).all()


def test_norm_draws_every_spike_equally_often():
    """Which spikes survive is uniform: over many draws each spike of a unit survives with its quota / count."""
    data = random_binned(seed=2, n_samples=1, n_units=1, rate=0.5, n_bins=20)
    minimum = minimum_counts(random_binned(seed=2, n_samples=1, n_units=1, rate=0.5, n_bins=20), rare=0)
    n = len(data.bins)
    minimum = type(minimum)(minimum.units, np.array([3]), 1)
    rng = np.random.default_rng(0)
    hits = np.zeros(20)
    for _ in range(4000):
        hits[norm(data, minimum, rng).bins] += 1
    share = hits[data.bins] / 4000
    assert abs(share - 3 / n).max() < 5 * np.sqrt(3 / n * (1 - 3 / n) / 4000)


def test_same_generator_same_spikes():
    """The draw is decided by the generator alone."""
    data = random_binned(seed=4, n_samples=10, n_units=10, rate=0.5)
    minimum = minimum_counts(data)
    kept, _ = keep_enough(data, minimum)
    one, two, three = (norm(kept, minimum, np.random.default_rng(s)).bins for s in (7, 7, 8))
    assert (one == two).all() and (one != three).any()


def test_minimum_counts_brute_force():
    """The rule, written out sample by sample: rare failures cost the sample, frequent ones the unit."""
    data = random_binned(seed=5, n_samples=300, n_units=20, rate=0.08, n_bins=100)
    counts = data.counts()
    doomed = set()
    for unit in range(20):
        below = [m for m in range(300) if counts[m, unit] < 2]
        if 0 < len(below) <= 3:
            doomed.update(below)
    rest = [m for m in range(300) if m not in doomed]
    expected = {u: min(counts[m, u] for m in rest) for u in range(20)}
    expected = {u: c for u, c in expected.items() if c >= 2}
    minimum = minimum_counts(data, rare=0.01)
    assert 0 < len(doomed) < 60
    assert dict(zip(minimum.units.tolist(), minimum.counts.tolist(), strict=True)) == expected


def test_dropped_samples_are_counted_by_class_and_speaker():
    """A held-out sample below a minimum is dropped and counted; the others stay."""
    training = random_binned(seed=6, n_samples=30, n_units=8, rate=0.6)
    held_out = random_binned(seed=7, n_samples=50, n_units=8, rate=0.52)
    minimum = minimum_counts(training)
    kept, dropped = keep_enough(held_out, minimum)
    below = (held_out.counts()[:, minimum.units] < minimum.counts).any(axis=1)
    assert 0 < below.sum() < 50
    assert len(kept) == 50 - below.sum()
    assert dropped.by_class.sum() == sum(dropped.by_speaker.values()) == below.sum()
    assert dropped.by_class[1] == (held_out.labels[below] == 1).sum()
    assert dropped.share == pytest.approx(below.mean())


def test_held_out_samples_do_not_change_the_minimum():
    """Minimum counts are a function of the training samples only (no selection leak)."""
    training = random_binned(seed=8, n_samples=30, n_units=8, rate=0.6)
    assert (minimum_counts(training).counts == minimum_counts(training.select(np.arange(30))).counts).all()
    lower = random_binned(seed=9, n_samples=30, n_units=8, rate=0.2)
    assert minimum_counts(training).counts.sum() > minimum_counts(lower, at_least=0).counts.sum()


def test_too_few_spikes_is_an_error():
    """No surviving unit, or a sample below the minimum, is said in one line."""
    with pytest.raises(InputError, match="no unit has 2 spikes"):
        minimum_counts(random_binned(seed=10, n_samples=20, n_units=4, rate=0.005))
    rich = random_binned(seed=11, n_samples=20, n_units=4, rate=0.6)
    poor = random_binned(seed=12, n_samples=20, n_units=4, rate=0.05)
    with pytest.raises(InputError, match="keep_enough"):
        norm(poor, minimum_counts(rich), np.random.default_rng(0))


def test_the_papers_thresholds():
    """Unless told otherwise: two spikes; a unit that fails in 1 % of the samples costs the samples, in 1.5 % itself;
    and samples are given up as long as they are less than a fifth. Units are counted, not samples."""
    counts = np.full((200, 60), 5)
    counts[:2, 3] = 1  # 1 % of the samples: these are given up
    counts[10:13, 4] = 1  # 1.5 %: the unit is
    minimum = minimum_of_counts(counts)
    assert minimum.units.tolist() == [unit for unit in range(60) if unit != 4] and (minimum.counts == 5).all()
    assert minimum.n_units == 60
    for n, survive in ((39, 60), (40, 20)):  # units 0, 1, ... each fail once, in a sample of their own
        counts = np.full((200, 60), 5)
        counts[np.arange(n), np.arange(n)] = 1
        assert len(minimum_of_counts(counts).units) == survive


def test_the_first_sample_that_fails_is_named():
    """One poor sample among rich ones, and the first of several."""
    rich = random_binned(seed=11, n_samples=20, n_units=4, rate=0.6)
    minimum = minimum_counts(rich)
    empty = random_binned(seed=11, n_samples=20, n_units=4, rate=0.6, empty=(3, 7))
    with pytest.raises(InputError, match="sample 3: fewer spikes"):
        norm(empty, minimum, np.random.default_rng(0))
    with pytest.raises(InputError, match="sample 0: its spikes cannot be spread"):
        align(empty.select(np.array([3, 0, 1])))


def test_which_spikes_survive_stays():
    """The draws of a seed, by hand from numpy's generator: results in the store depend on them. A unit whose spikes all
    stay, or that has its number, uses no more draws than it must."""
    data = random_binned(seed=2, n_samples=2, n_units=3, rate=0.5, n_bins=12)
    minimum = type(minimum_counts(data))(np.arange(3), np.array([2, 3, 1]), 3)
    rng, expected = np.random.default_rng(5), []
    for sample in range(2):
        units = data.units[data.offsets[sample] : data.offsets[sample + 1]]
        bins = data.bins[data.offsets[sample] : data.offsets[sample + 1]]
        for unit, wanted in enumerate((2, 3, 1)):
            own = bins[units == unit]
            for place, bin_ in enumerate(own):
                if wanted and rng.random() * (len(own) - place) < wanted:
                    wanted -= 1
                    expected.append((sample, unit, int(bin_)))
    drawn = norm(data, minimum, np.random.default_rng(5))
    sample = np.repeat(np.arange(2), np.diff(drawn.offsets))
    assert list(zip(sample.tolist(), drawn.units.tolist(), drawn.bins.tolist(), strict=True)) == expected


def test_part_is_all_spikes_of_the_surviving_units():
    """Part equals the dense data with the other units' columns removed."""
    data = random_binned(seed=13, n_samples=40, n_units=30, rate=0.15)
    minimum = minimum_counts(data)
    kept, _ = keep_enough(data, minimum)
    every = np.arange(len(kept))
    assert 0 < len(minimum.units) < 30
    assert (part(kept, minimum).dense(every) == kept.dense(every)[:, :, minimum.units]).all()


@pytest.mark.parametrize("seed", range(20))
def test_align_brute_force(seed):
    """Every sample spans all bins; each spike sits where a spike-by-spike search puts it; counts stay."""
    n_bins = 30
    data = random_binned(seed=seed, n_samples=12, n_units=5, rate=0.2)
    aligned = align(data, n_bins)
    assert (aligned.counts() == data.counts()).all() and aligned.n_bins == n_bins
    for sample in range(12):
        span = slice(data.offsets[sample], data.offsets[sample + 1])
        bins, units = data.bins[span].astype(int), data.units[span]
        expected = set()
        for unit, bin_ in zip(units, bins, strict=True):
            place = (bin_ - bins.min()) * (n_bins - 1) / (bins.max() - bins.min())
            target = int(np.floor(place + 0.5))
            free = [b for b in range(n_bins) if (unit, b) not in expected]
            expected.add((unit, min(free, key=lambda b: (abs(b - target), b))))
        assert sorted(expected) == list(zip(aligned.units[span], aligned.bins[span], strict=True))
        assert aligned.bins[span].min() == 0 and aligned.bins[span].max() == n_bins - 1


def test_align_at_the_edge_and_to_its_own_length():
    """Spikes that would meet in the first bin go to the next ones, never round to the last; without a length it is 50
    bins of the paper, 0.71 s in any bins."""
    bins = np.array([0, 1, 2, 100], np.uint16)
    one = Binned(
        bins,
        np.zeros(4, np.uint16),
        np.array([0, 4]),
        np.zeros(1, int),
        np.zeros(1, int),
        ("a",),
        1,
        101,
        BIN_WIDTH_PAPER,
    )
    assert align(one, 10).bins.tolist() == [0, 1, 2, 9]
    assert align(one).n_bins == 50 and align(replace(one, bin_width=0.001)).n_bins == 707


def test_align_and_variant_errors():
    """A sample in a single bin cannot be stretched; an unknown variant is named."""
    with pytest.raises(InputError, match="sample 2: its spikes cannot be spread"):
        align(random_binned(seed=0, n_samples=4, n_units=3, rate=0.5, empty=(2,)))
    with pytest.raises(InputError, match="'half' is not a variant"):
        make_variant("half", None, None, None)


@st.composite
def small_sets(draw):
    """Small dense 0/1 data (samples, units, bins): few or many spikes, empty units, one sample, lone classes."""
    n_samples, n_units = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    dense = np.array(draw(st.lists(st.booleans(), min_size=n_samples * n_units * 8, max_size=n_samples * n_units * 8)))
    dense = dense.reshape(n_samples, n_units, 8)
    dense[:, :, draw(st.integers(0, 7)) :] |= draw(st.booleans())
    dense[:, draw(st.integers(0, n_units - 1))] &= draw(st.booleans())
    return dense, np.array(draw(st.lists(st.integers(0, 3), min_size=n_samples, max_size=n_samples)))


def dense_minima(counts, rare):
    """Units that survive, with their minima, written out: rare failures cost the sample, if these are few."""
    n_samples, n_units = counts.shape
    below = {u: [m for m in range(n_samples) if counts[m, u] < 2] for u in range(n_units)}
    doomed = {m for samples in below.values() if len(samples) <= rare * n_samples for m in samples}
    rest = [m for m in range(n_samples) if m not in doomed or len(doomed) >= 0.2 * n_samples]
    lowest = {u: min(counts[m, u] for m in rest) for u in range(n_units)}
    return {u: int(count) for u, count in lowest.items() if count >= 2}


@settings(max_examples=80, deadline=None, derandomize=True)
@given(small_sets(), st.sampled_from([0, 0.1, 0.3]))
def test_all_variants_brute_force(case, rare):
    """Whole, part and norm of any small data set are what dense numpy says, or nothing survives and that is said."""
    dense, labels = case
    sample, unit, bin_ = np.nonzero(dense)
    data = Binned(bin_.astype(np.uint16), unit.astype(np.uint16), np.searchsorted(sample, np.arange(len(dense) + 1)),
                  labels, np.zeros_like(labels), ("a", "b", "c", "d"), dense.shape[1], 8, 0.014)  # fmt: skip
    counts = dense.sum(axis=2)
    lowest = dense_minima(counts, rare)
    if not lowest:
        with pytest.raises(InputError, match="no unit has 2 spikes"):
            minimum_counts(data, rare=rare)
        return
    minimum = minimum_counts(data, rare=rare)
    assert dict(zip(minimum.units.tolist(), minimum.counts.tolist(), strict=True)) == lowest
    kept, dropped = keep_enough(data, minimum)
    enough = [m for m in range(len(dense)) if all(counts[m, u] >= least for u, least in lowest.items())]
    assert dropped.by_class.sum() == len(dense) - len(enough) and np.array_equal(kept.labels, labels[enough])
    every, units, dense = np.arange(len(kept)), list(lowest), dense[enough]
    made = {name: make_variant(name, kept, minimum, np.random.default_rng(0)) for name in ("whole", "part", "norm")}
    seen = {name: variant.dense(every).transpose(0, 2, 1).astype(bool) for name, variant in made.items()}
    assert (seen["whole"] == dense).all() and (seen["part"] == dense[:, units]).all()
    assert (seen["norm"] <= dense[:, units]).all()
    assert (seen["norm"].sum(axis=2) == list(lowest.values())).all()
