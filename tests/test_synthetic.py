"""The synthetic codes hold exactly what their designs say, and nothing else."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, ks_2samp, poisson

from lib.data import coincidence, intervals
from lib.data.coincidence import CoincidenceTask, active_units
from lib.data.events import bin_events
from lib.data.intervals import IntervalTask, combinations, side_of_line
from lib.errors import InputError

CODES = ("isi", "ccisi")


def trains(samples, sample):
    """Times of each unit of a sample, ms."""
    spikes = samples.spikes
    span = slice(spikes.offsets[sample], spikes.offsets[sample + 1])
    bins, units = spikes.bins[span].astype(int), spikes.units[span]
    return [bins[units == unit] for unit in range(spikes.n_units)]


def has_pairs(times, lag):
    """Whether times on one line are made of pairs at `lag` (peeled off from the first spike on)."""
    left = sorted(times)
    while left:
        first = left.pop(0)
        if first + lag not in left:
            return False
        left.remove(first + lag)
    return True


@st.composite
def tasks(draw):
    design = draw(st.sampled_from(["paper", "matched", "comparison"]))
    longest = draw(st.sampled_from([4, 20, 90]))
    pairs = draw(st.sampled_from([(1, 3), (5, 30), (40, 40)]))
    return IntervalTask(draw(st.sampled_from(CODES)), design, draw(st.sampled_from([300, 1000])), longest, pairs)


@settings(max_examples=60)
@given(tasks(), st.integers(0, 99))
def test_every_spike_belongs_to_a_pair_at_its_lag(task, seed):
    """Each channel is its pairs at exactly the sample's lag, within one unit or across two; none is lost uncounted."""
    samples = intervals.generate(task, 12, np.random.default_rng(seed))
    placed = np.zeros(12, int)
    for sample in range(12):
        units = trains(samples, sample)
        for channel, group in enumerate(task.groups):
            lag = samples.lags[sample, group]
            assert 1 <= lag <= task.longest_ms
            if task.code == "isi":
                assert has_pairs(units[channel], lag)
                placed[sample] += len(units[channel]) // 2
            else:
                assert (units[2 * channel] + lag == units[2 * channel + 1]).all()
                placed[sample] += len(units[2 * channel])
    assert (placed == samples.pairs.sum(axis=1) - samples.lost).all()
    assert task.design == "paper" or (samples.lost == 0).all()


@pytest.mark.parametrize("code", CODES)
def test_pairs_of_the_paper_keep_their_distance(code):
    """The next pair of a channel begins only after the one before has ended: pairs never interleave."""
    task = IntervalTask(code, "paper", 2000, 100, (30, 60))
    samples = intervals.generate(task, 50, np.random.default_rng(0))
    for sample in range(50):
        units, lag = trains(samples, sample), samples.lags[sample, 0]
        for channel in range(10):
            starts = units[channel][::2] if code == "isi" else units[2 * channel]
            assert (np.diff(starts) > lag).all()


def test_the_published_plane():
    """The published points (numpy seed 42) leave 3,598 samples, 50.9 % of class 1."""
    points = np.random.RandomState(42).uniform(-10, 10, (5000, 2))
    side = side_of_line(points[:, 0], points[:, 1])
    assert (side >= 0).sum() == 3598
    assert round(np.mean(side[side >= 0] == 1), 3) == 0.509


@pytest.mark.parametrize("code", CODES)
def test_the_class_of_the_paper_is_the_side_of_the_line(code):
    """Rate and lag, mapped back onto the plane, lie on the class's side; all levels of both occur evenly."""
    samples = intervals.generate(IntervalTask(code, "paper"), 6000, np.random.default_rng(0))
    total = samples.pairs.sum(axis=1)
    x, y = 20 * (total - 1) / 29 - 10, 20 * (samples.lags[:, 0] - 1) / 99 - 10
    assert ((x + 2 * y < 0) == (samples.spikes.labels == 1)).all()
    assert set(total) == set(range(1, 31)) and set(samples.lags[:, 0]) == set(range(1, 101))
    assert chisquare(samples.pairs.sum(axis=0)).pvalue > 1e-3  # spread evenly over channels


