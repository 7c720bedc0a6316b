"""What the best possible observer of a synthetic code could reach: from counts alone, and from every spike time.

The generators are ours, so the probability of each sample under each class can be written down. An observer that
decides for the more probable class is *ideal*: nothing that is trained can beat it, except by luck on a finite test
set. Here that holds for coincidence, and for polychrony (CCISI) in the matched and comparison designs under
independent relocation. For ISI and for the paper's designs, where pairs keep their distance, the formula leaves out
what is rare; that observer is called the *reference decoder*. `is_ideal` says which it is. Chance is 1 / classes.
"""

from __future__ import annotations

from math import lgamma

import numba
import numpy as np
from scipy.special import logsumexp

from .data import coincidence
from .data.coincidence import CoincidenceTask
from .data.events import Binned
from .data.intervals import MARGIN, N_CHANNELS, RATES_HZ, IntervalTask, combinations
from .errors import InputError


def is_ideal(task: IntervalTask) -> bool:
    """Whether `interval_log_posterior` is that of the ideal observer of a task; else it is the reference decoder's."""
    return task.code == "ccisi" and task.design != "paper"


def interval_count_optimum(task: IntervalTask) -> float:
    """Highest accuracy that spike counts alone allow; relocation keeps counts, so it holds at every f.

    Exact where no pair is lost: sum over the number of pairs N of max over the classes y of p(N, y).
    """
    if task.design != "paper":
        return 0.5
    _, joint = plane_prior(task)
    return float(joint.sum(axis=2).max(axis=1).sum())


def plane_prior(task: IntervalTask) -> tuple[np.ndarray, np.ndarray]:
    """Joint distribution of pairs, class and lag in the paper design, from areas of the plane.

    Returns:
        totals: int64 (n_totals,), ascending, numbers of pairs of a sample; joint: float64 (n_totals, 2, longest_ms).
    """
    if task.pairs is None:
        levels = np.rint(RATES_HZ * task.duration_ms / 1000).astype(np.int64) * N_CHANNELS
    else:
        levels = np.arange(task.pairs[0], task.pairs[1] + 1)
    x, y = _cell_edges(len(levels)), _cell_edges(task.longest_ms)
    # area of a cell's part where x + 2 y >= c: second difference of the second antiderivative of a step
    beyond = np.maximum(x[:, None] + 2 * y[None, :] - MARGIN * np.sqrt(5), 0) ** 2 / 4
    above = np.diff(np.diff(beyond, axis=0), axis=1)
    joint = np.stack([above, above[::-1, ::-1]], axis=1)  # the plane is symmetric about its centre
    totals, row = np.unique(levels, return_inverse=True)
    merged = np.zeros((len(totals), *joint.shape[1:]))
    np.add.at(merged, row, joint)
    return totals, merged / merged.sum()


def interval_log_posterior(spikes: Binned, task: IntervalTask, f: float) -> np.ndarray:
    """Log probability of each class given all spikes, for samples relocated by `perturb.relocate(..., f)`.

    The relocation is the independent one over the whole duration of the sample. `argmax` over classes decides.
    Where pairs were lost (paper design), the number of pairs is taken for the nearest possible one above.

    Args:
        spikes: as from `intervals.generate`, then relocated.
        task: what they were generated from.
        f: probability of relocation.

    Returns:
        float64 (n_samples, 2).
    """
    likelihood = interval_log_likelihood(spikes, task, f)
    if task.design == "paper":
        totals, joint = plane_prior(task)
        row = np.searchsorted(totals, _pairs(spikes, task).sum(axis=1)).clip(max=len(totals) - 1)
        weight = joint[row]  # (samples, 2, lags)
    else:
        lags, labels = combinations(task)
        weight = np.zeros((2, *[task.longest_ms] * lags.shape[1]))
        weight[(labels, *(lags - 1).T)] = 0.5 / np.bincount(labels)[labels]
    peak = likelihood.max(axis=2, keepdims=True)
    first, *second = np.exp(likelihood - peak).transpose(1, 0, 2)
    if second:
        evidence = np.stack([((first @ of_class) * second[0]).sum(axis=1) for of_class in weight], axis=1)
    else:
        evidence = (weight * first[:, None, :]).sum(axis=2)
    if task.design == "paper":  # where no class can have the lag with so few pairs, more of them were lost
        for sample in np.flatnonzero(evidence.sum(axis=1) == 0):
            evidence[sample] = joint[row[sample] :].sum(axis=0) @ first[sample]
    with np.errstate(divide="ignore"):
        return np.log(evidence / evidence.sum(axis=1, keepdims=True))


