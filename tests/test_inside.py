"""Spikes of hidden layers as data: the network reads from them what it reads from the input."""

import numpy as np
import pytest
import torch
from samples import random_binned

from lib import perturb
from lib.inside import hidden_spikes
from lib.network import NetworkConfig, SpikingNetwork
from lib.train import evaluate


@pytest.fixture(params=["cpu", "naive"])
def network(request):
    """Two hidden layers of different size, delays of several bins."""
    config = NetworkConfig(
        n_inputs=15, n_classes=4, bin_width_ms=14, input_rate=0.1, hidden=(9, 7), weight_scale=2.0,
        delays="fixed", delay_init_bins=6, backend=request.param,
    )  # fmt: skip
    return SpikingNetwork(config, torch.Generator().manual_seed(0))


DATA = random_binned(seed=0, n_samples=30, n_units=15, rate=0.1, n_bins=40, empty=(3,))


@pytest.mark.parametrize("layer", [1, 2])
def test_going_on_from_a_hidden_layer_gives_the_same_decisions(network, layer):
    """Same evidence from its spikes as from the input; labels and speakers travel along; rates are those counted."""
    spikes = hidden_spikes(network, DATA, layer, batch=7)
    whole, rest = evaluate(network, DATA), evaluate(network, spikes, first=layer, n_bins=DATA.n_bins)
    assert rest.loss == pytest.approx(whole.loss, rel=1e-6) and np.array_equal(rest.decisions, whole.decisions)
    assert np.array_equal(spikes.labels, DATA.labels) and np.array_equal(spikes.speakers, DATA.speakers)
    assert spikes.n_units == (9, 7)[layer - 1] and spikes.n_bins > DATA.n_bins
    assert spikes.counts().mean() == pytest.approx(whole.hidden_rates[layer - 1])
    assert rest.hidden_rates == pytest.approx(whole.hidden_rates[layer:])


def test_hidden_spikes_can_be_perturbed(network):
    """Reversal of a hidden layer keeps its counts, and changes what comes out."""
    spikes = hidden_spikes(network, DATA, 1)
    backwards = perturb.apply("reverse", spikes, 1, np.random.default_rng(0))
    assert np.array_equal(backwards.counts(), spikes.counts())
    losses = [evaluate(network, one, first=1, n_bins=DATA.n_bins).loss for one in (spikes, backwards)]
    assert losses[0] != losses[1]
