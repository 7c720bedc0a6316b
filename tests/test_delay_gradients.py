"""Gradients of weights and delays, from the sums of the chunks of a batch, equal the plain expressions, to the bit."""

import numpy as np
import pytest

from lib.kernels.delays import gradients
from lib.kernels.lanes import LANES, padded


@pytest.mark.parametrize("number", [np.float32, np.float64])
@pytest.mark.parametrize("chunks", [1, 2, 5])
@pytest.mark.parametrize("n", [1, 7, 8, 9, LANES - 1, LANES, LANES + 8, 36, 127, 128])
@pytest.mark.parametrize("shares", [True, False])
def test_gradients_are_the_plain_sums(number, chunks, n, shares):
    """Chunks in order; of delays, the sum over postsynaptic neurons is numpy's; padding counts nothing."""
    rng, n_from = np.random.default_rng(n), 7
    now, later = padded(rng.standard_normal((2, chunks, n_from, n)).astype(number))
    rows, late = padded(rng.standard_normal((n_from, n)).astype(number)), rng.random(n_from * shares).astype(number)
    later[..., n:] = np.nan  # padding
    first, second = now[0].copy(), later[0].copy()
    for chunk in range(1, chunks):
        first, second = first + now[chunk], second + later[chunk]
    found = np.full(n_from, np.nan, number)
    gradients(now, later, rows, late, n, found)
    np.testing.assert_array_equal(found, ((second - first) * rows)[:, :n].sum(1))
    np.testing.assert_array_equal(now[0], first + (second - first) * late[:, None] if shares else first)
