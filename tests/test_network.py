"""The network: what it computes, how it starts, and that it can learn an order in time."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from lib import kernels
from lib.kernels import naive
from lib.network import NetworkConfig, SpikingNetwork, fluctuation_sd, spike_rate_loss
from lib.neurons import LIF, SRM, Neuron

CONFIG = NetworkConfig(
    n_inputs=12, n_classes=3, bin_width_ms=10, input_rate=0.1, hidden=(9, 7), weight_scale=2.0, delay_init_bins=6
)


def make(seed=0, **changes):
    config = NetworkConfig(**(CONFIG.__dict__ | changes))
    return SpikingNetwork(config, torch.Generator().manual_seed(seed))


def some_spikes(batch=4, bins=20, rate=0.2):
    return (torch.rand(batch, bins, 12, generator=torch.Generator().manual_seed(1)) < rate).float()


@pytest.mark.parametrize("delays", ["none", "fixed", "trained"])
@pytest.mark.parametrize("readout", ["membrane", "count"])
def test_fast_and_specified_network_agree(delays, readout):
    """Same weights, either backend: the same evidence and the same gradients, float64."""
    out = []
    for backend in ("cpu", "naive"):
        network = make(delays=delays, readout=readout, backend=backend).double()
        evidence = network(some_spikes().double())
        cross_entropy(evidence, torch.tensor([0, 1, 2, 0])).backward()
        out.append([evidence, *(p.grad for p in network.parameters() if p.requires_grad)])
    assert len(out[0]) == {"none": 4, "fixed": 4, "trained": 6}[delays]
    for one, other in zip(*out, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("changes", [{"neuron": SRM()}, {"train_tau": True}], ids=["srm", "tau"])
def test_fast_and_specified_network_agree_on_other_neurons(changes):
    """The paper's neurons, and LIF with trained time constants: same evidence and gradients, none of them all zero."""
    out = []
    for backend in ("cpu", "naive"):
        network = make(backend=backend, delays="trained", **changes).double()
        evidence = network(some_spikes().double())
        cross_entropy(evidence, torch.tensor([0, 1, 2, 0])).backward()
        out.append([evidence, *(p.grad for p in network.parameters())])
    for one, other in zip(*out, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12) and one.abs().sum() > 0


def test_time_constants_are_trained_at_their_own_rate():
    """They start at tau_ms, form a group of their own, and a step of the optimiser changes each by its rate."""
    network = make(train_tau=True)
    groups = network.parameter_groups(1e-3, 0.5, 0.02)
    assert [group["lr"] for group in groups] == [1e-3, 0.02] and [len(x) for x in network.log_tau] == [9, 7]
    plain, before = make()(some_spikes()), network(some_spikes())
    assert torch.allclose(before, plain, rtol=1e-4, atol=1e-6)
    cross_entropy(before, torch.tensor([0, 1, 2, 0])).backward()
    torch.optim.Adam(groups).step()
    change = (network.log_tau[0] - math.log(60)).abs()
    assert change.max().item() == pytest.approx(0.02, rel=1e-3)
    with pytest.raises(ValueError, match="train_tau"):
        make(train_tau=True, neuron=SRM())


def test_membrane_readout_is_the_mean_potential():
    """Evidence equals the network written out: two LIF layers, then leaky integrators summed over time / bins."""
    network, spikes = make(), some_spikes()
    decay, (w1, w2, w3) = math.exp(-10 / 60), network.weights
    hidden = naive.lif(naive.lif(spikes @ w1.T, decay, LIF()) @ w2.T, decay, LIF())
    expected = naive.leaky_integrator(hidden @ w3.T, decay).sum(1) / 20
    assert torch.allclose(network(spikes), expected, atol=1e-5)
    assert network.hidden_rates[1] == pytest.approx(hidden.sum(1).mean().item())


def test_no_spike_is_lost_to_a_delay():
    """The simulation is long enough for the slowest axon: every input spike arrives, also from the last bin."""
    network = make(delays="fixed", delay_init_bins=30.0)
    spikes = torch.zeros(1, 5, 12)
    spikes[0, 4] = 1
    delays = network.delays[0]
    arrived = naive.delay_spikes(spikes, delays, 5 + math.ceil(delays.max().item()))
    assert arrived.sum(1).allclose(torch.ones(1, 12))
    with torch.no_grad():
        network.weights[0].fill_(2.0)  # each arrival makes each neuron spike
    network(spikes)
    assert network.hidden_rates[0] >= len(set(delays.floor().tolist()))


def test_without_input_nothing_happens():
    """No biases: silence in, silence and zero evidence out, with a tie between all classes."""
    network = make(delays="trained")
    assert (network(torch.zeros(2, 10, 12)) == 0).all() and network.hidden_rates == [0, 0]