def test_published_rates():
    """Without `pairs` every channel holds round(rate * T) pairs, rates 0.1 to 3 Hz in steps of 0.1."""
    samples = intervals.generate(IntervalTask("isi", "paper", 10_000, 100, None), 3000, np.random.default_rng(0))
    assert (samples.pairs == samples.pairs[:, :1]).all()
    assert set(samples.pairs[:, 0]) == set(range(1, 31))
    assert (samples.spikes.counts() == 2 * samples.pairs).all() and samples.lost_share == 0
    assert samples.spikes.n_bins == 10_000 and 9_900 < samples.spikes.bins.max() < 10_000


@pytest.mark.parametrize(("longest_ms", "low", "high"), [(100, 0, 0), (200, 0.001, 0.004), (500, 0.17, 0.225)])
def test_long_lags_of_the_paper_lose_pairs(longest_ms, low, high):
    """As published, pairs are left out at long lags, about a fifth at 500 ms, and every one is reported."""
    task = IntervalTask("ccisi", "paper", 10_000, longest_ms, None)
    samples = intervals.generate(task, 1000, np.random.default_rng(0))
    assert low <= samples.lost_share <= high
    assert (samples.spikes.counts().sum(axis=1) == 2 * (samples.pairs.sum(axis=1) - samples.lost)).all()


def test_single_pairs_start_anywhere():
    """The start of a lone pair is uniform over all places where it fits."""
    task = IntervalTask("ccisi", "paper", 30, 10, (1, 1))
    samples = intervals.generate(task, 20_000, np.random.default_rng(0))
    first = samples.spikes.bins[::2]
    at_ten = samples.lags[:, 0] == 10
    assert chisquare(np.bincount(first[at_ten], minlength=20)).pvalue > 1e-3


@pytest.mark.parametrize(("code", "longest_ms"), [("isi", 100), ("isi", 500), ("ccisi", 100), ("ccisi", 500)])
def test_matched_counts_are_equal_everywhere(code, longest_ms):
    """Every unit fires the same number of spikes in every sample and class; the lag alone tells the class."""
    task = IntervalTask(code, "matched", 4000, longest_ms, (60, 60))
    samples = intervals.generate(task, 600, np.random.default_rng(0))
    assert (samples.spikes.counts() == (12 if code == "isi" else 6)).all()
    assert np.bincount(samples.spikes.labels).tolist() == [300, 300]
    lags = [samples.lags[samples.spikes.labels == label, 0] for label in (0, 1)]
    if code == "isi":
        assert lags[0].max() <= 0.375 * longest_ms < 0.6 * longest_ms < lags[1].min()
    else:  # two lags
        assert [set(of_class) for of_class in lags] == ([{41}, {60}] if longest_ms == 100 else [{201}, {300}])


@pytest.mark.parametrize("design", ["matched", "comparison"])
def test_counts_do_not_depend_on_the_class(design):
    """With varying numbers of pairs, totals have one distribution in both classes (Kolmogorov-Smirnov)."""
    samples = intervals.generate(IntervalTask("isi", design), 6000, np.random.default_rng(0))
    total, labels = samples.spikes.counts().sum(axis=1), samples.spikes.labels
    assert ks_2samp(total[labels == 0], total[labels == 1]).pvalue > 1e-3
    assert total.min() >= 2 and total.max() == 60 and np.ptp(samples.pairs, axis=1).max() <= 1


@pytest.mark.parametrize("code", CODES)
def test_comparison_needs_both_halves(code):
    """The class is which half has the longer lag, by a quarter of the range; both halves hold the same counts."""
    samples = intervals.generate(IntervalTask(code, "comparison"), 3000, np.random.default_rng(0))
    first, second = samples.lags.T
    assert ((second > first) == (samples.spikes.labels == 1)).all()
    assert np.abs(first - second).min() >= 25
    assert (samples.pairs[:, :5] == samples.pairs[:, 5:]).all()
    pooled = [np.sort(samples.lags[samples.spikes.labels == label], axis=1) for label in (0, 1)]
    assert all(ks_2samp(*column).pvalue > 1e-3 for column in zip(*(p.T for p in pooled), strict=True))