def interval_log_likelihood(spikes: Binned, task: IntervalTask, f: float) -> np.ndarray:
    """Log probability of the spikes of each group of channels given its lag, up to a constant.

    A pair survives whole with q = (1 - f)^2. Reference decoder: the others are two independent uniform spikes. Of n
    pairs on T bins with m coincidences at lag d, each number k <= m may be the survivors, and the rest may be paired
    in every way (disjoint coincidences, edges and meetings of spikes ignored):

        CCISI  L(d) = sum_k C(m, k) (n - k)! a^k c^(n-k),         a = q / (T - d), c = (1 - q) / T^2
        ISI    L(d) = sum_k C(m, k) (2 (n - k) - 1)!! a^k c^(n-k),                 c = 2 (1 - q) / T^2

    Ideal observer (`is_ideal`): see `_log_ideal`.

    Returns:
        float64 (n_samples, 1 or 2 groups, longest_ms); entry l is for the lag l + 1.

    Raises:
        InputError: f is not between 0 and 1, or the units do not hold whole pairs.
    """
    if not 0 <= f <= 1:
        raise InputError(f"f: {f} is not a fraction; give 0 to 1")
    lags = np.arange(1, task.longest_ms + 1) if task.design == "paper" else np.unique(combinations(task)[0])
    return _log_likelihoods(
        spikes.bins.astype(np.int64),
        _pairs(spikes, task),
        task.code == "isi",
        is_ideal(task),
        lags,
        task.longest_ms,
        task.groups,
        spikes.n_bins,
        float(f),
    )


def coincidence_log_posterior(spikes: Binned, task: CoincidenceTask) -> np.ndarray:
    """Log probability of each class given all spikes: the ideal observer of the coincidence code.

    Which units fire and when says nothing beyond how many of each group fire in a window. Per class, a window has the
    likelihood a if the two groups that go together are ON and b if they are OFF; paper design: the product over
    windows of (a + b) / 2; matched design: the sum over all choices of half the windows as ON, which is the
    coefficient of z^(W/2) in the product of (b + a z).

    Returns:
        float64 (n_samples, 3).
    """
    active = _active_units(spikes, task)
    log_on, log_off = (np.log(p)[active] for p in coincidence.active_units(task.overlap)[:2])
    scores = []
    for odd in coincidence.ODD_ONE_OUT:
        together = np.arange(3) != odd
        on = np.where(together, log_on, log_off).sum(axis=2)  # (samples, windows)
        off = np.where(together, log_off, log_on).sum(axis=2)
        scale = np.logaddexp(on, off)
        score = scale.sum(axis=1)
        if task.design == "matched":
            score += np.log(_half_of(np.exp(on - scale)))
        scores.append(score)
    scores = np.stack(scores, axis=1)
    return scores - logsumexp(scores, axis=1, keepdims=True)