def test_the_generator_decides_weights_and_delays():
    """Same seed, same network, whatever torch's global state; other seed, other network."""
    one = make(0, delays="fixed")
    torch.rand(1)
    two, other = make(0, delays="fixed"), make(1, delays="fixed")
    for a, b, c in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b) and not torch.equal(a, c)


def test_fixed_delays_are_not_trained_and_trained_ones_stay_in_range():
    """Fixed delays are no parameter of the optimiser; trained ones have their own rate and are clamped."""
    assert [g["lr"] for g in make(delays="fixed").parameter_groups(1e-3, 0.5)] == [1e-3]
    network = make(delays="trained", delay_cap_bins=4.0)
    groups = network.parameter_groups(1e-3, 0.5)
    assert [g["lr"] for g in groups] == [1e-3, 0.5] and len(groups[1]["params"]) == 2
    with torch.no_grad():
        network.delays[0][:2] = torch.tensor([-3.0, 99.0])
    network.clamp_()
    assert network.delays[0][:2].tolist() == [0.0, 4.0]
    assert 0 <= min(d.min() for d in network.delays) and max(d.max() for d in network.delays) <= 4


def test_membranes_fluctuate_as_asked():
    """Before training, Poisson input moves a membrane without threshold by `scale` thresholds (s.d., within 5 %)."""
    n, rate, decay, scale = 200, 0.05, 0.8, 1.5
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(8, 400, n, generator=generator) < rate).float()
    weights = fluctuation_sd(n, rate, 1 / (1 - decay**2), scale) * torch.randn(300, n, generator=generator)
    potential = naive.leaky_integrator(spikes @ weights.T, decay)[:, 50:]
    # over neurons: zero-mean weights make the mean over an ensemble of neurons zero
    second_moment = (potential - potential.mean((0, 1))).var((0, 1)).mean()
    expected = scale**2 * (1 - rate)  # the variance of binary input is rate (1 - rate)
    assert second_moment.item() == pytest.approx(expected, rel=0.1)


def test_a_delay_moves_to_its_lag():
    """One synapse: minimising the distance to a target spike at lag 7 moves a delay from 3 to 7 bins."""
    spikes = torch.zeros(1, 20, 1, dtype=torch.float64)
    spikes[0, 2] = 1
    target = naive.leaky_integrator(torch.roll(spikes, 7, 1), 0.9)
    delay = torch.tensor([3.3], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([delay], 0.1)
    for _ in range(120):
        optimiser.zero_grad()
        arrived = naive.leaky_integrator(naive.delay_spikes(spikes, delay, 20), 0.9)
        ((arrived - target) ** 2).sum().backward()
        optimiser.step()
    assert abs(delay.item() - 7) < 0.5


def test_a_small_network_learns_an_order():
    """Which of two inputs fires first, counts being equal: learnt beyond 95 %; on shuffled times it stays at chance."""
    generator = torch.Generator().manual_seed(0)

    def samples(n, shuffled):
        labels = torch.randint(2, (n,), generator=generator)
        first = torch.randint(2, 12, (n,), generator=generator)
        spikes = torch.zeros(n, 24, 2)
        lag = torch.where(labels == 0, 4, -4)
        if shuffled:
            lag = lag * (2 * torch.randint(2, (n,), generator=generator) - 1)
        spikes[torch.arange(n), first + 4, 0] = 1
        spikes[torch.arange(n), first + 4 + lag, 1] = 1
        return spikes, labels

    def accuracy(shuffled):
        config = NetworkConfig(
            n_inputs=2, n_classes=2, bin_width_ms=10, input_rate=0.04, hidden=(16, 16), tau_ms=30,
            delays="trained", delay_init_bins=8, weight_scale=2.0,
        )  # fmt: skip
        network = SpikingNetwork(config, torch.Generator().manual_seed(1))
        optimiser = torch.optim.Adam(network.parameter_groups(5e-3, 0.1))
        for _ in range(150):
            spikes, labels = samples(64, shuffled)
            optimiser.zero_grad()
            cross_entropy(network(spikes), labels).backward()
            optimiser.step()
            network.clamp_()
        spikes, labels = samples(1000, shuffled)
        return (network(spikes).argmax(1) == labels).float().mean().item()

    assert accuracy(shuffled=False) > 0.95
    assert abs(accuracy(shuffled=True) - 0.5) < 0.06


def test_unknown_words_are_refused():
    """Delay mode and read-out are checked when the network is described."""
    with pytest.raises(ValueError, match="delays"):
        make(delays="learned")
    with pytest.raises(ValueError, match="readout"):
        make(readout="max")


def test_recurrent_spikes_come_back_one_step_later():
    """A single unit that fires drives its neighbour in the next step through the recurrent weight, and not before."""
    network = make(recurrent=True, hidden=(2, 3))
    with torch.no_grad():
        network.weights[0].zero_()
        network.weights[0][0, 0] = 2.0
        network.recurrent[0].copy_(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    batch = torch.zeros(1, 6, 12)
    batch[0, 2, 0] = 1
    spikes = network.hidden_spikes(batch, 1).dense(batch)
    assert spikes[0].nonzero().tolist() == [[2, 0], [3, 1]]
    evidence = network(some_spikes())
    cross_entropy(evidence, torch.tensor([0, 1, 2, 0])).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in network.recurrent)
    assert len(network.parameter_groups(1e-3, 0.5)[0]["params"]) == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recurrent": True, "backend": "gpu"}, "backend: gpu kernels have no recurrent weights"),
        ({"neuron": Neuron(), "backend": "cpu"}, "backend: cpu kernels have no such neuron"),
        ({"recurrent": True, "neuron": SRM()}, "recurrent: only LIF neurons"),
        ({"recurrent": True, "neuron": Neuron()}, "recurrent: only LIF neurons"),
    ],
)
def test_what_a_kernel_lacks_is_refused(changes, said):
    """When the network is described, in one line."""
    with pytest.raises(ValueError, match=said):
        make(**changes)


