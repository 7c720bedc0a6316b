"""Observers against brute-force enumeration of everything that can happen, and against known accuracies."""

from collections import Counter
from itertools import combinations as subsets
from itertools import product

import numpy as np
import pytest
from scipy.stats import chisquare

from lib.baselines import CountMLP
from lib.data import coincidence, intervals
from lib.data.coincidence import CoincidenceTask, active_units
from lib.data.events import Binned
from lib.data.intervals import IntervalTask
from lib.errors import InputError
from lib.observers import (
    coincidence_count_optimum,
    coincidence_log_posterior,
    interval_count_optimum,
    interval_log_likelihood,
    interval_log_posterior,
    is_ideal,
    plane_prior,
)
from lib.perturb import delete, relocate

N_TEST = 3000


def accuracy(log_posterior, labels):
    return np.mean(log_posterior.argmax(axis=1) == labels)


def binomial_error(p):
    """Three standard errors of an accuracy near p on N_TEST samples, twice (the reference has an error too)."""
    return 3 * np.sqrt(2 * max(p * (1 - p), 1e-3) / N_TEST)


def law_of_one_unit(seen, stays, n_bins):
    """All outcomes of relocation of one unit: {(what is where afterwards)}: probability, given which spikes stay."""
    kept = frozenset(spike for spike, stay in zip(seen, stays, strict=True) if stay)
    places = [bin_ for bin_ in range(n_bins) if bin_ not in kept]
    sets = list(subsets(places, len(seen) - len(kept)))
    return [(tuple(sorted(kept | set(moved))), 1 / len(sets)) for moved in sets]


def polychrony_law(n, lag, n_bins, f):
    """Probability of every outcome (first unit's bins, second unit's bins) of n pairs at a lag, by enumeration."""
    law = Counter()
    starts = list(subsets(range(n_bins - lag), n))
    for start in starts:
        for stays in product([True, False], repeat=2 * n):
            weight = np.prod([1 - f if stay else f for stay in stays]) / len(starts)
            first = law_of_one_unit(start, stays[:n], n_bins)
            second = law_of_one_unit([s + lag for s in start], stays[n:], n_bins)
            for (one, p), (other, q) in product(first, second):
                law[one, other] += weight * p * q
    return law


def one_channel(outcomes, n_bins):
    """CCISI samples whose first channel holds the outcomes; the others are silent."""
    sizes = [len(one) + len(other) for one, other in outcomes]
    return Binned(
        bins=np.concatenate([np.array(one + other) for one, other in outcomes]).astype(np.uint16),
        units=np.concatenate([np.repeat([0, 1], [len(one), len(other)]) for one, other in outcomes]).astype(np.uint16),
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        labels=np.zeros(len(outcomes), np.int64),
        speakers=np.zeros(len(outcomes), np.int64),
        keys=("short", "long"),
        n_units=20,
        n_bins=n_bins,
        bin_width=1e-3,
    )


