"""Delays against DCLS: a depthwise convolution with one learnable spacing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.kernels import naive

LONGEST, N_STEPS, N_NEURONS = 12, 40, 9


def test_interpolated_delays_are_dcls_s():
    """The same delayed spikes and the same gradients of the delays, for delays between bins (on a whole one the
    derivative is not unique)."""
    modules = pytest.importorskip(
        "DCLS.construct.modules", reason="DCLS is not installed beside the project: ./run_all.sh test --slow"
    )
    rng = np.random.default_rng(0)
    spikes = torch.from_numpy((rng.random((3, N_STEPS, N_NEURONS)) < 0.3).astype(np.float64))
    start = torch.from_numpy(rng.uniform(0.05, LONGEST - 0.05, N_NEURONS))
    upstream = torch.from_numpy(rng.standard_normal((3, N_STEPS + LONGEST, N_NEURONS)))

    ours = start.clone().requires_grad_()
    delayed = naive.delay_spikes(spikes, ours, N_STEPS + LONGEST)
    (delayed * upstream).sum().backward()

    taps = LONGEST + 1  # the last tap is "no delay"
    layer = modules.Dcls1d(
        N_NEURONS, N_NEURONS, 1, groups=N_NEURONS, dilated_kernel_size=taps, bias=False, version="v1"
    ).double()
    with torch.no_grad():
        layer.weight.fill_(1)
        layer.P.copy_((LONGEST - start).view(layer.P.shape) - taps // 2)
    theirs = layer(torch.nn.functional.pad(spikes.permute(0, 2, 1), (LONGEST, LONGEST))).permute(0, 2, 1)
    (theirs * upstream).sum().backward()

    assert spikes.sum() > 100
    torch.testing.assert_close(delayed, theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.grad, -layer.P.grad.flatten(), rtol=1e-5, atol=1e-5)
