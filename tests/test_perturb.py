"""Each perturbation changes what it names and nothing else."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import random_binned
from scipy.stats import binom, chisquare, kstest, norm

from lib.data.events import Events
from lib.errors import InputError
from lib.perturb import (
    PERTURBATIONS,
    _move_to_free,
    apply,
    delete,
    jitter,
    jitter_neurons,
    relocate,
    reverse,
    reverse_windows,
)

LEVELS = {
    "relocate": 0.6,
    "relocate_exact": 0.6,
    "jitter": 30.0,
    "jitter_neurons": 60.0,
    "delete": 0.4,
    "reverse": 1,
    "reverse_windows": 98.0,  # 7 bins of random_binned
    "relocate_reversed": 0.6,  # on the grid or in the window, then turned within its own first and last spike
}
COUNT_KEEPING = sorted(set(LEVELS) - {"delete"})


def random_events(seed, n_samples=6, n_units=4, n_spikes=40, longest=0.7):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, longest, (n_samples, n_spikes)))
    trains = list(zip(times, rng.integers(0, n_units, times.shape), strict=True))
    return Events.from_list(trains, [0] * n_samples, [0] * n_samples, ["word"], n_units=n_units)


def one_train(times, n_units=1):
    times = np.asarray(times, float)
    return Events.from_list([(times, np.zeros(len(times), int))], [0], [0], ["word"], n_units=n_units)


def counts(data):
    sample = np.repeat(np.arange(len(data)), np.diff(data.offsets))
    table = np.zeros((len(data), data.n_units), int)
    np.add.at(table, (sample, data.units), 1)
    return table


@st.composite
def few_spikes(draw):
    """Dense or sparse random bins, some samples empty."""
    return random_binned(
        seed=draw(st.integers(0, 10**6)),
        n_samples=4,
        n_units=3,
        n_bins=draw(st.sampled_from([1, 2, 7, 30])),
        rate=draw(st.sampled_from([0.05, 0.5, 0.95, 1.0])),
        empty=draw(st.sampled_from([(), (0,), (1, 3)])),
    )


def test_every_perturbation_has_a_level_here():
    """A perturbation that is added is tested too."""
    assert set(LEVELS) == set(PERTURBATIONS)


@settings(max_examples=60)
@given(few_spikes(), st.sampled_from(COUNT_KEEPING), st.booleans(), st.integers(0, 99))
def test_every_units_count_is_kept_on_bins(data, name, whole, seed):
    """Whatever the density: same counts, no unit twice in a bin, sorted, inside the window; the input is untouched."""
    before = data.bins.copy()
    duration = data.n_bins * data.bin_width * 1e3 if whole else None
    moved = apply(name, data, LEVELS[name], np.random.default_rng(seed), duration)
    assert (data.bins == before).all()
    assert (moved.counts() == data.counts()).all()
    for sample in range(len(data)):
        span = slice(moved.offsets[sample], moved.offsets[sample + 1])
        cells = moved.units[span].astype(int) * moved.n_bins + moved.bins[span]
        assert (np.diff(cells) > 0).all()
        if not whole and len(cells):
            old = data.bins[span]
            assert old.min() <= moved.bins[span].min() and moved.bins[span].max() <= old.max()


@pytest.mark.parametrize("name", COUNT_KEEPING)
def test_every_units_count_is_kept_on_events(name):
    """Before binning too: same counts, in order of time, inside the window."""
    data = random_events(0)
    moved = apply(name, data, LEVELS[name], np.random.default_rng(1))
    assert (counts(moved) == counts(data)).all()
    for sample in range(len(data)):
        old, new = data[sample][0], moved[sample][0]
        assert (np.diff(new) >= 0).all() and old[0] - 1e-12 <= new[0] and new[-1] <= old[-1] + 1e-12
        assert (new != old).any()


@settings(max_examples=30)
@given(few_spikes(), st.sampled_from(sorted(LEVELS)), st.integers(0, 99))
def test_level_zero_changes_nothing(data, name, seed):
    """`apply` at level 0, and each function that has a level 0 of its own, give the same spikes."""
    rng = np.random.default_rng(seed)
    same = [apply(name, data, 0, rng), relocate(data, 0.0, rng), relocate(data, 0.0, rng, exact=True)]
    same += [jitter(data, 0.0, rng), jitter_neurons(data, 0.0, rng), delete(data, 0.0, rng)]
    for other in same:
        assert (other.bins == data.bins).all() and (other.units == data.units).all()
        assert (other.offsets == data.offsets).all()


def test_level_zero_changes_nothing_before_binning():
    """The same for events."""
    data, rng = random_events(3), np.random.default_rng(0)
    for other in (relocate(data, 0.0, rng), jitter(data, 0.0, rng), jitter_neurons(data, 0.0, rng)):
        assert np.allclose(other.times, data.times, atol=1e-15) and (other.units == data.units).all()


@pytest.mark.parametrize("name", sorted(LEVELS))
def test_a_seed_decides_every_draw(name):
    """The same seed gives the same spikes; another seed others (unless nothing is drawn)."""
    data = random_binned(seed=5, n_samples=5, n_units=6, rate=0.2)
    one, two, three = (apply(name, data, LEVELS[name], np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one.bins == two.bins).all() and (one.offsets == two.offsets).all()
    if not name.startswith("reverse"):
        assert len(one.bins) != len(three.bins) or (one.bins != three.bins).any()


def test_relocation_moves_each_spike_with_probability_f():
    """The number of moved events is binomial(n, f): its mean and variance over 300 samples."""
    data = random_events(1, n_samples=300, n_units=1, n_spikes=50)
    moved = relocate(data, 0.3, np.random.default_rng(0))
    n_moved = [50 - len(np.intersect1d(data[i][0], moved[i][0])) for i in range(300)]
    assert abs(np.mean(n_moved) - 15) < 4 * np.sqrt(10.5 / 300)
    assert 0.7 < np.var(n_moved) / 10.5 < 1.35


@pytest.mark.parametrize("f", [0.05, 0.29, 0.5, 1.0])
def test_exact_relocation_moves_the_floor_of_n_f(f):
    """Exactly floor(n f) events of every unit move, for units of any count; which ones is evenly drawn."""
    data = random_events(2, n_samples=40, n_units=5, n_spikes=100)
    moved = relocate(data, f, np.random.default_rng(0), exact=True)
    for sample in range(40):
        for unit in range(5):
            old, new = ({*times[units == unit]} for times, units in (data[sample], moved[sample]))
            assert len(old - new) == int(len(old) * f + 1e-9)


def test_exact_relocation_draws_spikes_evenly():
    """Early and late events of a train are moved equally often."""
    times = np.arange(10) / 10
    data = Events.from_list([(times, np.zeros(10, int))] * 4000, [0] * 4000, [0] * 4000, ["word"], n_units=1)
    moved = relocate(data, 0.3, np.random.default_rng(0), exact=True)
    stayed = np.array([np.isin(times, moved[i][0]) for i in range(4000)])
    assert chisquare((~stayed).sum(axis=0)).pvalue > 1e-3


def test_relocated_spikes_are_uniform():
    """At f = 1 events (Kolmogorov-Smirnov) and bins (chi-square) are uniform over the given duration."""
    data = random_events(4, n_samples=100, longest=0.1)
    moved = relocate(data, 1.0, np.random.default_rng(0), duration_ms=500)
    assert kstest(moved.times, "uniform", args=(0, 0.5)).pvalue > 1e-3
    binned = random_binned(seed=0, n_samples=400, n_units=5, rate=0.2, n_bins=20)
    spread = relocate(binned, 1.0, np.random.default_rng(0), duration_ms=20 * 14)
    assert chisquare(np.bincount(spread.bins, minlength=20)).pvalue > 1e-3


def test_jitter_displacements_are_normal():
    """Displacements are N(0, s.d.) far from the edges: Kolmogorov-Smirnov; rounded to whole bins on a grid."""
    middle = Events.from_list([([0.5], [0])] * 4000, [0] * 4000, [0] * 4000, ["word"], n_units=1)
    moved = jitter(middle, 20.0, np.random.default_rng(0), duration_ms=1000)
    assert kstest(moved.times - 0.5, norm(scale=0.020).cdf).pvalue > 1e-3

    grid = random_binned(seed=0, n_samples=4000, n_units=1, rate=1.0, n_bins=1)
    grid = type(grid)(**{**vars(grid), "bins": grid.bins + 50, "n_bins": 101})
    steps = jitter(grid, 28.0, np.random.default_rng(0), duration_ms=101 * 14).bins.astype(int) - 50  # 2 bins
    edges = norm(scale=2.0).cdf(np.arange(-4.5, 5.0))
    expected = np.diff(np.concatenate([[0], edges, [1]])) * 4000
    assert chisquare(np.bincount(np.clip(steps, -5, 5) + 5, minlength=11), expected).pvalue > 1e-3


def test_jitter_reflects_at_the_edges():
    """Evenly spread spikes stay evenly spread, whatever the s.d., on events and on bins."""
    rng = np.random.default_rng(0)
    for sd_ms in (50, 400, 5000):
        data = Events.from_list([([t], [0]) for t in rng.uniform(0, 1, 4000)], [0] * 4000, [0] * 4000, ["w"], 1)
        assert kstest(jitter(data, sd_ms, rng, 1000).times, "uniform").pvalue > 1e-3
    grid = random_binned(seed=1, n_samples=3000, n_units=1, rate=1.0, n_bins=1)
    grid = type(grid)(**{**vars(grid), "bins": rng.integers(0, 10, 3000).astype(np.uint16), "n_bins": 10})
    assert chisquare(np.bincount(jitter(grid, 40.0, rng, 140).bins, minlength=10)).pvalue > 1e-3


def test_neurons_are_jittered_as_a_whole():
    """All spikes of a unit move by one displacement (round the window), different for every unit and sample."""
    data = random_binned(seed=7, n_samples=30, n_units=5, rate=0.2, n_bins=40)
    moved = jitter_neurons(data, 100.0, np.random.default_rng(0), duration_ms=40 * 14)
    before, after = data.dense(np.arange(30)), moved.dense(np.arange(30))
    shifts = []
    for sample in range(30):
        for unit in range(5):
            fits = [s for s in range(40) if (np.roll(before[sample, :, unit], s) == after[sample, :, unit]).all()]
            assert fits
            shifts.append(fits[0])
    assert len(set(shifts)) > 20


def test_neuron_jitter_has_no_offset_and_the_given_spread():
    """Displacements are N(0, s.d.) with mean zero (no constant is added)."""
    data = Events.from_list([([0.5, 0.52], [0, 0])] * 4000, [0] * 4000, [0] * 4000, ["word"], n_units=1)
    moved = jitter_neurons(data, 20.0, np.random.default_rng(0), duration_ms=1000)
    assert kstest(moved.times[::2] - 0.5, norm(scale=0.020).cdf).pvalue > 1e-3
    assert np.allclose(moved.times[1::2] - moved.times[::2], 0.02)


def test_deletion_is_binomial():
    """Survivors are binomial(n, 1 - p), each an original spike in its place."""
    data = random_binned(seed=0, n_samples=2000, n_units=1, rate=1.0, n_bins=12)
    left = delete(data, 0.4, np.random.default_rng(0))
    seen = np.bincount(left.counts()[:, 0], minlength=13)
    expected = binom(12, 0.6).pmf(np.arange(13)) * 2000
    tail = expected >= 5
    seen, expected = (np.append(x[tail], x[~tail].sum()) for x in (seen, expected))
    assert chisquare(seen, expected).pvalue > 1e-3
    assert (data.dense(np.arange(2000)) >= left.dense(np.arange(2000))).all()
    assert len(delete(random_events(0), 1.0, np.random.default_rng(0)).times) == 0


@settings(max_examples=40)
@given(few_spikes(), st.sampled_from([None, 20.0, 42.0, 100.0, 1e4]))
def test_reversal_is_an_involution(data, width_ms):
    """Reversing twice gives the sample back, spike by spike: whole, and within windows of a given duration."""
    duration = data.n_bins * data.bin_width * 1e3

    def turn(x):
        return reverse(x) if width_ms is None else reverse_windows(x, width_ms, duration)

    twice = turn(turn(data))
    assert (twice.bins == data.bins).all() and (twice.units == data.units).all()


def test_reversal_of_events_is_an_involution():
    """The same before binning, to rounding."""
    data = random_events(5)
    twice = reverse(reverse(data))
    assert np.allclose(twice.times, data.times, atol=1e-12) and (twice.units == data.units).all()


def test_reversal_flips_the_active_window():
    """A spike in bin b moves to first + last - b of its own sample: checked on dense arrays."""
    data = random_binned(seed=1, n_samples=10, n_units=6, rate=0.05)
    forwards, backwards = data.dense(np.arange(10)), reverse(data).dense(np.arange(10))
    for one, other in zip(forwards, backwards, strict=True):
        active = np.flatnonzero(one.any(axis=1))
        window = slice(active[0], active[-1] + 1)
        assert (other[window] == one[window][::-1]).all()
        assert other.sum() == one.sum()


def test_reversal_of_a_given_duration_flips_the_grid():
    """With the duration of the whole grid, bin b goes to n_bins - 1 - b; silence before and after moves too."""
    data = random_binned(seed=1, n_samples=5, n_units=6, rate=0.05, n_bins=30)
    assert (reverse(data, 30 * 14).dense(np.arange(5)) == data.dense(np.arange(5))[:, ::-1]).all()


def test_window_reversal_flips_stretch_by_stretch():
    """Stretches of 4 bins are flipped in place, the last of 2 bins too: checked on dense arrays."""
    data = random_binned(seed=1, n_samples=5, n_units=6, rate=0.2, n_bins=10)
    turned = reverse_windows(data, 4 * 14, 10 * 14).dense(np.arange(5))
    dense = data.dense(np.arange(5))
    expected = np.concatenate([dense[:, 3::-1], dense[:, 7:3:-1], dense[:, 9:7:-1]], axis=1)
    assert (turned == expected).all()


def test_window_reversal_of_events_flips_inside_each_stretch():
    """An event at start + x goes to end - x of its stretch; a width above the duration is whole reversal."""
    data = one_train([0.01, 0.04, 0.13, 0.28])
    turned = reverse_windows(data, 100, duration_ms=300)
    assert np.allclose(turned.times, [0.06, 0.09, 0.17, 0.22])
    other = random_events(8)
    assert np.allclose(reverse_windows(other, 5000).times, reverse(other).times)


@settings(max_examples=40)
@given(few_spikes())
def test_reversal_keeps_intervals_and_coincidences_and_flips_order(data):
    """Each unit's multiset of intervals and the number of spikes a bin stay; unit a before b becomes b before a."""
    flipped = reverse(data)
    for sample in range(len(data)):
        one, other = (x.dense([sample])[0].astype(int) for x in (data, flipped))
        assert sorted(one.sum(axis=1)) == sorted(other.sum(axis=1))
        for unit in range(3):
            intervals = [np.sort(np.diff(np.flatnonzero(x[:, unit]))) for x in (one, other)]
            assert (intervals[0] == intervals[1]).all()
        for a, b in ((0, 1), (1, 2)):
            lags, back = (np.subtract.outer(np.flatnonzero(x[:, b]), np.flatnonzero(x[:, a])) for x in (one, other))
            assert (np.sort(lags, axis=None) == np.sort(-back, axis=None)).all()