def test_combinations_are_symmetric_between_classes():
    """Comparison: swapping the halves swaps the classes; every allowed pair of lags is listed once."""
    lags, labels = combinations(IntervalTask("isi", "comparison", 2000, 40))
    listed = {(*pair, label) for pair, label in zip(lags.tolist(), labels.tolist(), strict=True)}
    by_hand = {(a, b, int(b > a)) for a in range(1, 41) for b in range(1, 41) if abs(a - b) >= 10}
    assert listed == by_hand and len(lags) == len(by_hand)


def test_a_pair_without_room_is_an_error():
    """Matched and comparison designs never leave a pair out; nearly full units are filled to the last place."""
    task = IntervalTask("isi", "matched", 30, 10, (300, 300))
    with pytest.raises(InputError, match="find no place in 30 ms"):
        intervals.generate(task, 2, np.random.default_rng(0))
    full = intervals.generate(IntervalTask("ccisi", "matched", 30, 10, (230, 230)), 5, np.random.default_rng(0))
    assert (full.spikes.counts() == 23).all()  # of 23 or 25 possible starts


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"code": "rate"}, "code: 'rate'"),
        ({"design": "xor"}, "design: 'xor'"),
        ({"longest_ms": 2000}, "longest_ms: 2000"),
        ({"duration_ms": 70_000}, "duration_ms: 70000"),
        ({"pairs": (5, 2)}, r"pairs: \(5, 2\)"),
        ({"pairs": None, "design": "matched"}, "only the paper design"),
    ],
)
def test_a_task_that_cannot_be_is_refused(change, word):
    """Wrong settings are named in one line."""
    with pytest.raises(InputError, match=word):
        IntervalTask(**{"code": "isi", "design": "paper", **change})


@pytest.mark.parametrize("make", ["isi", "ccisi", "coincidence"])
def test_a_seed_decides_the_samples(make):
    """The same seed gives the same spikes, another seed others."""

    def spikes(seed):
        rng = np.random.default_rng(seed)
        if make == "coincidence":
            return coincidence.generate(CoincidenceTask(0.4), 20, rng)
        return intervals.generate(IntervalTask(make, "paper"), 20, rng).spikes

    one, same, other = spikes(1), spikes(1), spikes(2)
    assert (one.bins == same.bins).all() and (one.units == same.units).all() and (one.labels == same.labels).all()
    assert len(one.bins) != len(other.bins) or (one.bins != other.bins).any()


@pytest.mark.parametrize("make", ["isi", "coincidence"])
def test_times_are_exact_milliseconds(make):
    """As events in continuous time the spikes are in order, and 1-ms bins give the same spikes back."""
    rng = np.random.default_rng(0)
    if make == "isi":
        spikes = intervals.generate(IntervalTask("isi", "paper", 10_000, 100, None), 20, rng).spikes
    else:
        spikes = coincidence.generate(CoincidenceTask(0.0), 20, rng)
    events = spikes.events()
    assert all((np.diff(events[i][0]) >= 0).all() for i in range(20))
    again, report = bin_events(events, 1e-3, spikes.n_bins)
    assert report.n_shared == report.n_outside == 0
    assert (again.bins == spikes.bins).all() and (again.units == spikes.units).all()


def test_five_thousand_samples_are_quick():
    """5,000 ISI samples of 10 s in at most 5 s of CPU time."""
    task = IntervalTask("isi", "paper", 10_000, 100, None)
    intervals.generate(task, 1, np.random.default_rng(0))  # compiled
    start = time.process_time()
    intervals.generate(task, 5000, np.random.default_rng(0))
    assert time.process_time() - start < 5


