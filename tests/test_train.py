"""Training: repeatable, learns what can be learnt, keeps its best epoch, and never sees the test voices."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from samples import random_binned

from lib import experiments, train, tune
from lib.baselines import CountMLP
from lib.data import audit, speech
from lib.data.events import Binned
from lib.experiments import COUNT_MLP, CountSettings, Run, Settings
from lib.network import NetworkConfig
from lib.train import TrainingConfig


def order_task(seed: int, n: int = 128) -> Binned:
    """Two units, one spike each; class = which fires first. Counts are equal."""
    rng = np.random.default_rng(seed)
    labels, first = rng.integers(0, 2, n), rng.integers(0, 10, n)
    bins = np.stack([first + np.where(labels == 0, 0, 5), first + np.where(labels == 0, 5, 0)], axis=1)
    return Binned(
        bins.ravel().astype(np.uint16), np.tile([0, 1], n).astype(np.uint16), np.arange(n + 1) * 2,
        labels, np.zeros(n, int), ("a", "b"), 2, 20, 0.014,
    )  # fmt: skip


CONFIG = NetworkConfig(
    n_inputs=2, n_classes=2, bin_width_ms=14, input_rate=0.05, hidden=(12, 12), delays="trained", delay_init_bins=8,
    weight_scale=2.0,
)  # fmt: skip


def test_training_learns_an_order_and_keeps_the_best_epoch():
    """A task that only time can solve is learnt; the returned network scores what its best epoch scored."""
    validation = order_task(1)
    trained = train.train(CONFIG, TrainingConfig(12, 32, lr=1e-2), lambda epoch: order_task(2, 256), validation, seed=0)
    assert trained.validation_accuracy[trained.best_epoch] == max(trained.validation_accuracy) > 0.9
    accuracy, _ = train.evaluate(trained.network, validation)
    assert accuracy == trained.validation_accuracy[trained.best_epoch]


def test_the_best_epoch_is_copied_not_referred_to(monkeypatch):
    """Weights of an early best epoch are returned as they were then, though training went on (a flaw of many codes)."""
    scores = iter([0.9, 0.1, 0.1, 0.1])
    snapshots = []

    def evaluate(network, data, device="cpu"):
        snapshots.append([w.detach().clone() for w in network.weights])
        return next(scores), 1.0

    monkeypatch.setattr(train, "evaluate", evaluate)
    trained = train.train(CONFIG, TrainingConfig(4, 32), lambda epoch: order_task(2), order_task(1), seed=0)
    assert trained.best_epoch == 0
    for kept, first, last in zip(trained.network.weights, snapshots[0], snapshots[-1], strict=True):
        assert torch.equal(kept, first) and not torch.equal(kept, last)


def test_same_seed_same_weights_in_fresh_processes():
    """Two fresh processes, same seed: the same bytes of weights; another seed: others."""
    code = (
        "import hashlib, sys, torch; torch.set_num_threads(1); sys.path.insert(0, 'tests')\n"
        "from test_train import CONFIG, order_task, train, TrainingConfig\n"
        "t = train.train(CONFIG, TrainingConfig(2, 32), lambda e: order_task(2), order_task(1), seed=int(sys.argv[1]))\n"
        "print(hashlib.sha256(b''.join(p.detach().numpy().tobytes() for p in t.network.parameters())).hexdigest())"
    )

    def run(seed):
        return subprocess.run([sys.executable, "-c", code, str(seed)], capture_output=True, text=True, check=True).stdout

    assert run(3) == run(3) != run(4)


def test_a_diverged_loss_stops_training():
    """A weight that is not a number ends training with an error, not with a score."""
    data = order_task(0)
    config = NetworkConfig(**(CONFIG.__dict__ | {"weight_scale": float("nan")}))
    with pytest.raises(FloatingPointError, match="diverged"):
        train.train(config, TrainingConfig(1), lambda epoch: data, data, seed=0)


def test_ties_decide_nothing():
    """Two equal largest logits (above all: silence) give -1, which is never right."""
    assert train.decide(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0], [3.0, 1.0, 2.0]])).tolist() == [-1, -1, 0]


RUN = Run("digits", "norm", "trained_wide", 0, Settings(60.0, 1.0, 2e-3, 20.0, 0.3), 1, 60, (8, 8))


@pytest.fixture
def opened(monkeypatch):
    """Record which parts are opened, on small random parts."""
    parts = []

    def load(data, part, data_dir=None):
        parts.append(part)
        return random_binned(seed=speech.PARTS.index(part), n_samples=80, n_units=20, rate=0.5)

    monkeypatch.setattr(speech, "load", load)
    speech.minimum.cache_clear()
    yield parts
    speech.minimum.cache_clear()


@pytest.mark.parametrize("arm", ["no_delays", "trained_wide", "fixed_small"])
def test_training_never_opens_the_test_part(opened, arm):
    """`fit`, and `perform` without test scores, open training and validation voices only."""
    run = Run(**(RUN.__dict__ | {"arm": arm}))
    experiments.fit(run)
    assert set(opened) == {"train", "validation"}
    result = experiments.perform(run, score_test=False)
    assert set(opened) == {"train", "validation"} and "test" not in result
    experiments.perform(run)
    assert "test" in opened


def test_tuning_never_opens_the_test_part(opened, monkeypatch, tmp_path):
    """The whole search of settings, all arms, reads training and validation voices only."""
    monkeypatch.setattr(tune, "TRIALS", 1)
    monkeypatch.setattr(tune, "trials", lambda arm: tune.grid(arm)[:1])
    monkeypatch.setattr("lib.runs.STORE", tmp_path)
    monkeypatch.setattr(tune, "run_all", lambda runs, **k: [experiments.perform(r, score_test=k["score_test"]) for r in runs])
    outcome = tune.tune([COUNT_MLP, *experiments.ARMS], preset_name="smoke")
    assert set(opened) == {"train", "validation"}
    assert set(outcome["chosen"]) == {COUNT_MLP, *experiments.ARMS}


def test_a_silent_network_is_never_scored(opened):
    """Weights too small for a single spike: an error, not chance."""
    run = Run(**(RUN.__dict__ | {"settings": Settings(60.0, 1e-6, 1e-9, 20.0, 0.0)}))
    with pytest.raises(FloatingPointError, match="silent"):
        experiments.perform(run)


def test_surviving_spikes_are_drawn_anew_each_epoch_and_fixed_in_held_out_parts(opened):
    """Training samples differ between epochs in their times, never in their counts; validation is one draw a seed."""
    samples = experiments.training_samples(RUN)
    one, two = samples(0), samples(1)
    assert (one.counts() == two.counts()).all() and (one.bins != two.bins).any()
    assert (samples(0).bins == one.bins).all()
    assert (experiments.part_of(RUN, "validation").bins == experiments.part_of(RUN, "validation").bins).all()
    other = Run(**(RUN.__dict__ | {"seed": 1}))
    assert (experiments.part_of(other, "validation").bins != experiments.part_of(RUN, "validation").bins).any()


def test_counts_say_nothing_on_norm_and_much_on_whole(opened):
    """The perceptron on counts scores exactly chance on norm, and better than chance where counts tell the class."""
    norm_run = Run("digits", "norm", COUNT_MLP, 0, CountSettings(16, 1e-3), 1, None, (8, 8))
    result = experiments.perform(norm_run)
    assert result["test"]["clean"] == result["validation"]["reversed"] == 0.25
    telling = random_binned(seed=5, n_samples=200, n_units=4, rate=0.5)
    kept = telling.units != telling.labels[np.repeat(np.arange(200), np.diff(telling.offsets))]
    sample = np.repeat(np.arange(200), np.diff(telling.offsets))[kept]
    offsets = np.searchsorted(sample, np.arange(201))
    told = Binned(**(telling.__dict__ | {"bins": telling.bins[kept], "units": telling.units[kept], "offsets": offsets}))
    assert CountMLP(16, 1e-3, 0).fit(told).score(told) > 0.95


def test_audit_finds_a_leak_and_passes_norm(opened):
    """Counts are at exactly chance on norm; on whole, where a unit's count is the label, the probe finds it."""
    one, two = (experiments.part_of(RUN, part) for part in ("train", "validation"))
    assert audit.counts_are_equal(two) and not audit.counts_are_equal(speech.load("digits", "validation"))
    rows = {row["feature"]: row for row in audit.audit(one, two)}
    assert rows["counts"]["accuracy"] == rows["total count"]["accuracy"] == rows["active set"]["accuracy"] == 0.25
    late = order_task(0)
    shifted = Binned(**(late.__dict__ | {"bins": (late.bins // 5 + 10 * np.repeat(late.labels, 2)).astype(np.uint16)}))
    rows = {row["feature"]: row for row in audit.audit(shifted, shifted)}
    assert rows["first spike"]["accuracy"] > 0.95 and rows["first spike"]["low"] > rows["first spike"]["chance"]


def test_every_arm_has_the_same_budget():
    """Each arm is given TRIALS different settings of its own grid (all, where the grid is smaller)."""
    for arm in (COUNT_MLP, *experiments.ARMS):
        drawn = tune.trials(arm)
        assert len(set(drawn)) == len(drawn) == min(tune.TRIALS, len(tune.grid(arm)))
        assert set(drawn) <= set(tune.grid(arm)) and drawn == tune.trials(arm)


def test_committed_settings_are_the_winners_of_the_committed_trials():
    """`lib/tuned.json` holds, for each arm, the trial with the best validation score, and all its trials."""
    import json

    stored = json.loads(experiments.CHOSEN.read_text())
    for arm, rows in stored["trials"].items():
        best = max(rows, key=lambda row: row["validation"])
        assert {**stored["chosen"][arm], "validation": best["validation"]} == best
        settings = [experiments.settings_type(arm)(**{k: v for k, v in row.items() if k != "validation"}) for row in rows]
        assert settings == tune.trials(arm)
    assert set(stored["chosen"]) == {COUNT_MLP, *experiments.ARMS}
