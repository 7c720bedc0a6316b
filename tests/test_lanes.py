"""Vectors in compiled loops do to each lane what numpy does to one number."""

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError

from lib.kernels.lanes import LANES, aligned, flags, floor, padded, put, spread, take, where, zeros

TYPES = pytest.mark.parametrize("number", [np.float32, np.float64])


def operations(left, right, scale, out):
    """Each operation on the second vector of row 1, one row of `out` each."""
    m = LANES
    a, b = take(left, (1, m)), take(right, (1, m))
    put(out, (0, m), a + b)
    put(out, (1, m), a - scale)
    put(out, (2, m), scale * b)
    put(out, (3, m), a / b)
    put(out, (4, m), abs(a))
    put(out, (5, m), floor(a))
    put(out, (6, m), where(a >= b, a, 0))
    put(out, (7, m), spread(scale))
    put(out, (8, m), 1 / (1 + scale * abs(b)))
    put(out[9], m, take(left[0], m))
    return flags(a >= b)


def numbers(number, seed=0):
    return (3 * np.random.default_rng(seed).standard_normal((2, 3 * LANES))).astype(number)


@TYPES
def test_compiled_vectors_equal_numpy(number):
    """Every operation, to the last bit, compiled and as plain Python; around a vector nothing is written."""
    left, right, scale = numbers(number), numbers(number, 1), number(0.3)
    lanes = slice(LANES, 2 * LANES)
    a, b = left[1, lanes], right[1, lanes]
    steep = (1 / (1 + scale * abs(b))).astype(number)
    expected = [a + b, a - scale, scale * b, a / b, abs(a), np.floor(a), np.where(a >= b, a, 0)]
    expected += [np.full(LANES, scale), steep, left[0, lanes]]
    for function in (operations, numba.njit(operations)):
        out = np.full((10, 3 * LANES), np.nan, number)
        bits = function(left, right, scale, out)
        np.testing.assert_array_equal(out[:, lanes], expected)
        assert np.isnan(np.delete(out, range(LANES, 2 * LANES), axis=1)).all()
        assert [bool(int(bits) >> lane & 1) for lane in range(LANES)] == (a >= b).tolist()
        assert int(bits) >> LANES == 0


@TYPES
def test_vectors_and_conditions_are_carried_through_loops(number):
    """A sum and the last condition on it, which live from one turn of a loop to the next."""

    def cumulate(rows, limit, out):
        total, reached = spread(limit), spread(limit) >= limit
        for t in range(len(rows)):
            total = total + take(rows, (t, 0))
            reached = total >= limit
        put(out, 0, total)
        return flags(reached)

    rows, limit = numbers(number)[:, :LANES].copy(), number(0.5)
    total = limit + rows[0] + rows[1]
    for function in (cumulate, numba.njit(cumulate)):
        out = np.zeros(LANES, number)
        bits = function(rows, limit, out)
        np.testing.assert_array_equal(out, total)
        assert [bool(int(bits) >> lane & 1) for lane in range(LANES)] == (total >= limit).tolist()


def test_past_the_end_of_a_row_there_is_no_vector():
    """In plain Python; compiled code does not look, as everywhere in numba."""
    with pytest.raises(ValueError, match="reshape"):
        take(np.zeros((2, LANES + 1)), (0, 2))


@TYPES
def test_integers_are_truncated_and_read_as_numbers(number):
    """What is put into an array of int16, and read from it again."""

    def through(values, whole, back):
        put(whole, 0, take(values, 0))
        put(back, 0, values[0] * take(whole, 0))

    for function in (through, numba.njit(through)):
        values, whole, back = numbers(number)[0, :LANES], np.zeros(LANES, np.int16), np.zeros(LANES, number)
        values[0] = 2
        function(values, whole, back)
        np.testing.assert_array_equal(whole, np.trunc(values))
        np.testing.assert_array_equal(back, 2 * np.trunc(values))


@pytest.mark.parametrize("function", [lambda array: put(array, (0, 0), 1.0), lambda array: abs(take(array, (0, 0)))])
def test_arrays_that_are_not_contiguous_by_rows_are_refused(function):
    """Of a transposed array a vector would be of wrong numbers: that does not compile."""
    with pytest.raises(TypingError, match="contiguous by rows"):
        numba.njit(function)(np.zeros((LANES, LANES)).T)


@TYPES
def test_aligned_arrays_begin_with_a_line_of_the_cache(number):
    """64 bytes on the processors of today, whatever was allocated before."""
    for size in range(1, 40):
        for make in (aligned, zeros):
            array = make((size, LANES), number)
            assert array.ctypes.data % 64 == 0
            assert array.shape == (size, LANES) and array.dtype == number and array.flags.c_contiguous


def test_a_place_names_every_axis():
    """A single index into a matrix would read from a row, not from a neuron: that does not compile."""
    with pytest.raises(TypingError, match="one index for each axis"):
        numba.njit(lambda array: put(array, 0, 1.0))(np.zeros((LANES, LANES)))


@pytest.mark.parametrize("n", [1, LANES - 1, LANES, LANES + 1])
def test_padding_is_zeros_behind_each_row(n):
    """Up to whole vectors; whole vectors are not copied; the result is contiguous by rows."""
    array = np.arange(6.0 * n).reshape(2, 3, n)
    wide = padded(array)
    assert wide.shape == (2, 3, -(-n // LANES) * LANES) and wide.flags.c_contiguous
    assert np.shares_memory(wide, array) == (n == LANES)
    np.testing.assert_array_equal(wide[..., :n], array)
    assert not wide[..., n:].any()
    assert padded(array.T).flags.c_contiguous