@pytest.mark.parametrize("name", COUNT_KEEPING)
def test_events_and_bins_are_perturbed_alike(name):
    """Perturbing events and then binning gives the same course of spikes over the window as perturbing bins."""
    grid = random_binned(seed=2, n_samples=1500, n_units=2, rate=0.1, n_bins=40)
    sample = np.repeat(np.arange(1500), np.diff(grid.offsets))
    trains = [((grid.bins[sample == i] + 0.5) * 0.014, grid.units[sample == i]) for i in range(1500)]
    events = Events.from_list(trains, grid.labels, grid.speakers, grid.keys, n_units=2)
    on_bins = apply(name, grid, LEVELS[name], np.random.default_rng(0), 560)
    before = apply(name, events, LEVELS[name], np.random.default_rng(1), 560)
    histogram = np.histogram(before.times / 0.014, np.arange(41))[0]
    assert np.abs(np.bincount(on_bins.bins, minlength=40) - histogram).max() < 5 * np.sqrt(2 * 300)
    assert abs(on_bins.bins.mean() + 0.5 - before.times.mean() / 0.014) < 0.6


def test_a_sample_without_spikes_stays_empty():
    """Empty samples pass through; their neighbours are reversed as alone."""
    holed = random_binned(seed=3, n_samples=3, n_units=5, rate=0.2, empty=(1,))
    flipped = reverse(holed)
    assert flipped.counts()[1].sum() == 0
    assert (flipped.dense([2]) == reverse(holed.select(np.array([2]))).dense([0])).all()