def coincidence_count_optimum(task: CoincidenceTask) -> float:
    """Highest accuracy that the spike totals of the three groups allow; in the matched design exactly 1/3.

    Sum over all totals of the largest p(totals | class) / 3, with p = sum_j w_j P_j P_j P_(W-j), where j of W windows
    are ON with probability w_j and P_j is the distribution of a group's total. In the paper design the counts of
    single units tell a little more: how evenly they are spread depends on j too.
    """
    from scipy.stats import binom  # only here: it takes half a second to import

    p_on, p_off, _ = coincidence.active_units(task.overlap)
    n = task.n_windows
    weight = np.eye(n + 1)[n // 2] if task.design == "matched" else binom(n, 0.5).pmf(np.arange(n + 1))
    on, off = [np.ones(1)], [np.ones(1)]
    for _ in range(n):
        on.append(np.convolve(on[-1], p_on))
        off.append(np.convolve(off[-1], p_off))
    total = np.stack([np.convolve(on[j], off[n - j]) for j in range(n + 1)])  # (windows ON, total)
    total = total[:, (total > 1e-10).any(axis=0)]
    opposite = total[::-1]
    accuracy = 0.0
    for one in range(total.shape[1]):  # total of the first group
        with_second = (weight * total[:, one] * total.T) @ opposite  # (second, third)
        with_none = (weight * opposite[:, one] * total.T) @ total
        accuracy += np.maximum(np.maximum(with_second, with_second.T), with_none).sum() / 3
    return float(accuracy)


def _cell_edges(n_levels: int) -> np.ndarray:
    """Edges in [-10, 10] of what is rounded to each of n evenly spaced levels."""
    return 20 * ((np.arange(n_levels + 1) - 0.5) / (n_levels - 1)).clip(0, 1) - 10


def _pairs(spikes: Binned, task: IntervalTask) -> np.ndarray:
    """Pairs of every channel, int64 (n_samples, N_CHANNELS)."""
    counts = spikes.counts()
    first, second = (counts[:, ::2], counts[:, 1::2]) if task.code == "ccisi" else ((counts + 1) // 2, counts // 2)
    if (first != second).any():
        raise InputError("spikes: some units do not hold whole pairs; give samples whose counts were not changed")
    return first


def _active_units(spikes: Binned, task: CoincidenceTask) -> np.ndarray:
    """Active units of every group in every window, int64 (n_samples, n_windows, 3)."""
    sample = np.repeat(np.arange(len(spikes)), np.diff(spikes.offsets))
    window = spikes.bins.astype(np.int64) // coincidence.WINDOW_MS
    cell = (sample * task.n_windows + window) * 3 + spikes.units // coincidence.GROUP_SIZE
    return np.bincount(cell, minlength=len(spikes) * task.n_windows * 3).reshape(len(spikes), task.n_windows, 3)


def _half_of(on: np.ndarray) -> np.ndarray:
    """Coefficient of z^(W/2) in the product over W windows of (1 - on + on z); `on` is (samples, W)."""
    half = on.shape[1] // 2
    coefficients = np.zeros((len(on), half + 1))
    coefficients[:, 0] = 1
    for p in on.T[:, :, None]:
        shifted = np.pad(coefficients[:, :-1], ((0, 0), (1, 0)))
        coefficients = coefficients * (1 - p) + shifted * p
    return coefficients[:, half]


@numba.njit(cache=True)
def _log_likelihoods(bins, pairs, one_unit, ideal, lags, n_lags, group_of, n_bins, f):
    """Sum over each group's channels of the log likelihood of `lags`; -inf for other lags."""
    n_groups = group_of[-1] + 1
    out = np.full((len(pairs), n_groups, n_lags), -np.inf)
    for lag in lags:
        out[:, :, lag - 1] = 0
    choose = np.zeros((pairs.max() + 1, pairs.max() + 1))
    for n in range(len(choose)):
        choose[n, 0] = 1
        for k in range(1, n + 1):
            choose[n, k] = choose[n - 1, k - 1] + choose[n - 1, k]
    start = 0
    for sample in range(len(pairs)):
        for channel in range(len(group_of)):
            n = pairs[sample, channel]
            first = bins[start : start + 2 * n] if one_unit else bins[start : start + n]
            second = first if one_unit else bins[start + n : start + 2 * n]
            start += 2 * n
            found = np.zeros(n_lags + 1, np.int64)
            for one in first:
                for other in second:
                    if one < other <= one + n_lags:
                        found[other - one] += 1
            for lag in lags:
                if ideal:
                    log = _log_ideal(n, found[lag], first, second, lag, n_bins, f, choose)
                else:
                    log = _log_reference(n, found[lag], lag, n_bins, f, one_unit)
                out[sample, group_of[channel], lag - 1] += log
    return out


@numba.njit(cache=True)
def _log_reference(n, m, lag, n_bins, f, one_unit):
    """The closed form of `interval_log_likelihood`, times n_bins^(2 n)."""
    whole = (1 - f) ** 2
    log_a = np.log(whole * n_bins**2 / (n_bins - lag))
    log_c = np.log((1 - whole) * (2 if one_unit else 1))
    total = -np.inf
    for k in range(min(m, n) + 1):
        rest = n - k
        log = lgamma(m + 1) - lgamma(k + 1) - lgamma(m - k + 1)
        log += lgamma(2 * rest + 1) - rest * np.log(2) - lgamma(rest + 1) if one_unit else lgamma(rest + 1)
        log += (k * log_a if k else 0) + (rest * log_c if rest else 0)
        total = np.logaddexp(total, log)
    return total


@numba.njit(cache=True)
def _log_ideal(n, m, first, second, lag, n_bins, f, choose):
    """Exact log likelihood of one CCISI channel given its lag, up to a constant.

    n starts are any n of the T - d bins. Of the spikes seen, let the A of the first unit and the B of the second be
    those that were not moved. Starts must contain A and B - d, which have u bins: C(T-d-u, n-u) of C(T-d, n) sets do.
    Moved spikes fill bins that are left over, any of C(T-|A|, n-|A|) sets alike, and so for B. The sum over all A and
    B goes by their sizes a, b and the number j of coincidences with both spikes in them: u = a + b - j.
    """
    if n > n_bins - lag:  # so many pairs have no room at this lag
        return -np.inf
    can_start = (first < n_bins - lag).sum()
    can_end = (second >= lag).sum()
    stayed, starts = np.ones(n + 1), np.ones(n + 1)
    for i in range(n):
        stayed[i + 1] = stayed[i] * (n_bins - i) / (n - i)
        starts[i + 1] = starts[i] * (n - i) / (n_bins - lag - i)
    for a in range(n + 1):
        stayed[a] *= (1 - f) ** a * f ** (n - a)
    total = 0.0
    for j in range(m + 1):
        for a in range(j, can_start + 1):
            for b in range(j, min(can_end, n - a + j) + 1):
                ways = 0.0
                for alone in range(min(m - j, a - j) + 1):  # coincidences of which only the first spike is in A
                    if a - j - alone <= can_start - m and b - j <= can_end - j - alone:
                        ways += (
                            choose[m - j, alone]
                            * choose[can_start - m, a - j - alone]
                            * choose[can_end - j - alone, b - j]
                        )
                total += choose[m, j] * ways * stayed[a] * starts[a + b - j] * stayed[b]
    return np.log(total)
