"""The network in event time: what it computes, how it starts, how it is trained, and that it learns timing."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from lib import train as training_module
from lib.data.events import Events
from lib.errors import InputError, RunFailed
from lib.event_network import EventNetwork, EventNetworkConfig, stack
from lib.kernels import event_time_naive
from lib.train import TrainingConfig, evaluate, train, train_together, weights_checksum

CONFIG = EventNetworkConfig(
    n_inputs=6, n_classes=3, hidden=8, tau_ms=20, tau_spread=0.5, count_scale=0.5, delay_init_ms=30, weight_sd=0.8
)


def make(seed=0, **changes):
    return EventNetwork(replace(CONFIG, **changes), torch.Generator().manual_seed(seed))


def random_events(seed=0, n=5, n_units=6, n_events=15):
    """Uniform times up to 0.2 s; sample 1 is empty."""
    rng = np.random.default_rng(seed)
    counts = np.where(np.arange(n) == 1, 0, n_events)
    trains = [(rng.uniform(0, 0.2, k), rng.integers(0, n_units, k)) for k in counts]
    return Events.from_list(trains, np.arange(n) % 3, np.zeros(n, int), ("a", "b", "c"), n_units)


def lag_task(seed, n, lags_ms=(10, 40)):
    """Ten pairs in 2 s, unit 1 after unit 0 by the first or the second lag (class), anywhere: counts are equal."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    trains = []
    for label in labels:
        start = rng.uniform(0, 2, 10)
        trains.append((np.concatenate([start, start + lags_ms[label] / 1e3]), np.repeat([0, 1], 10)))
    return Events.from_list(trains, labels, np.zeros(n, int), ("short", "long"), 2)


LAG_CONFIG = EventNetworkConfig(
    n_inputs=2, n_classes=2, hidden=40, tau_ms=10, tau_spread=0.5, delays="trained", delay_init_ms=5, delay_cap_ms=60
)


@pytest.mark.parametrize("delays, trained", [("none", 4), ("fixed", 4), ("trained", 5)])
def test_compiled_and_specified_network_agree(delays, trained):
    """Same weights, either backend: the same evidence and the same gradients, float64."""
    out = []
    for backend in ("cpu", "naive"):
        network, events = make(delays=delays, backend=backend).double(), random_events()
        evidence = network(events)
        cross_entropy(evidence, torch.from_numpy(events.labels)).backward()
        out.append([evidence, *(p.grad for p in network.parameters() if p.requires_grad)])
    assert len(out[0]) == 1 + trained
    for one, other in zip(*out, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


def test_evidence_is_a_linear_readout_of_scaled_counts():
    """Times are seconds in events and ms in the network; evidence = readout(count_scale * counts)."""
    network, events = make(delays="fixed").double(), random_events()
    counts = event_time_naive.spike_counts(
        events.times * 1000, events.units, events.offsets, network.weight, network.log_tau, network.delays, 5.0
    )
    expected = 0.5 * counts @ network.readout.weight.T + network.readout.bias
    assert torch.allclose(network(events), expected) and counts.sum() > 20
    assert network.hidden_rates == [pytest.approx(counts.mean().item())]


def test_without_input_nothing_spikes():
    """Silence in: no hidden spike, and the read-out's bias as evidence."""
    network = make(delays="trained")
    silent = Events.from_list([(np.empty(0), np.empty(0))] * 2, [0, 1], [0, 0], ("a", "b", "c"), 6)
    assert torch.equal(network(silent), network.readout.bias.expand(2, 3)) and network.hidden_rates == [0]


def test_the_start_is_as_configured():
    """Weights, log time constants and delays have the distributions asked for."""
    network = make(n_inputs=200, hidden=300, weight_mean=0.3, weight_sd=0.4, delays="trained", delay_init_ms=80)
    weight, log_tau, delays = network.weight.detach(), network.log_tau.detach(), network.delays.detach()
    assert weight.mean().item() == pytest.approx(0.3, abs=0.01) and weight.std().item() == pytest.approx(0.4, abs=0.01)
    assert log_tau.mean().item() == pytest.approx(math.log(20), abs=0.1)
    assert log_tau.std().item() == pytest.approx(0.5, abs=0.07)
    assert delays.min() >= 0 and 75 < delays.max() <= 80 and delays.mean().item() == pytest.approx(40, abs=6)
    assert (make(tau_spread=0.0).log_tau == math.log(20)).all() and (make(delays="none").delays == 0).all()


def test_the_generator_decides_the_network():
    """Same seed, same network, whatever torch's global state; other seed, other network."""
    one, _, two, other = make(0, delays="fixed"), torch.rand(1), make(0, delays="fixed"), make(1, delays="fixed")
    for a, b, c in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b) and not torch.equal(a, c)