@pytest.mark.parametrize(
    ("name", "level", "duration_ms", "word"),
    [
        ("relocate", 1.2, None, "f: 1.2"),
        ("jitter", -1, None, "sd_ms: -1"),
        ("jitter_neurons", np.nan, None, "sd_ms: nan"),
        ("delete", 2, None, "p: 2"),
        ("reverse", 0.5, None, "reverse: level 0.5"),
        ("reverse_windows", -3, None, "width_ms: -3"),
        ("shuffle", 1, None, "'shuffle' is unknown"),
        ("relocate", 0.5, 100, "duration_ms: 100"),
        ("relocate", 0.5, 9999, "duration_ms: 9999"),
    ],
)
def test_bad_levels_are_refused_in_one_line(name, level, duration_ms, word):
    """A level, name or duration that makes no sense is named, with a remedy."""
    data = random_binned(seed=3, n_samples=3, n_units=5, rate=0.2)
    with pytest.raises(InputError, match=word) as caught:
        apply(name, data, level, np.random.default_rng(0), duration_ms)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(LEVELS))
def test_a_training_set_is_redrawn_quickly(name):
    """3,000 samples of 500 spikes in at most a second of CPU time (about 0.1 s on an idle core)."""
    data = random_binned(seed=0, n_samples=3000, n_units=50, rate=0.1, n_bins=100)
    rng = np.random.default_rng(0)
    apply(name, data.select(np.arange(2)), LEVELS[name], rng)  # compiled
    start = time.process_time()
    apply(name, data, LEVELS[name], rng)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("free", [0, 999])
def test_the_nearest_free_bin_may_be_the_first_or_the_last(free):
    """A spike among 999 others in 1,000 bins rarely finds a free one by chance: it then goes to the nearer of its own and
    the free one at the edge, so to this in about a quarter of the draws."""
    bins = np.array([bin_ for bin_ in range(1000) if bin_ != free], np.uint16)
    units = np.zeros(999, np.uint16)
    moved = bins == 500
    ends = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        low, high, offsets = np.zeros(1), np.full(1, 1000.0), np.array([0, 999])
        new = _move_to_free(bins, units, moved, offsets, low, high, np.inf, 1000, rng)
        assert (np.diff(new.astype(int)) > 0).all() and np.isin(bins[~moved], new).all()
        ends += np.setdiff1d(new, bins[~moved]).tolist()
    assert set(ends) == {500, free} and 8 <= ends.count(free) <= 28
