"""GPU kernels equal the specification. Collected by test_gpu.py, in processes that fix where the kernels run."""

import pytest
import torch

from lib.kernels import gpu, naive
from lib.kernels.spikes import SpikeList
from lib.neurons import LIF

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # "cpu": under Triton's interpreter
NEURONS = [
    LIF(),
    LIF(reset="subtract"),
    LIF(reset_gradient=True, synaptic_decay=0.6, surrogate="arctan"),
    LIF(reset="subtract", reset_gradient=True, surrogate="exponential", delays="whole"),
]
SHAPES = [  # networks (None: no such axis), samples, steps, presynaptic and postsynaptic neurons
    (None, 1, 1, 1, 1),
    (None, 2, 7, 3, 17),
    (None, 1, 20, 40, 35),  # more than one block of neurons and of steps
    (1, 2, 7, 17, 3),
    (3, 2, 7, 3, 17),
    (3, 1, 1, 17, 1),
]
EACH_NEURON = pytest.mark.parametrize("neuron", NEURONS, ids=lambda n: f"{n.reset}-{n.reset_gradient}-{n.surrogate}")


def example(shape, rate=0.3, dtype=torch.float32):
    """Spikes, and weights, delays (from 0 to 4.5 bins) and decays of a layer that spikes often."""
    networks, samples, steps, n_in, n_out = shape
    leading, generator = () if networks is None else (networks,), torch.Generator().manual_seed(3)
    spikes = (torch.rand(*leading, samples, steps, n_in, generator=generator) < rate).to(dtype)
    weight = 0.3 + torch.randn(*leading, n_out, n_in, generator=generator, dtype=dtype)
    delays = 4.5 * torch.rand(*leading, n_in, generator=generator, dtype=dtype)
    delays[..., -1], delays[..., 0] = 4.5, 0
    decay = 0.5 + 0.5 * torch.rand(*leading, n_out, generator=generator, dtype=dtype)
    return [leaf.to(DEVICE).requires_grad_() for leaf in (spikes, weight, delays, decay)]


def spikes_and_gradients(kernel, leaves, delayed, neuron):
    """A layer whose last delayed spikes are lost; gradients of a fixed random projection of what it emits."""
    spikes, weight, delays, decay = leaves
    out = kernel.layer(spikes, weight, delays if delayed else None, decay, neuron, spikes.shape[-2] + 3 * delayed)
    random = torch.randn(out.shape, generator=torch.Generator().manual_seed(9), dtype=out.dtype).to(DEVICE)
    used = leaves if delayed else (spikes, weight, decay)
    return out, torch.autograd.grad(out, used, random)


def assert_equal_layers(leaves, delayed, neuron, tolerance):
    """Identical spikes; the root mean square error of each gradient is within `tolerance` of its root mean square."""
    (fast, gradients), (slow, expected) = (spikes_and_gradients(k, leaves, delayed, neuron) for k in (gpu, naive))
    assert torch.equal(fast, slow)
    for one, other in zip(gradients, expected, strict=True):
        assert one.shape == other.shape and (one - other).norm() <= tolerance * other.norm()
    return slow


@EACH_NEURON
@pytest.mark.parametrize("delayed", [False, True], ids=["at once", "delayed"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_layers_equal_the_specification(shape, delayed, neuron):
    """float32: identical spikes; gradients of spikes, weights, delays and decays within 1e-5 relative RMS."""
    assert_equal_layers(example(shape), delayed, neuron, 1e-5)


@EACH_NEURON
def test_float64_agrees_to_rounding(neuron):
    """Constants of a neuron keep their precision: gradients within 1e-12, from a layer that neither sleeps nor fires
    all the time."""
    spikes = assert_equal_layers(example((None, 2, 9, 5, 7), dtype=torch.float64), True, neuron, 1e-12)
    assert 0.1 < spikes.mean() < 0.8


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_silence_and_everything(rate):
    """No input spike at all, and one in every bin."""
    spikes = assert_equal_layers(example((None, 1, 7, 3, 5), rate), True, LIF(), 1e-5)
    assert (spikes.sum() == 0) == (rate == 0)


def test_networks_together_equal_each_alone():
    """Three networks on a leading axis emit what each emits alone."""
    leaves = example((3, 2, 7, 3, 17))
    together = gpu.layer(*leaves, LIF(), 10)
    for r in range(3):
        assert torch.equal(gpu.layer(*(leaf[r] for leaf in leaves), LIF(), 10), together[r])


def test_networks_need_spikes_of_their_own():
    """Delays of three networks on the spikes of one are refused, not read from the wrong place."""
    spikes, _, delays, _ = example((3, 2, 7, 3, 17))
    with pytest.raises(RuntimeError, match="expand"):
        gpu.delay_spikes(spikes[0], delays, 7)


def test_lists_become_bytes():
    """Spike lists arrive as the dense batch, one byte each; also a list that starts in the middle of its spikes, and
    the lists of two networks."""
    spikes = example((None, 3, 9, 4, 1))[0]
    lists = SpikeList.of_dense(spikes.detach())
    later = SpikeList(lists.units, lists.starts[1:], 4)
    both = ((lists, lists), torch.stack([spikes, spikes]))
    for batch, expected in ((lists, spikes), (later, spikes[1:]), (spikes.cpu().double(), spikes), both):
        encoded = gpu.encode(batch, spikes)
        assert encoded.device == spikes.device
        assert torch.equal(encoded, expected.to(torch.uint8)) and encoded.element_size() == 1


@pytest.mark.parametrize("networks", [None, 2])
def test_from_input_to_read_out(networks):
    """Two layers from bytes to summed potentials: evidence, counts and all gradients of the specification."""
    (spikes, *first), second = example((networks, 2, 8, 5, 6)), example((networks, 2, 8, 6, 4))
    weight = second[1]
    results = []
    for kernel in (gpu, naive):
        hidden = kernel.layer(kernel.encode(spikes.detach(), weight), *first, LIF(), 13)
        evidence = kernel.summed_potential(hidden, weight, 0.7)
        gradients = torch.autograd.grad(evidence.square().sum(), (*first, weight))
        results.append([evidence, kernel.counts(hidden), *gradients])
    for one, other in zip(*results, strict=True):
        assert other.abs().sum() > 0 and (one - other).norm() <= 1e-5 * other.norm()


def test_without_gradients_the_spikes_are_the_same():
    """A pass that keeps no potentials emits the same spikes."""
    leaves = example((None, 2, 7, 3, 17))
    with torch.no_grad():
        silent = gpu.layer(*leaves, LIF(), 10)
    assert not silent.requires_grad and torch.equal(silent, gpu.layer(*leaves, LIF(), 10))