def test_delays_stay_causal_and_below_their_cap():
    """clamp_ puts delays back between 0 and the cap."""
    network = make(delays="trained", delay_cap_ms=50)
    with torch.no_grad():
        network.delays.copy_(torch.tensor([-3.0, 0, 20, 50, 51, 1e9]))
    network.clamp_()
    assert network.delays.tolist() == [0, 0, 20, 50, 50, 50]


@pytest.mark.parametrize(
    "changes, named",
    [({"delays": "some"}, "delays"), ({"backend": "gpu"}, "backend"), ({"delay_init_ms": 101}, "delay_init_ms")],
)
def test_impossible_settings_are_refused(changes, named):
    """The message names the setting."""
    with pytest.raises(InputError, match=f"^{named}: "):
        replace(CONFIG, **changes)


def test_events_of_other_units_are_refused():
    """Units that the network has no weights for are an error, never a read beyond the weights."""
    with pytest.raises(InputError, match="^n_inputs: 6, but the events have 7 units"):
        make()(random_events(n_units=7))


@pytest.mark.parametrize("delays", ["none", "trained"])
def test_training_learns_a_lag_that_counts_do_not_tell(delays):
    """Two lags, equal counts: 97 % on samples never seen, and the delays come to differ by the shorter lag."""
    config, training = replace(LAG_CONFIG, delays=delays), TrainingConfig(epochs=15, batch=32, lr=1e-2, delay_lr=1.0)
    trained = train(config, training, lambda epoch: lag_task([1, epoch], 400), lag_task(3, 100), seed=0)
    assert evaluate(trained.network, lag_task(2, 500)).accuracy >= 0.97 and trained.loss[-1] < 0.1 * trained.loss[0]
    if delays == "trained":
        assert (trained.network.delays[0] - trained.network.delays[1]).item() == pytest.approx(10, abs=1)


def test_training_repeats_from_its_seed_and_asks_for_each_epoch():
    """Same seed: the same bytes, whatever the global random state; other seed: others. One call a training epoch."""
    asked = []

    def samples(epoch):
        asked.append(epoch)
        return lag_task([3, epoch], 40)

    def weights(seed):
        trained = train(LAG_CONFIG, TrainingConfig(epochs=3, batch=16, delay_lr=1.0), samples, lag_task(5, 20), seed)
        assert len(trained.loss) == 3
        return b"".join(p.detach().numpy().tobytes() for p in trained.network.parameters())

    first = weights(5)
    assert asked[-3:] == [0, 1, 2]
    torch.rand(3), np.random.rand(3)
    assert first == weights(5) != weights(6)


@pytest.mark.parametrize("delays", ["none", "fixed", "trained"])
@pytest.mark.parametrize("train_tau", [False, True])
def test_only_what_is_to_be_trained_moves(delays, train_tau):
    """Weights always move; time constants and delays only where they are trained, delays within their range."""
    config = replace(LAG_CONFIG, delays=delays, train_tau=train_tau)
    start = EventNetwork(config, torch.Generator().manual_seed(7))
    training = TrainingConfig(epochs=1, batch=20, delay_lr=1e3)  # so fast that delays would leave their range
    network = train(config, training, lambda epoch: lag_task(4, 60), lag_task(5, 20), seed=7).network
    moved = {name: not torch.equal(p, dict(start.named_parameters())[name]) for name, p in network.named_parameters()}
    assert moved.pop("log_tau") == train_tau and moved.pop("delays") == (delays == "trained")
    assert all(moved.values()) and network.delays.min() >= 0 and network.delays.max() <= 60


def test_training_that_diverges_stops():
    """A weight that is not a number never spikes, so that the loss stays finite: training stops all the same."""
    config = replace(LAG_CONFIG, weight_sd=float("nan"))
    with pytest.raises(RunFailed, match="diverged"):
        train(config, TrainingConfig(epochs=1), lambda epoch: lag_task(0, 10), lag_task(1, 10), seed=0)


SIDE_BY_SIDE = TrainingConfig(epochs=4, batch=24, lr=2e-2, delay_lr=1.0, clip=0.3)  # the last batch is a smaller one


