"""The event-time layer: compiled scan, specification, dense simulation, closed form and hand calculation agree."""

import numpy as np
import pytest
import torch

from lib import surrogate
from lib.kernels import event_time, event_time_naive, naive

SLOPE = 5.0
SHAPES = [  # events of each sample, presynaptic units, neurons
    ([0], 2, 3),
    ([1], 1, 1),
    ([0, 1, 0, 2, 0], 3, 3),
    ([40], 5, 1),
    ([30, 0, 17, 1], 4, 3),
    ([25, 60], 20, 100),
]
TIMES = ["continuous", "on a coarse grid", "nearly on it", "all at once"]


def trains(events, n_units, kind="continuous", seed=0):
    """Random times (ms), units and offsets; on a coarse grid, and within rounding of it, many are simultaneous."""
    rng = np.random.default_rng(seed)
    times = rng.uniform(0, 200, sum(events))
    grid = times // 10 * 10
    near = grid + rng.uniform(0, 4e-7, len(grid))
    times = {"continuous": times, "on a coarse grid": grid, "nearly on it": near, "all at once": 0 * times + 7}[kind]
    return times, rng.integers(0, n_units, sum(events)).astype(np.uint16), np.cumsum([0, *events])


def parameters(n_units, neurons, delays="continuous", dtype=torch.float64, seed=1):
    """Weights, log tau, delays: potentials pass 1 now and then, also 2."""
    rng = np.random.default_rng(seed)
    delay = {"none": np.zeros(n_units), "continuous": rng.uniform(0, 50, n_units), "whole": np.arange(n_units) * 2.0}
    values = rng.normal(0.3, 0.4, (neurons, n_units)), np.log(rng.uniform(5, 80, neurons)), delay[delays]
    return [torch.from_numpy(x).to(dtype).requires_grad_() for x in values]


def gradients(engine, data, leaves, upstream):
    counts = engine.spike_counts(*data, *leaves, SLOPE)
    everything = (counts * upstream).sum() + 0 * sum(leaf.sum() for leaf in leaves)  # zeros for what is not used
    return counts, *torch.autograd.grad(everything, leaves)