@pytest.mark.parametrize("f", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize(("n", "n_bins"), [(1, 7), (2, 7), (3, 6)])
def test_ideal_likelihood_is_that_of_enumeration(n, n_bins, f):
    """Every outcome of n pairs, every lag: the formula equals the enumerated probability, up to one constant."""
    task = IntervalTask("ccisi", "comparison", n_bins, 4, (2, 2 * n))
    laws = {lag: polychrony_law(n, lag, n_bins, f) for lag in range(1, min(5, n_bins - n + 1))}
    outcomes = sorted(set().union(*laws.values()))
    found = np.exp(interval_log_likelihood(one_channel(outcomes, n_bins), task, f)[:, 0])
    constant = None
    for lag, law in laws.items():
        assert abs(sum(law.values()) - 1) < 1e-9
        expected = np.array([law[outcome] for outcome in outcomes])
        constant = constant or found[:, lag - 1].sum()
        assert np.allclose(found[:, lag - 1] / constant, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("f", [0.4, 1.0])
def test_the_enumerated_law_is_that_of_generator_and_relocation(f):
    """Generated and relocated samples occur as often as enumeration says (chi-square over all outcomes)."""
    task = IntervalTask("ccisi", "matched", 6, 4, (20, 20))
    samples = intervals.generate(task, 2000, np.random.default_rng(0))
    moved = relocate(samples.spikes, f, np.random.default_rng(1), 6)
    law = polychrony_law(2, 2, 6, f)
    outcomes = {outcome: i for i, outcome in enumerate(sorted(law))}
    seen = np.zeros(len(outcomes))
    for sample in np.flatnonzero(samples.lags[:, 0] == 2):
        bins = moved.bins[moved.offsets[sample] : moved.offsets[sample + 1]].tolist()
        for channel in range(10):
            seen[outcomes[tuple(bins[4 * channel :][:2]), tuple(bins[4 * channel + 2 :][:2])]] += 1
    expected = np.array([law[outcome] for outcome in outcomes]) * seen.sum()
    order = np.argsort(expected)  # the rarest outcomes are counted together
    groups = np.floor(expected[order].cumsum() / 20).astype(int)
    seen, expected = (np.bincount(np.unique(groups, return_inverse=True)[1], x[order]) for x in (seen, expected))
    assert chisquare(seen, expected).pvalue > 1e-3


@pytest.mark.parametrize("f", [0.0, 0.5, 0.9])
def test_reference_likelihood_is_close_where_its_assumptions_hold(f):
    """One pair in a long sample: summed over all outcomes, the reference likelihood differs from the law by a few %."""
    n_bins, lag = 40, 3
    law = polychrony_law(1, lag, n_bins, f)
    outcomes = sorted(law)
    task = IntervalTask("ccisi", "paper", n_bins, 4)
    found = np.exp(interval_log_likelihood(one_channel(outcomes, n_bins), task, f)[:, 0, lag - 1]) / n_bins**2
    assert np.abs(found - [law[outcome] for outcome in outcomes]).sum() < 0.08


def test_reference_likelihood_of_intervals_in_one_unit():
    """ISI, one pair: intact pairs and chance intervals by enumeration of all unordered outcomes."""
    n_bins, lag, f = 60, 2, 0.5
    law = Counter()
    for start in range(n_bins - lag):
        for stays in product([True, False], repeat=2):
            for outcome, p in law_of_one_unit((start, start + lag), stays, n_bins):
                law[outcome] += 0.25 * p / (n_bins - lag)
    outcomes = sorted(law)
    samples = one_channel([(outcome, ()) for outcome in outcomes], n_bins)
    samples = Binned(**{**vars(samples), "n_units": 10})
    found = interval_log_likelihood(samples, IntervalTask("isi", "paper", n_bins, 4), f)[:, 0, lag - 1]
    assert np.abs(np.exp(found) / n_bins**2 - [law[outcome] for outcome in outcomes]).sum() < 0.06


@pytest.mark.parametrize(("pairs", "duration_ms"), [((1, 30), 2000), (None, 1000), (None, 10_000)])
def test_plane_prior_is_that_of_the_generator(pairs, duration_ms):
    """Frequencies of (pairs, class, lag) in generated samples agree with the areas (chi-square over coarse cells)."""
    task = IntervalTask("ccisi", "paper", duration_ms, 20, pairs)
    totals, joint = plane_prior(task)
    assert abs(joint.sum() - 1) < 1e-12
    samples = intervals.generate(task, 20_000, np.random.default_rng(0))
    row = np.searchsorted(totals, samples.pairs.sum(axis=1))
    seen = np.zeros_like(joint)
    np.add.at(seen, (row, samples.spikes.labels, samples.lags[:, 0] - 1), 1)
    assert (seen[joint == 0] == 0).all()
    common = joint * 20_000 > 5
    cells, expected = np.append(seen[common], seen[~common].sum()), joint[common] * 20_000
    expected = np.append(expected, 20_000 - expected.sum())
    assert chisquare(cells, expected).pvalue > 1e-3


# accuracies of an independent prototype with the same formulas, 3,000 samples of 2 s, lags to 100 ms, 1 to 30 pairs
PROTOTYPE = [
    ("isi", "paper", {0: 1.0, 0.2: 0.997, 0.5: 0.963, 0.8: 0.733, 1: 0.675}),
    ("ccisi", "paper", {0: 1.0, 0.2: 0.998, 0.5: 0.970, 0.8: 0.759, 1: 0.675}),
    ("isi", "matched", {0: 1.0, 0.2: 0.993, 0.5: 0.935, 0.8: 0.607, 1: 0.5}),
    ("isi", "comparison", {0: 1.0, 0.2: 0.985, 0.5: 0.897, 0.8: 0.591, 1: 0.5}),
    ("ccisi", "comparison", {0: 1.0, 0.2: 0.986, 0.5: 0.910, 0.8: 0.612, 1: 0.5}),
]


@pytest.mark.parametrize(("code", "design", "expected"), PROTOTYPE, ids=lambda x: x if isinstance(x, str) else "")
def test_interval_observers_reach_known_accuracies(code, design, expected):
    """Within Monte-Carlo error of an independent prototype at every f; at f = 1 they fall to the count-only optimum."""
    task = IntervalTask(code, design)
    samples = intervals.generate(task, N_TEST, np.random.default_rng(1))
    for f, value in expected.items():
        moved = relocate(samples.spikes, f, np.random.default_rng(2), 2000)
        reached = accuracy(interval_log_posterior(moved, task, f), moved.labels)
        assert abs(reached - value) < binomial_error(value) + 0.005, (f, reached)
    assert abs(reached - interval_count_optimum(task)) < binomial_error(0.5)


@pytest.mark.filterwarnings("error")
def test_lost_pairs_do_not_leave_a_sample_without_a_class():
    """Lags up to 500 ms lose pairs, up to counts that no class has with that lag: still a probability for each."""
    task = IntervalTask("ccisi", "paper", 10_000, 500, None)
    samples = intervals.generate(task, 400, np.random.default_rng(5))
    posterior = np.exp(interval_log_posterior(samples.spikes, task, 0.0))
    totals, joint = plane_prior(task)
    row = np.searchsorted(totals, np.diff(samples.spikes.offsets) // 2)
    lag = np.isfinite(interval_log_likelihood(samples.spikes, task, 0.0)[:, 0]).argmax(axis=1)
    assert (joint[row, :, lag] == 0).all(axis=1).sum() > 5
    assert np.allclose(posterior.sum(axis=1), 1)
    assert accuracy(posterior, samples.spikes.labels) > 0.99


def test_posteriors_are_calibrated():
    """The mean posterior probability of the decision is the share of right decisions (ideal observer)."""
    task = IntervalTask("ccisi", "comparison", 2000, 100, (10, 10))
    samples = intervals.generate(task, 6000, np.random.default_rng(3))
    moved = relocate(samples.spikes, 0.6, np.random.default_rng(4), 2000)
    posterior = np.exp(interval_log_posterior(moved, task, 0.6))
    assert np.allclose(posterior.sum(axis=1), 1)
    confident = posterior.max(axis=1)
    for low, high in ((0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        chosen = (confident >= low) & (confident < high)
        right = (posterior.argmax(axis=1) == moved.labels)[chosen]
        assert abs(right.mean() - confident[chosen].mean()) < 4 * 0.5 / np.sqrt(chosen.sum())


def test_only_exact_observers_are_called_ideal():
    """Polychrony in the matched and comparison designs; neither ISI nor the paper's designs."""
    kinds = list(product(("isi", "ccisi"), intervals.CLASS_NAMES))
    assert [kind for kind in kinds if is_ideal(IntervalTask(*kind))] == [("ccisi", "matched"), ("ccisi", "comparison")]


def test_count_optimum_of_the_plane():
    """From areas: 0.674 for 1 to 30 pairs; the best single cut of the plane by simulation gives the same."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-10, 10, (2, 2_000_000))
    side = intervals.side_of_line(x, y)
    level = np.rint((x + 10) / 20 * 29).astype(int)[side >= 0]
    table = np.zeros((30, 2))
    np.add.at(table, (level, side[side >= 0]), 1)
    simulated = table.max(axis=1).sum() / table.sum()
    for pairs, duration_ms in (((1, 30), 2000), (None, 10_000)):
        optimum = interval_count_optimum(IntervalTask("isi", "paper", duration_ms, 100, pairs))
        assert abs(optimum - simulated) < 0.0015 and abs(optimum - 0.674) < 0.002
    assert interval_count_optimum(IntervalTask("isi", "matched")) == 0.5


@pytest.mark.parametrize(("design", "bound"), [("paper", 0.674), ("matched", 0.5), ("comparison", 0.5)])
def test_a_perceptron_on_counts_reaches_the_optimum_and_no_more(design, bound):
    """Trained on counts it comes within 4 points of the optimum and does not exceed it by more than chance."""
    train, test = (intervals.generate(IntervalTask("isi", design), N_TEST, np.random.default_rng(s)) for s in (0, 1))
    reached = CountMLP(8, 1.0, seed=0).fit(train.spikes).score(test.spikes)
    assert bound - 0.04 < reached < bound + binomial_error(bound)


def coincidence_by_enumeration(active, task):
    """Posterior of one sample by summing over every sequence of states of the windows."""
    p = active_units(task.overlap)[:2]
    scores = []
    for odd in (2, 1, 0):
        total = 0.0
        for states in product([True, False], repeat=task.n_windows):
            if task.design == "matched" and sum(states) != task.n_windows // 2:
                continue
            on = [[state != (group == odd) for group in range(3)] for state in states]
            total += np.prod([p[0 if on[w][g] else 1][active[w, g]] for w in range(task.n_windows) for g in range(3)])
        scores.append(total)
    return np.array(scores) / sum(scores)


@pytest.mark.parametrize("design", ["paper", "matched"])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.9])
def test_coincidence_observer_is_that_of_enumeration(design, overlap):
    """Six windows, all sequences of states: the same posterior."""
    task = CoincidenceTask(overlap, design, n_windows=6)
    spikes = coincidence.generate(task, 20, np.random.default_rng(0))
    found = np.exp(coincidence_log_posterior(spikes, task))
    for sample in range(20):
        span = slice(spikes.offsets[sample], spikes.offsets[sample + 1])
        edges = [np.arange(0, 1201, 200), [0, 20, 40, 60]]
        active = np.histogram2d(spikes.bins[span], spikes.units[span], edges)[0].astype(int)
        assert np.allclose(found[sample], coincidence_by_enumeration(active, task), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        ("paper", {0: 1.0, 0.2: 1.0, 0.4: 0.995, 0.5: 0.957, 0.6: 0.843, 0.8: 0.485, 1: 1 / 3}),
        ("matched", {0: 1.0, 0.2: 1.0, 0.4: 0.996, 0.5: 0.963, 0.6: 0.854, 0.8: 0.498, 1: 1 / 3}),
    ],
)
def test_coincidence_observer_reaches_known_accuracies(design, expected):
    """Within Monte-Carlo error of an independent prototype at every overlap; at overlap 1 it is at chance."""
    for overlap, value in expected.items():
        task = CoincidenceTask(overlap, design)
        spikes = coincidence.generate(task, N_TEST, np.random.default_rng(5))
        reached = accuracy(coincidence_log_posterior(spikes, task), spikes.labels)
        assert abs(reached - value) < binomial_error(value) + 0.005, (overlap, reached)


def test_coincidence_count_optimum_is_that_of_enumeration():
    """Two windows: all numbers of active units, all states, best class for each triple of totals."""
    task = CoincidenceTask(0.5, n_windows=2)
    p_on, p_off, _ = active_units(0.5)
    pair = {(a, b): np.convolve(p_on if a else p_off, p_on if b else p_off) for a in (0, 1) for b in (0, 1)}
    law = np.zeros((3, 41, 41, 41))
    for label, odd in enumerate((2, 1, 0)):
        for states in product((0, 1), repeat=2):
            totals = [pair[tuple(1 - s if group == odd else s for s in states)] for group in range(3)]
            law[label] += 0.25 * np.einsum("i,j,k->ijk", *totals)
    assert abs(coincidence_count_optimum(task) - law.max(axis=0).sum() / 3) < 1e-6


def test_coincidence_counts_say_nothing_in_the_matched_design():
    """Exactly chance at every overlap; in the paper design well above it at overlap 0, and chance at 1."""
    for overlap in (0.0, 0.5, 1.0):
        assert abs(coincidence_count_optimum(CoincidenceTask(overlap, "matched")) - 1 / 3) < 1e-6
    assert abs(coincidence_count_optimum(CoincidenceTask(0.0)) - 0.738) < 0.005
    assert abs(coincidence_count_optimum(CoincidenceTask(1.0)) - 1 / 3) < 1e-6


def test_wrong_input_is_refused():
    """Half pairs and impossible f are named in one line."""
    task = IntervalTask("ccisi", "matched")
    spikes = intervals.generate(task, 20, np.random.default_rng(0)).spikes
    with pytest.raises(InputError, match="whole pairs"):
        interval_log_posterior(delete(spikes, 0.3, np.random.default_rng(0)), task, 0.0)
    with pytest.raises(InputError, match="f: 1.5"):
        interval_log_posterior(spikes, task, 1.5)
