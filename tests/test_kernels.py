"""Fast kernels equal the specification; the specification equals hand calculation and finite differences."""

import numpy as np
import pytest
import torch

from lib import kernels, surrogate
from lib.errors import InputError
from lib.kernels import cpu, naive

SHAPES = [(1, 1, 1), (1, 63, 3), (2, 1, 17), (3, 40, 129), (5, 17, 1)]


def spikes_of(shape, rate, seed=0, dtype=torch.float64):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).to(dtype)


def gradients(function, *inputs):
    """Output and gradients of a fixed random projection of it."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(9), dtype=out.dtype)
    return (out, *torch.autograd.grad((out * weights).sum(), leaves))


def assert_equal_up_to(one, other, tolerance):
    scale = other.abs().max().item() or 1.0
    assert (one - other).abs().max().item() <= tolerance * scale


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("decay", [0.0, 0.8, 0.99])
def test_lif_equals_the_specification(shape, rate, decay):
    """float64: identical spikes, gradients within 1e-10; empty, sparse and full input."""
    current = spikes_of(shape, rate) * 1.3 - 0.2 * spikes_of(shape, 0.3, seed=1)
    fast, slow = (gradients(lambda x, k=k: k.lif(x, decay), current) for k in (cpu, naive))
    assert (fast[0] == slow[0]).all()
    assert_equal_up_to(fast[1], slow[1], 1e-10)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("longest", [0.0, 3.0, 12.7])
@pytest.mark.parametrize("extra", [0, 5, 14])
def test_synapse_equals_the_specification(shape, rate, longest, extra):
    """float64: current and all three gradients within 1e-12, delays from 0 to the maximum, with and without loss."""
    spikes = spikes_of(shape, rate)
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(6, shape[2], generator=generator, dtype=torch.float64)
    delays = longest * torch.rand(shape[2], generator=generator, dtype=torch.float64)
    n_steps = shape[1] + extra
    fast, slow = (gradients(lambda s, w, d, k=k: k.synapse(s, w, d, n_steps), spikes, weight, delays) for k in (cpu, naive))
    for one, other in zip(fast, slow, strict=True):
        assert_equal_up_to(one, other, 1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_synapse_without_delays_equals_the_specification(shape):
    """Without delays it is a matrix product, with its gradients."""
    weight = torch.randn(6, shape[2], generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    fast, slow = (gradients(lambda s, w, k=k: k.synapse(s, w), spikes_of(shape, 0.2), weight) for k in (cpu, naive))
    for one, other in zip(fast, slow, strict=True):
        assert_equal_up_to(one, other, 1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_leaky_integrator_equals_the_specification(shape):
    """float64: potential and gradient within 1e-12."""
    current = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    fast, slow = (gradients(lambda x, k=k: k.leaky_integrator(x, 0.9), current) for k in (cpu, naive))
    for one, other in zip(fast, slow, strict=True):
        assert_equal_up_to(one, other, 1e-12)


def test_float32_agrees_away_from_threshold():
    """float32: the same spikes wherever the potential is not within 1e-4 of threshold; gradients within 1e-5."""
    current = torch.randn(4, 80, 33, generator=torch.Generator().manual_seed(4)) * 0.5
    fast, slow = (gradients(lambda x, k=k: k.lif(x, 0.8), current) for k in (cpu, naive))
    assert (fast[0] == slow[0]).float().mean() >= 0.999
    if (fast[0] == slow[0]).all():
        assert_equal_up_to(fast[1], slow[1], 1e-5)


@pytest.mark.parametrize("kernel", [naive, cpu])
def test_golden_trace(kernel):
    """One neuron by hand: decay 0.5, reset to zero after reaching 1 (exactly at threshold spikes)."""
    current = torch.tensor([0.6, 0.6, 0.2, 0.9, 1.0, 0.0, -1.0, 1.6, 0.5]).double()[None, :, None]
    #        v:             0.6, 0.9, .65, 1.225| 1.0| 0.0, -1.0, 1.1| 0.5
    assert kernel.lif(current, 0.5).flatten().tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 0]
    potential = kernel.leaky_integrator(current, 0.5).flatten()[:4]
    np.testing.assert_allclose(potential, [0.6, 0.9, 0.65, 1.225])


@pytest.mark.parametrize("kernel", [naive, cpu])
def test_interspike_interval_at_constant_current(kernel):
    """A LIF at constant current I spikes every k bins, k the first with I (1 - a^k) / (1 - a) >= 1."""
    decay, current = 0.9, 0.2
    expected = next(k for k in range(1, 99) if current * (1 - decay**k) / (1 - decay) >= 1)
    times = np.flatnonzero(kernel.lif(torch.full((1, 100, 1), current, dtype=torch.float64), decay).flatten())
    assert times[0] == expected - 1 and (np.diff(times) == expected).all()


@pytest.mark.parametrize("kernel", [naive, cpu])
def test_whole_delays_shift_and_fractions_mix(kernel):
    """Delay 2 shifts by two bins and fills with zeros; 1.25 is 3/4 at one bin and 1/4 at two; nothing wraps round."""
    spikes = torch.tensor([1.0, 0, 0, 1]).double()[None, :, None].expand(1, 4, 2).contiguous()
    one_to_one = torch.eye(2, dtype=torch.float64)
    out = kernel.synapse(spikes, one_to_one, torch.tensor([2.0, 1.25]).double(), 6)
    assert out[0, :, 0].tolist() == [0, 0, 1, 0, 0, 1]
    assert out[0, :, 1].tolist() == [0, 0.75, 0.25, 0, 0.75, 0.25]
    assert kernel.synapse(spikes, one_to_one, torch.tensor([2.0, 2.0]).double(), 4)[0, :, 0].tolist() == [0, 0, 1, 0]


def test_delay_gradient_is_the_finite_difference():
    """Away from whole delays, the gradient in the delay is the slope of the current (gradcheck, float64)."""
    weight = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(7)).requires_grad_()
    delays = torch.tensor([0.3, 1.6, 2.5, 4.1], dtype=torch.float64, requires_grad=True)
    spikes = spikes_of((2, 9, 4), 0.4).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, w, d: naive.synapse(s, w, d, 11), (spikes, weight, delays))
    fixed = spikes.detach()  # the fast kernel takes a 0 for silence, which a finite difference would disturb
    assert torch.autograd.gradcheck(lambda w, d: cpu.synapse(fixed, w, d, 11), (weight, delays))


def test_leaky_integrator_passes_gradcheck():
    """Analytic gradient equals finite differences."""
    current = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: cpu.leaky_integrator(x, 0.7), (current,))


@pytest.mark.parametrize("kernel", [naive, cpu])
def test_lif_gradient_is_that_of_the_smoothed_neuron(kernel):
    """Below threshold, dL/dI of sum(g s) is the finite difference with each step replaced by its smooth primitive."""
    decay, slope = 0.8, 10.0
    current = 0.15 * torch.rand(1, 12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    weights = torch.randn(1, 12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(6))

    def smoothed(x):
        potential = naive.leaky_integrator(x, decay)  # nothing spikes, so nothing is reset
        return (surrogate.primitive(potential - 1, slope) * weights).sum()

    leaf = current.clone().requires_grad_()
    spikes = kernel.lif(leaf, decay, slope)
    assert spikes.sum() == 0
    (gradient,) = torch.autograd.grad((spikes * weights).sum(), leaf)
    for index in np.ndindex(1, 12, 2):
        step = torch.zeros_like(current)
        step[index] = 1e-6
        difference = (smoothed(current + step) - smoothed(current - step)) / 2e-6
        assert gradient[index].item() == pytest.approx(difference.item(), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("kernel", [naive, cpu])
def test_no_gradient_through_the_reset(kernel):
    """After a spike the past is forgotten: current before it has no influence on later potentials."""
    leaf = torch.tensor([0.5, 0.7, 0.3]).double()[None, :, None].requires_grad_()  # spikes in bin 1
    spikes = kernel.lif(leaf, 0.9)
    assert spikes.flatten().tolist() == [0, 1, 0]
    (gradient,) = torch.autograd.grad(spikes[0, 2, 0], leaf)
    assert gradient.flatten()[:2].tolist() == [0, 0] and gradient.flatten()[2] > 0


def test_surrogate_is_the_derivative_of_its_primitive():
    """Finite differences of the primitive; 1 at threshold; symmetric; finite and positive on +-100."""
    x = torch.linspace(-100, 100, 4001, dtype=torch.float64) + 1e-3
    difference = (surrogate.primitive(x + 1e-6) - surrogate.primitive(x - 1e-6)) / 2e-6
    assert torch.allclose(surrogate.derivative(x), difference, rtol=1e-4, atol=1e-9)
    assert surrogate.derivative(torch.zeros(1)).item() == 1
    assert torch.equal(surrogate.derivative(x), surrogate.derivative(-x))
    assert (surrogate.derivative(x) > 0).all() and torch.isfinite(surrogate.derivative(x)).all()


def test_backends_are_chosen_by_name_and_device():
    """auto is cpu kernels on the CPU and the specification elsewhere; impossible choices are refused."""
    assert kernels.choose("auto", "cpu") is cpu and kernels.choose("auto", "cuda") is naive
    assert kernels.choose("naive", "cpu") is naive
    with pytest.raises(InputError, match="not known"):
        kernels.choose("gpu", "cpu")
    with pytest.raises(InputError, match="do not run on"):
        kernels.choose("cpu", "cuda")