def fixed_upstream(counts_shape, dtype=torch.float64):
    return torch.randn(counts_shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(dtype)


def assert_close(one, other, tolerance):
    assert one.shape == other.shape
    assert (one - other).abs().max() <= tolerance * max(other.abs().max(), 1e-300) if other.numel() else True


@pytest.mark.parametrize("events, n_units, neurons", SHAPES)
@pytest.mark.parametrize("kind", TIMES)
@pytest.mark.parametrize("delays", ["none", "continuous", "whole"])
def test_compiled_equals_the_specification(events, n_units, neurons, kind, delays):
    """float64: the same spikes at the same times, gradients of weights, log tau and delays within 1e-10."""
    data, leaves = trains(events, n_units, kind), parameters(n_units, neurons, delays)
    upstream = fixed_upstream((len(events), neurons))
    fast, slow = (gradients(engine, data, leaves, upstream) for engine in (event_time, event_time_naive))
    assert torch.equal(fast[0], slow[0])
    for one, other in zip(fast[1:], slow[1:], strict=True):
        assert_close(one, other, 1e-10)
    sample, time, neuron = event_time.spike_times(*data, *leaves)
    for b in range(len(events)):
        span = slice(data[2][b], data[2][b + 1])
        moments, spikes = event_time_naive.simulate(data[0][span], data[1][span], *leaves, SLOPE)
        at, who = np.nonzero(spikes.detach().numpy())
        assert (neuron[sample == b] == who).all()
        np.testing.assert_allclose(time[sample == b], moments.detach().numpy()[at], rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("engine", [event_time, event_time_naive])
def test_networks_on_a_leading_axis_equal_single_ones(engine, dtype):
    """Three networks, two samples each, one of them empty: counts and gradients have the bits of each alone."""
    events, neurons = ([7, 20], [0, 31], [12, 5]), 9
    data = [trains(one, 4, seed=seed) for seed, one in enumerate(events)]
    leaves = [parameters(4, neurons, dtype=dtype, seed=seed) for seed in (4, 5, 6)]
    upstream = fixed_upstream((3, 2, neurons), dtype)
    alone = [gradients(engine, *one) for one in zip(data, leaves, upstream, strict=True)]
    times, units = (np.concatenate([one[i] for one in data]) for i in (0, 1))
    together = [torch.stack(values).detach().requires_grad_() for values in zip(*leaves, strict=True)]
    offsets = np.cumsum([0, *(n for one in events for n in one)])
    found = gradients(engine, (times, units, offsets), together, upstream)
    for each, joined in zip(zip(*alone, strict=True), found, strict=True):
        assert torch.equal(torch.stack(each), joined) and joined.abs().sum() > 0


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_dense_simulation_on_whole_milliseconds(seed):
    """Times and delays on whole ms: spike for spike a simulation in bins of 1 ms, while no potential reaches 2."""
    rng = np.random.default_rng(seed)
    n_units, neurons, bins = 10, 30, 300
    times, units, offsets = trains([40, 25], n_units, seed=seed)
    times = np.floor(times)
    weight = torch.from_numpy(rng.uniform(-0.2, 0.45, (neurons, n_units)))
    log_tau = torch.from_numpy(np.log(rng.uniform(5, 80, neurons)))
    delays = torch.from_numpy(rng.integers(0, 60, n_units) * 1.0)
    dense = torch.zeros(2, 200, n_units, dtype=torch.float64)
    sample = np.repeat([0, 1], [40, 25])
    np.add.at(dense.numpy(), (sample, times.astype(int), units), 1)
    current = naive.delay_spikes(dense, delays, bins) @ weight.T
    potential, decay, expected = torch.zeros(2, neurons).double(), torch.exp(-1 / log_tau.exp()), []
    for t in range(bins):
        potential = decay * potential + current[:, t]
        assert potential.max() < 2
        spiked = potential >= 1
        expected += [(b, float(t), n) for b, n in spiked.nonzero().tolist()]
        potential = potential - spiked.double()
    found = event_time.spike_times(times, units, offsets, weight, log_tau, delays)
    assert len(expected) > 50
    assert sorted(expected) == [(b, round(t, 6), n) for b, t, n in zip(*(x.tolist() for x in found), strict=True)]


@pytest.mark.parametrize("engine", [event_time, event_time_naive])
def test_golden_trace(engine):
    """One neuron by hand, tau 10 ms: decay over 10 ms is 1/e; at threshold it spikes; the reset subtracts 1."""
    # potential: .6 | .6 / e + .8 = 1.021, left .021 | .021 / e + .5 + .5 (simultaneous) = 1.008, left .008 |
    #            .008 / e + 2.5 = 2.503, left 1.503 | 1.503 / e - .2 = .353
    times = np.array([0.0, 10, 20, 20, 30, 40])
    units = np.array([0, 1, 2, 2, 3, 4])
    weight = torch.tensor([[0.6, 0.8, 0.5, 2.5, -0.2]]).double()
    log_tau, delays = torch.tensor([10.0]).double().log(), torch.zeros(5).double()
    for n_events, spikes in ((1, 0), (2, 1), (3, 1), (4, 2), (5, 3), (6, 3)):
        offsets = np.array([0, n_events])
        counts = engine.spike_counts(times[:n_events], units[:n_events], offsets, weight, log_tau, delays, SLOPE)
        assert counts.tolist() == [[spikes]], n_events
    exactly = torch.ones(1, 5).double()
    assert engine.spike_counts(times[:1], units[:1], np.array([0, 1]), exactly, log_tau, delays, SLOPE).item() == 1


def smoothed(data, values, recorded, upstream):
    """sum(upstream * counts) in closed form, each spike's step replaced by its smooth primitive, resets as recorded.

    Potential of neuron n at arrival a: sum_e w_ne exp(-(a - a_e) / tau_n) - sum_s exp(-(a - a_s) / tau_n), over the
    events e up to a and the neuron's earlier spikes s; a spike is tied to the event that caused it, wherever it moves.
    """
    times, units, offsets = data
    weight, log_tau, delays = values
    tau, total = np.exp(log_tau), 0.0
    for b in range(len(offsets) - 1):
        span = slice(offsets[b], offsets[b + 1])
        order = np.argsort(times[span] + recorded[0][units[span]])
        arrival = (times[span] + delays[units[span]])[order]
        kernel = np.exp(-(arrival[:, None] - arrival[None])[..., None] / tau)  # (later, earlier, neuron)
        kernel *= np.tri(len(arrival))[..., None]
        spikes = recorded[1][b].astype(float)  # (events, neurons)
        own = weight[:, units[span][order]].T  # (events, neurons)
        potential = np.einsum("kjn,jn->kn", kernel, own - spikes) + spikes
        smooth = surrogate.primitive(torch.from_numpy(potential - 1), SLOPE).numpy()
        total += (upstream[b] * smooth.sum(0)).sum()
    return total


@pytest.mark.parametrize("events, n_units, neurons", [([12, 0, 20], 4, 3), ([30], 6, 1), ([15, 9], 8, 40)])
def test_gradient_is_that_of_the_smoothed_layer(events, n_units, neurons):
    """Dot product with random directions in (weights, log tau, delays): the adjoint gives the closed form's slope."""
    data, leaves = trains(events, n_units), parameters(n_units, neurons)
    upstream = fixed_upstream((len(events), neurons)).numpy()
    _, *adjoint = gradients(event_time, data, leaves, torch.from_numpy(upstream))
    values = [x.detach().numpy() for x in leaves]
    sample, time, neuron = event_time.spike_times(*data, *leaves)
    spikes = []
    for b in range(len(events)):
        span = slice(data[2][b], data[2][b + 1])
        arrivals = np.sort(data[0][span] + values[2][data[1][span]])
        raster = np.zeros((len(arrivals), neurons))
        raster[np.searchsorted(arrivals, time[sample == b] - 1e-6), neuron[sample == b]] = 1
        spikes.append(raster)
    assert sum(raster.sum() for raster in spikes) >= 5
    rng = np.random.default_rng(4)
    for moved in ((0,), (1,), (2,), (0, 1, 2)):
        direction = [rng.normal(size=x.shape) * (i in moved) for i, x in enumerate(values)]
        moved_by = ([x + h * d for x, d in zip(values, direction, strict=True)] for h in (1e-6, -1e-6))
        up, down = (smoothed(data, at, (values[2], spikes), upstream) for at in moved_by)
        product = sum((d * g.numpy()).sum() for d, g in zip(direction, adjoint, strict=True))
        assert product == pytest.approx((up - down) / 2e-6, rel=1e-6, abs=1e-7)


def test_a_delay_may_move_an_event_past_another():
    """Only the order of arrivals counts: a small excitation before or after a spike decides about a second one."""
    weight = torch.tensor([[1.0, 0.9]]).double()
    log_tau = torch.tensor([1000.0]).double().log()
    data = np.array([0.0, 5.0]), np.array([0, 1]), np.array([0, 2])
    early = event_time.spike_times(*data, weight, log_tau, torch.tensor([0.0, 0.0]).double())
    late = event_time.spike_times(*data, weight, log_tau, torch.tensor([8.0, 0.0]).double())
    assert early[1].tolist() == [0] and late[1].tolist() == [8]
    for delays in ([0.0, 0.0], [8.0, 0.0], [4.999, 0.0], [5.001, 0.0], [5.0, 0.0]):
        leaves = [x.clone().requires_grad_() for x in (weight, log_tau, torch.tensor(delays).double())]
        fast, slow = (gradients(e, data, leaves, torch.ones(1, 1).double()) for e in (event_time, event_time_naive))
        for one, other in zip(fast, slow, strict=True):
            assert_close(one, other, 1e-10)


def test_the_gradient_of_a_delay_pulls_coincidences_together():
    """Two events 8 ms apart just miss threshold together: more delay for the first, less for the second."""
    weight, log_tau = torch.full((1, 2), 0.6).double(), torch.tensor([10.0]).double().log()
    delays = torch.tensor([20.0, 20.0]).double().requires_grad_()
    data = np.array([0.0, 8.0]), np.array([0, 1]), np.array([0, 2])
    event_time.spike_counts(*data, weight, log_tau, delays, SLOPE).sum().backward()
    assert delays.grad[0] > 0 and delays.grad[1] == -delays.grad[0]


def test_samples_do_not_touch_each_other():
    """A batch gives what its samples give alone, whatever the order of their events in memory and their start."""
    data, leaves = trains([20, 0, 13], 5), parameters(5, 7)
    together = event_time.spike_counts(*data, *leaves, SLOPE)
    order = np.random.default_rng(5).permutation(20)
    alone = data[0][:20][order] + 1234.5, data[1][:20][order], np.array([0, 20])
    assert torch.equal(together[:1], event_time.spike_counts(*alone, *leaves, SLOPE))
    assert (together[1] == 0).all()


def test_float32_agrees_with_float64():
    """float32, no potential within 1e-6 of threshold: the same spikes; gradients within 1e-5 (relative RMS)."""
    data, upstream = trains([60] * 8, 20), fixed_upstream((8, 100))
    low = [x.detach().float().requires_grad_() for x in parameters(20, 100)]
    high = [x.detach().double().requires_grad_() for x in low]
    single, double = (event_time.spike_times(*data, *leaves) for leaves in (low, high))
    assert len(double[0]) > 1000
    for one, other in zip(single, double, strict=True):
        assert (one == other).all()
    low, high = gradients(event_time, data, low, upstream.float()), gradients(event_time, data, high, upstream)
    for one, other in zip(low[1:], high[1:], strict=True):
        assert one.dtype == torch.float32
        assert (one.double() - other).pow(2).mean().sqrt() <= 1e-5 * other.pow(2).mean().sqrt()


def test_the_cost_does_not_depend_on_the_duration():
    """A thousand times the duration: the same moments, not more of them, and gradients still finite."""
    times, units, offsets = trains([30, 30], 4)
    leaves = parameters(4, 3, "none")
    for scale in (1, 1000):
        assert len(event_time._arrive(times * scale, units, offsets, np.zeros((1, 4)))[3]) == 60
        _, *grads = gradients(event_time, (times * scale, units, offsets), leaves, torch.ones(2, 3).double())
        assert all(torch.isfinite(g).all() for g in grads)
