"""Numbers become statements by fixed rules."""

import numpy as np
import pytest
from scipy import stats

from lib.errors import InputError
from lib.statistics import FEWEST_SEEDS, estimate, gain, gains, inside, paired_differences, summary
from lib.tables import by_seed, select

VALUES = [0.61, 0.58, 0.66, 0.60, 0.63]


def test_interval_is_the_t_interval():
    """By hand: mean 0.616, s.d. 0.030496, half width 2.776445 s / sqrt(5)."""
    mean, sd = sum(VALUES) / 5, (sum((v - 0.616) ** 2 for v in VALUES) / 4) ** 0.5
    got = estimate(VALUES)
    half = 2.7764451 * sd / 5**0.5
    assert (got.mean, got.n) == (pytest.approx(mean), 5)
    assert (got.low, got.high) == (pytest.approx(mean - half, rel=1e-6), pytest.approx(mean + half, rel=1e-6))


def test_interval_holds_the_truth_as_often_as_it_says():
    """Of 2,000 samples of five seeds, 95 % of the intervals hold the true mean (within Monte-Carlo error)."""
    rng = np.random.default_rng(0)
    hits = [e.low <= 0.3 <= e.high for e in (estimate(rng.normal(0.3, 0.1, 5)) for _ in range(2000))]
    assert abs(np.mean(hits) - 0.95) < 4 * (0.95 * 0.05 / 2000) ** 0.5


def test_few_seeds_have_no_interval():
    """Four values: a mean, no interval; none at all: an error."""
    assert FEWEST_SEEDS == 5
    assert estimate(VALUES[:4]).low is None and estimate(VALUES[:4]).high is None
    with pytest.raises(ValueError, match="no values"):
        estimate([])


def test_equal_values_have_an_interval_of_no_width():
    """A perceptron that scores exactly chance in every seed."""
    assert estimate([0.05] * 5).low == estimate([0.05] * 5).high == pytest.approx(0.05)


def test_pairs_are_seeds():
    """Differences are taken seed by seed; a seed that one side lacks is left out."""
    assert paired_differences({3: 0.5, 1: 0.4, 2: 0.9}, {1: 0.1, 3: 0.4}) == pytest.approx([0.3, 0.1])


def test_equivalence_agrees_with_the_interval():
    """P < 0.05 exactly where the 90 % t-interval lies inside the band, for many samples."""
    rng = np.random.default_rng(1)
    verdicts = set()
    for _ in range(300):
        values = rng.normal(rng.uniform(-0.02, 0.02), 0.01, 6)
        low, high = stats.t.interval(0.9, 5, values.mean(), stats.sem(values))
        verdicts.add((-0.02 < low and high < 0.02, inside(values, -0.02, 0.02) < 0.05))
    assert verdicts == {(True, True), (False, False)}


def test_equivalence_of_equal_values():
    """No spread at all: inside is inside, on the edge is not."""
    assert (inside([0.01] * 5, -0.02, 0.02), inside([0.02] * 5, -0.02, 0.02)) == (0.0, 1.0)


ROWS = [
    {"variant": "norm", "part": "test", "arm": arm, "seed": seed, "trained": "clean", "tested": tested,
     "accuracy": accuracy if tested == "clean" else 0.1, "chance": 0.05, "failed": None}
    for arm, seed, accuracy in (("a", 0, 0.5), ("a", 1, 0.6), ("b", 1, 0.4), ("b", 0, 0.2))
    for tested in ("clean", "reverse")
]  # fmt: skip
NAMES = {"a": "with delays", "b": "without", "c": "other"}
FAILED = ROWS[0] | {"arm": "c", "accuracy": None, "failed": "silent"}


def test_gain_pairs_seeds_whatever_the_order_of_rows():
    """a - b for seeds 0 and 1."""
    assert gain(ROWS, "a", "b", tested="clean") == pytest.approx([0.3, 0.2])


def test_gains_are_a_line_a_part():
    """Points of both parts, with their sign, in the order of seeds; a part without rows has none."""
    assert gains(ROWS, [("a", "b")], "norm", NAMES) == [
        "with delays over without, validation voices:  points",
        "with delays over without, test voices: +30.0, +20.0 points",
    ]


def test_failed_runs_are_missing_not_zero():
    """A failed row has no part in a mean, and a summary says why it has no score."""
    assert by_seed([*select(ROWS, arm="a", tested="clean"), FAILED | {"seed": 7}]) == {0: 0.5, 1: 0.6}
    assert summary([*ROWS, FAILED], "norm", "test", NAMES)[-1] == f"norm  {'other':27s} no score: silent"


def test_rows_that_mix_conditions_are_refused():
    """The same seed twice: forgotten condition, not two more seeds."""
    with pytest.raises(InputError, match="occurs twice"):
        by_seed(select(ROWS, arm="a"))


def test_summary_prints_means():
    """One line an arm: mean as spoken, mean reversed, and the range of retention over seeds."""
    line = summary(ROWS, "norm", "test", NAMES)[0]
    assert line == f"norm  {'with delays':27s}  55.0% as spoken,  10.0% reversed, kept 9% to 11%"