def test_overlap_maps_to_the_papers_lambda():
    """The mapping from overlap to lambda, computed from the published recipe, at eleven values."""
    published = [0, 0.208, 0.387, 0.509, 0.605, 0.686, 0.758, 0.823, 0.884, 0.943, 1]
    assert np.allclose([active_units(k / 10)[2] for k in range(11)], published, atol=5e-4)
    on, off, mix = active_units(0.5)
    cut = poisson(12 * (1 - mix) + 5 * mix).pmf(np.arange(21))
    assert np.allclose(on, cut / cut.sum()) and abs(np.minimum(on, off).sum() - 0.5) < 1e-3


def window_counts(spikes):
    """Active units, (samples, windows, groups), by a plain histogram."""
    sample = np.repeat(np.arange(len(spikes)), np.diff(spikes.offsets))
    edges = [np.arange(len(spikes) + 1), np.arange(0, spikes.n_bins + 1, 200), [0, 20, 40, 60]]
    return np.histogramdd(np.stack([sample, spikes.bins, spikes.units], axis=1), edges)[0].astype(int)


@pytest.mark.parametrize("design", ["paper", "matched"])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
def test_active_units_follow_their_distributions(design, overlap):
    """Half of all windows draw from p_on and half from p_off; each unit takes part equally often, at any ms of 100."""
    spikes = coincidence.generate(CoincidenceTask(overlap, design), 300, np.random.default_rng(0))
    on, off, _ = active_units(overlap)
    seen, expected = np.bincount(window_counts(spikes).ravel(), minlength=21), 9000 * (on + off)
    seen, expected = (np.append(x[:12], x[12:].sum()) for x in (seen, expected))  # above 12 is rare at overlap 1
    assert chisquare(seen, expected).pvalue > 1e-3
    assert chisquare(np.bincount(spikes.units, minlength=60)).pvalue > 1e-3
    assert chisquare(np.bincount(spikes.bins % 200, minlength=200)[50:150]).pvalue > 1e-3
    assert ((spikes.bins % 200 >= 50) & (spikes.bins % 200 < 150)).all()


@pytest.mark.parametrize("design", ["paper", "matched"])
def test_the_class_is_who_is_active_together(design):
    """The two groups of the class rise and fall together, the third against them (correlation over windows)."""
    spikes = coincidence.generate(CoincidenceTask(0.0, design), 300, np.random.default_rng(0))
    assert np.bincount(spikes.labels).tolist() == [100, 100, 100]
    active = window_counts(spikes)
    for label, together in enumerate([(0, 1), (0, 2), (1, 2)]):
        correlation = np.corrcoef(active[spikes.labels == label].reshape(-1, 3).T)
        for a, b in ((0, 1), (0, 2), (1, 2)):
            assert correlation[a, b] > 0.6 if (a, b) == together else correlation[a, b] < -0.6


def test_matched_groups_are_on_in_half_the_windows():
    """A group's total varies only as 10 ON and 10 OFF windows do; in the paper design the coin adds its part."""
    on, off, _ = active_units(0.0)
    numbers = np.arange(21)
    means = on @ numbers, off @ numbers
    within = sum(p @ numbers**2 - mean**2 for p, mean in zip((on, off), means, strict=True))
    for design, coin in (("matched", 0.0), ("paper", 20 / 4 * (means[0] - means[1]) ** 2)):
        spikes = coincidence.generate(CoincidenceTask(0.0, design), 2000, np.random.default_rng(0))
        totals = window_counts(spikes).sum(axis=1)
        assert np.allclose(totals.mean(axis=0), 10 * sum(means), rtol=0.02)
        assert np.allclose(totals.var(axis=0) / (10 * within + coin), 1, atol=0.15)


@pytest.mark.parametrize("change", [{"overlap": 1.5}, {"design": "other"}, {"n_windows": 7}, {"n_windows": 400}])
def test_a_coincidence_task_that_cannot_be_is_refused(change):
    """Wrong settings are named in one line."""
    with pytest.raises(InputError, match=next(iter(change))):
        CoincidenceTask(**{"overlap": 0.5, **change})
