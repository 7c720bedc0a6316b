"""Neurons against other simulators: Brian 2 (exact integration), snnTorch and Norse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drive import N_NEURONS, N_STEPS, current, decays, our_spikes

from lib.kernels import cpu, naive
from lib.neurons import LIF, SRM

WHY = "not installed beside the project: ./run_all.sh test --slow"
BOTH = pytest.mark.parametrize("kernel", [naive, cpu])


@pytest.fixture(scope="module")
def brian2():
    """Brian 2, without a compiler."""
    brian2 = pytest.importorskip("brian2", reason=f"brian2 is {WHY}")
    brian2.prefs.codegen.target = "numpy"
    brian2.defaultclock.dt = 1 * brian2.ms
    return brian2


def run_brian(brian2, equations: str, on_input: str, drive: np.ndarray, threshold: str, reset: str, **constants):
    """Spikes (N_STEPS, N_NEURONS) and the monitored potential of neurons that a drive reaches before each threshold."""
    brian2.start_scope()
    values = brian2.TimedArray(drive, dt=1 * brian2.ms)
    namespace = {"drive": values, "ms": brian2.ms} | constants
    group = brian2.NeuronGroup(
        drive.shape[1], equations, threshold=threshold, reset=reset, method="exact", namespace=namespace
    )
    group.run_regularly(on_input, dt=1 * brian2.ms, when="before_thresholds")
    return group, brian2.SpikeMonitor(group)


def spikes_of(brian2, monitor) -> np.ndarray:
    """0 or 1, (N_STEPS, N_NEURONS)."""
    out = np.zeros((N_STEPS, N_NEURONS))
    out[np.rint(monitor.t / brian2.ms).astype(int), np.asarray(monitor.i)] = 1
    return out


@BOTH
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_lif_is_brian_s_exact_integration(brian2, kernel, reset):
    """dv/dt = -v / tau, integrated exactly, with jumps by the input: the same spikes, 30 neurons, 200 steps."""
    drive, decay = current(0, 0.4, 0.5), decays(0)
    group, monitor = run_brian(
        brian2,
        "dv/dt = -v / tau : 1\ntau : second",
        "v += drive(t, i)",
        drive,
        "v >= 1",
        {"zero": "v = 0", "subtract": "v -= 1"}[reset],
    )
    group.tau = -1 / np.log(decay) * brian2.ms
    brian2.Network(group, monitor).run(N_STEPS * brian2.ms)
    theirs = spikes_of(brian2, monitor)
    assert 300 < theirs.sum() < 5000
    np.testing.assert_array_equal(our_spikes(drive, LIF(reset=reset), decay, kernel), theirs)


@BOTH
def test_srm_is_brian_s_alpha_function(brian2, kernel):
    """Alpha-shaped potentials and refractoriness, integrated exactly. Our kernels end where they fall below 0.01, so
    spikes are compared of neurons whose potential, by Brian, never comes closer to threshold than the ends can reach."""
    neuron = SRM(tau=2.0, tau_refractory=3.0, threshold=1.0, refractory_scale=2.0)
    drive = current(1, 0.3, 0.3)
    equations = """du/dt = (g - u) / tau : 1
        dg/dt = -g / tau : 1
        dr/dt = (h - r) / tau_r : 1
        dh/dt = -h / tau_r : 1"""
    constants = {"tau": 2 * brian2.ms, "tau_r": 3 * brian2.ms, "e": np.e}
    group, monitor = run_brian(
        brian2, equations, "g += e * drive(t, i)", drive, "u + r >= 1", "h -= 2 * e", **constants
    )
    state = brian2.StateMonitor(group, ("u", "r"), record=True, when="before_resets")
    brian2.Network(group, monitor, state).run(N_STEPS * brian2.ms)
    theirs, margin = spikes_of(brian2, monitor), np.abs(np.asarray(state.u + state.r) - 1).min(axis=1)
    sure = margin > 0.01
    assert sure.sum() >= N_NEURONS // 3 and theirs[:, sure].sum() > 50
    np.testing.assert_array_equal(our_spikes(drive, neuron, None, kernel)[:, sure], theirs[:, sure])


@BOTH
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_lif_is_snntorch_s(kernel, reset):
    """snnTorch's `Leaky`, whose reset is without delay, as long as no potential reaches two thresholds (it would be reset
    twice): the same spikes. Subtraction with delay, its default, takes a whole threshold where ours has decayed."""
    snntorch = pytest.importorskip("snntorch", reason=f"snntorch is {WHY}")
    drive, decay = current(2, 0.3, 0.2), float(decays(2)[0])

    def theirs(reset_delay: bool) -> np.ndarray:
        layer = snntorch.Leaky(beta=decay, threshold=1.0, reset_mechanism=reset, reset_delay=reset_delay)
        potential, out = torch.zeros(N_NEURONS, dtype=torch.float64), []
        for now in torch.from_numpy(drive):
            spiked, potential = layer(now, potential)
            out.append(spiked)
        return torch.stack(out).detach().numpy()

    ours = our_spikes(drive, LIF(reset=reset), np.full(N_NEURONS, decay), kernel)
    assert ours.sum() > 300
    np.testing.assert_array_equal(ours, theirs(False))
    assert (ours != theirs(True)).any() == (reset == "subtract")


@BOTH
def test_lif_with_a_synapse_is_norse_s(kernel):
    """Norse's current-based LIF: its membrane takes dt / tau of the current, and its decays are
    1 - dt / tau; that said, the same spikes."""
    pytest.importorskip("norse", reason=f"norse is {WHY}")
    from norse.torch.functional.lif import LIFFeedForwardState, LIFParameters, lif_feed_forward_step

    drive, membrane, synapse, dt = current(3, 2.5, 3.0), 0.12, 0.3, 1.0
    as_tensor = lambda x: torch.tensor(x, dtype=torch.float64)  # noqa: E731
    parameters = LIFParameters(
        tau_syn_inv=as_tensor(synapse), tau_mem_inv=as_tensor(membrane), v_leak=as_tensor(0.0), v_th=as_tensor(1.0),
        v_reset=as_tensor(0.0),
    )  # fmt: skip
    zeros = torch.zeros(N_NEURONS, dtype=torch.float64)
    state, out = LIFFeedForwardState(v=zeros, i=zeros), []
    for now in torch.from_numpy(drive):
        spiked, state = lif_feed_forward_step(now, state, parameters, dt)
        out.append(spiked)
    theirs = torch.stack(out).numpy()
    neuron = LIF(synaptic_decay=1 - dt * synapse)
    ours = our_spikes(drive * membrane * dt, neuron, np.full(N_NEURONS, 1 - dt * membrane), kernel)
    assert theirs.sum() > 300
    np.testing.assert_array_equal(ours, theirs)