def test_auto_takes_fast_kernels_that_know_the_whole_network():
    """Recurrent weights: the CPU's; a neuron of one's own, and other devices: the specification."""
    recurrent, own = make(recurrent=True), make(neuron=Neuron())
    assert recurrent._kernels() is kernels.cpu and own._kernels() is kernels.naive
    assert recurrent.to("meta")._kernels() is kernels.naive
    assert make(recurrent=True, backend="naive")._kernels() is kernels.naive


def test_a_neuron_of_ones_own_must_say_what_it_does():
    """A subclass without `spikes` is named."""
    with pytest.raises(NotImplementedError, match="Neuron: say in `spikes`"):
        make(neuron=Neuron())(some_spikes())


def test_delays_only_where_they_are_asked_for():
    """Of the inputs or of the hidden layer: the other stays at zero and is not trained; the weights start the same."""
    both, inputs, hidden = (make(delays="trained", delayed=layers) for layers in (None, (0,), (1,)))
    assert [[d.requires_grad for d in x.delays] for x in (both, inputs, hidden)] == [
        [True, True],
        [True, False],
        [False, True],
    ]
    assert torch.equal(both.delays[0], inputs.delays[0]) and torch.equal(both.delays[1], hidden.delays[1])
    assert (hidden.delays[0] == 0).all()
    for one, other in zip(both.weights, hidden.weights, strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match=r"delayed: \(2,\) are no layers with delays; choose from 0 to 1"):
        make(delays="trained", delayed=(2,))


def test_a_spiking_read_out_may_have_delays_before_it():
    """The paper's SRM network: delays behind both hidden layers, same numbers on both backends."""
    out = []
    for backend in ("cpu", "naive"):
        network = make(delays="trained", delayed=(1, 2), readout="count", neuron=SRM(), backend=backend).double()
        loss = network.loss(network(some_spikes().double()), torch.tensor([0, 1, 2, 0]))
        loss.backward()
        out.append([loss, network.delays[1].grad, network.delays[2].grad])
    for one, other in zip(*out, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12) and one.abs().sum() > 0


def test_loss_on_spike_rates_is_the_papers():
    """A silent network of 20 classes loses 4.76 a sample, as the authors' printed losses of dead networks say."""
    labels = torch.tensor([3, 7])
    assert spike_rate_loss(torch.zeros(2, 20), labels).item() == pytest.approx(4.76)
    right = torch.full((2, 20), 4.0)
    right[[0, 1], labels] = 40
    assert spike_rate_loss(right, labels) == 0


def test_caps_widen_as_the_authors_log_says():
    """All delays against the cap: 65 after epoch 401, then 66, 67, 68 after 552, 703, 854. Too few against it: never."""
    network = make(delays="trained", widen_cap=True, hidden=(20, 7), delayed=(1,))
    seen = {}
    for epoch in range(1, 1001):
        with torch.no_grad():
            network.delays[1].fill_(1e3)
        network.clamp_()
        network.end_epoch_(epoch)
        seen.setdefault(network.caps[1].item(), epoch)
    assert seen == {64: 1, 65: 401, 66: 552, 67: 703, 68: 854}
    spread = make(delays="trained", widen_cap=True, hidden=(20, 7), delayed=(1,))
    with torch.no_grad():
        spread.delays[1].copy_(torch.linspace(0, 64, 20))
    for epoch in range(1, 500):
        spread.end_epoch_(epoch)
    assert spread.caps[1] == 64