def side_by_side(config, seeds=(0, 1, 2), n=100, stop=None, **how):
    """Train networks together, each on samples of its own; with `stop`, be interrupted before that epoch."""

    def draw(seed):
        def samples(epoch):
            if epoch == stop:
                raise KeyboardInterrupt
            return lag_task([seed, epoch], n)

        return samples

    samples, validation = [draw(seed) for seed in seeds], [lag_task([seed, 99], 40) for seed in seeds]
    return train_together(config, SIDE_BY_SIDE, samples, validation, seeds, **how)


def outcome(trained):
    """All that a training gives, to the bit."""
    return weights_checksum(trained.network), trained.loss, trained.validation_accuracy, trained.best_epoch


@pytest.mark.parametrize("delays", ["none", "fixed", "trained"])
@pytest.mark.parametrize("backend", ["cpu", "naive"])
def test_networks_trained_side_by_side_equal_single_ones(delays, backend):
    """Weights, curves and best epoch have the bits of each network trained alone; all three differ."""
    config = replace(LAG_CONFIG, hidden=9, delays=delays, backend=backend)
    n = 100 if backend == "cpu" else 30
    alone = [outcome(*side_by_side(config, (seed,), n)) for seed in (0, 1, 2)]
    assert [outcome(one) for one in side_by_side(config, n=n)] == alone
    assert len({weights for weights, *_ in alone}) == 3


def test_stacked_networks_change_with_the_stack():
    """Their parameters are views: what training does to the stack it does to them."""
    networks = [make(seed, delays="trained") for seed in (0, 1)]
    stacked = stack(networks)
    for name, parameter in stacked.named_parameters():
        assert parameter.requires_grad == networks[0].get_parameter(name).requires_grad
        with torch.no_grad():
            parameter += 1
        for r, network in enumerate(networks):
            own = network.get_parameter(name)
            assert own.data_ptr() == parameter[r].data_ptr() and torch.equal(own, parameter[r])


@pytest.mark.parametrize("sick", [0, 1, 2])
@pytest.mark.parametrize("backend", ["cpu", "naive"])
def test_one_that_diverges_leaves_the_others_alone(monkeypatch, backend, sick):
    """NaN in one network, soon in its delays too: it has failed, the others have the bits of a training without it."""
    config = replace(LAG_CONFIG, hidden=9, backend=backend)
    healthy = [outcome(one) for one in side_by_side(config, n=30)]
    start = EventNetwork.__init__

    def infect(self, config, generator):
        start(self, config, generator)
        if generator.initial_seed() == sick:
            self.weight.data[3, 1] = float("nan")

    monkeypatch.setattr(EventNetwork, "__init__", infect)
    for seed, trained in enumerate(side_by_side(config, n=30)):
        if seed == sick:
            assert isinstance(trained, RunFailed) and "diverged" in str(trained)
        else:
            assert outcome(trained) == healthy[seed]


@pytest.mark.parametrize("stop", [1, 3])
def test_interrupted_side_by_side_goes_on_to_the_same_bits(tmp_path, monkeypatch, stop):
    """Wherever it came, and only with the same networks: a checkpoint of two is not taken for three."""
    monkeypatch.setattr(training_module, "CHECKPOINT_EVERY", 0.0)
    path = tmp_path / "three.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        side_by_side(LAG_CONFIG, stop=stop, checkpoint=path)
    with pytest.raises(InputError, match="three.checkpoint: no checkpoint of this training"):
        side_by_side(LAG_CONFIG, (0, 1), checkpoint=path)
    again = side_by_side(LAG_CONFIG, checkpoint=path)
    assert [outcome(one) for one in again] == [outcome(one) for one in side_by_side(LAG_CONFIG)]


def test_side_by_side_needs_as_many_samples_for_each():
    """Unequal numbers are refused, and said."""
    samples = [lambda epoch: lag_task(0, 10), lambda epoch: lag_task(0, 11)]
    with pytest.raises(InputError, match=r"^samples: \[10, 11\] to train on"):
        train_together(LAG_CONFIG, SIDE_BY_SIDE, samples, [lag_task(1, 5)] * 2, (0, 1))


def test_scores_do_not_depend_on_the_batch():
    """Loss and spike counts in pieces of 3 are those of all samples at once."""
    network, events = make(delays="fixed"), random_events(n=10)
    together, pieces = evaluate(network, events), evaluate(network, events, batch=3)
    assert pieces.accuracy == together.accuracy and pieces.loss == pytest.approx(together.loss, rel=1e-5)
    assert pieces.hidden_rates == pytest.approx(together.hidden_rates)
