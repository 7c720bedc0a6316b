"""Gradients of spikes through weights and delays equal the plain product, and their bits are laid down."""

import numpy as np
import pytest
from numba.core.errors import TypingError

from lib.kernels.lanes import LANES, padded
from lib.kernels.product import DEPTH, HEIGHT, WIDTH, bring_back, bring_back_undelayed, panels_of, row_tile, tile

N = [1, WIDTH - 1, WIDTH, 3 * WIDTH + 5]


def gradient(current, weight, delays, steps, late=None):
    """As the CPU kernels ask for it."""
    whole = np.floor(np.minimum(delays, current.shape[1])).astype(np.int64)
    order = np.argsort(whole, kind="stable")
    late = (delays - whole).astype(weight.dtype) if late is None else late
    grad = np.full((len(current), steps, weight.shape[1]), np.nan, weight.dtype)
    bring_back(padded(current), panels_of(padded(weight.T).T, order), order, whole, late, grad)
    return grad


def undelayed(current, weight):
    """The same without delays."""
    grad = np.full((*current.shape[:2], weight.shape[1]), np.nan, weight.dtype)
    bring_back_undelayed(padded(current), panels_of(padded(weight.T).T, np.arange(weight.shape[1])), grad)
    return grad


def problem(n_steps, n_from, n_to, longest, number=np.float64):
    """Gradient of a current, weights, delays: some 0, some the longest."""
    rng = np.random.default_rng(0)
    delays = longest * rng.random(n_from)
    delays[:: n_from // 2 + 1], delays[-1] = 0, longest
    current, weight = rng.standard_normal((3, n_steps, n_to)), rng.standard_normal((n_to, n_from))
    return current.astype(number), weight.astype(number), delays


@pytest.mark.parametrize("n_from", N)
@pytest.mark.parametrize("n_to", [1, 19])
@pytest.mark.parametrize(("steps", "longest", "cut"), [(1, 0, 0), (4, 9.5, 0), (30, 7, 0), (30, 7.25, 5), (3, 6, 8)])
def test_bring_back_is_the_product_moved_by_the_delays(n_from, n_to, steps, longest, cut):
    """From 1 step on, fewer rows than a tile, also where simulation ends before all has arrived."""
    n_steps = steps + int(np.ceil(longest)) - cut
    current, weight, delays = problem(n_steps, n_from, n_to, longest)
    arrived = np.concatenate([current @ weight, np.zeros((3, steps + 20, n_from))], 1)
    whole, n = np.floor(delays).astype(int), np.arange(n_from)
    t = np.arange(steps)[:, None] + whole
    late = delays - whole
    expected = (1 - late) * arrived[:, t, n] + late * arrived[:, t + 1, n]
    np.testing.assert_allclose(gradient(current, weight, delays, steps), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_from", N)
@pytest.mark.parametrize("n_to", [1, 19])
@pytest.mark.parametrize("n_steps", [1, HEIGHT, 30])
def test_without_delays_it_is_the_product(n_from, n_to, n_steps):
    """Of every neuron and step, also where a panel is not full."""
    current, weight, _ = problem(n_steps, n_from, n_to, 0)
    np.testing.assert_allclose(undelayed(current, weight), current @ weight, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_to", [DEPTH - 1, DEPTH, 2 * DEPTH + 16])
def test_sums_are_fused_and_in_order(n_to):
    """float32: each sum is that of exact products, rounded once a product, first neuron first, DEPTH of them at a
    time; with a delay of 0 or without."""
    current, weight, delays = problem(4 * HEIGHT + 1, 2 * WIDTH, n_to, 0, np.float32)
    total = np.float32(0)
    for first in range(0, n_to, DEPTH):
        few = np.float32(0)
        for k in range(first, min(first + DEPTH, n_to)):
            few = (current[:, :, k, None].astype(np.float64) * weight[k] + few).astype(np.float32)
        total = total + few
    np.testing.assert_array_equal(gradient(current, weight, delays, current.shape[1]), total)
    np.testing.assert_array_equal(undelayed(current, weight), total)


def test_a_sample_has_the_same_bits_alone():
    """And in any number of steps: nothing depends on the tiles that a row falls into."""
    current, weight, delays = problem(40, 50, 30, 6.5, np.float32)
    together = gradient(current, weight, delays, 33)
    np.testing.assert_array_equal(gradient(current[1:2], weight, delays, 33)[0], together[1])
    np.testing.assert_array_equal(gradient(current, weight, delays, 21), together[:, :21])


def test_vectors_fit_tiles_and_words_of_flags():
    """Whole vectors fill a tile's row and a word of 64 flags: compiled code would write beyond them unnoticed."""
    assert WIDTH % LANES == 0 and 64 % LANES == 0


def test_tiles_as_plain_python():
    """What debuggers step through: the product of these rows alone, to these rows alone."""
    current, weight, _ = problem(HEIGHT + 4, WIDTH, 5, 0)
    for function, height in ((tile, HEIGHT), (row_tile, 1)):
        out = np.full((len(current[0]), WIDTH), np.nan)
        function(current[0], 2, weight, out)
        np.testing.assert_allclose(out[2 : 2 + height], current[0, 2 : 2 + height] @ weight)
        assert np.isnan(np.delete(out, range(2, 2 + height), axis=0)).all()


def test_tiles_of_different_types_are_refused():
    """Weights of another type than the current would be read as wrong numbers: that does not compile."""
    current, weight, delays = problem(8, 5, 3, 0)
    with pytest.raises(TypingError, match="arrays of one type"):
        gradient(current.astype(np.float32), weight, delays, 8)


def test_without_shares_whole_steps_are_moved():
    """Where delays are rounded down, what arrives is brought back as it is."""
    current, weight, delays = problem(12, 5, 3, 4.5)
    t = np.arange(7)[:, None] + np.floor(delays).astype(int)
    found = gradient(current, weight, delays, 7, np.zeros(5))
    np.testing.assert_allclose(found, (current @ weight)[:, t, np.arange(5)], rtol=0, atol=1e-12)
    assert not np.allclose(found, gradient(current, weight, delays, 7))
