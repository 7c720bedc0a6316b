"""Training: repeatable, learns what can be learnt, keeps its best epoch, and never sees the test voices."""

import io
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import random_binned
from toy import CONFIG, order_task

from lib import runs, train, tune
from lib.baselines import CountMLP
from lib.data import audit, speech
from lib.data.events import Binned
from lib.errors import InputError, RunFailed
from lib.experiments import arms
from lib.experiments import speech as experiment
from lib.experiments.arms import COUNT_MLP, CountSettings, Settings
from lib.experiments.speech import REVERSED, Perturbation, SpeechRun, fit, network_config, part_of, training_samples
from lib.network import NetworkConfig, SpikingNetwork
from lib.neurons import SRM
from lib.perturb import reverse
from lib.runs import Job
from lib.tables import select
from lib.train import Evaluation, TrainingConfig


def test_training_learns_an_order_and_keeps_the_best_epoch():
    """A task that only time can solve is learnt; the returned network scores what its best epoch scored."""
    validation = order_task(1)
    trained = train.train(CONFIG, TrainingConfig(12, 32, lr=1e-2), lambda epoch: order_task(2, 256), validation, seed=0)
    assert trained.validation_accuracy[trained.best_epoch] == max(trained.validation_accuracy) > 0.9
    assert train.evaluate(trained.network, validation).accuracy == trained.validation_accuracy[trained.best_epoch]


def test_the_best_epoch_is_copied_not_referred_to(monkeypatch):
    """Weights of an early best epoch are returned as they were then, though training went on (a flaw of many codes)."""
    scores = iter([0.9, 0.1, 0.1, 0.1])
    snapshots = []

    def evaluate(network, data, device="cpu"):
        snapshots.append([w.detach().clone() for w in network.weights])
        return Evaluation(next(scores), 1.0, [1.0, 1.0], np.zeros(0))

    monkeypatch.setattr(train, "evaluate", evaluate)
    trained = train.train(CONFIG, TrainingConfig(4, 32), lambda epoch: order_task(2), order_task(1), seed=0)
    assert trained.best_epoch == 0
    for kept, first, last in zip(trained.network.weights, snapshots[0], snapshots[-1], strict=True):
        assert torch.equal(kept, first) and not torch.equal(kept, last)


def test_same_seed_same_weights_in_fresh_processes():
    """Two fresh processes, same seed: the same bytes of weights; another seed: others."""
    code = (
        "import sys, torch; torch.set_num_threads(1); sys.path.insert(0, 'tests')\n"
        "from toy import CONFIG, order_task, train; from lib.train import TrainingConfig\n"
        "t = train.train(CONFIG, TrainingConfig(2, 32), lambda e: order_task(2), order_task(1), int(sys.argv[1]))\n"
        "print(train.weights_checksum(t.network))"
    )

    def run(seed):
        command = [sys.executable, "-c", code, str(seed)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert run(3) == run(3) != run(4)


@pytest.mark.parametrize(
    ("config", "n", "what"),
    [(TrainingConfig(0), 8, "epochs"), (TrainingConfig(1, 0), 8, "batch"), (TrainingConfig(1), 0, "samples")],
)
def test_training_on_nothing_is_refused(config, n, what):
    """No epochs, batches of nothing, no samples: one line."""
    with pytest.raises(InputError, match=what):
        train.train(CONFIG, config, lambda epoch: order_task(1).select(np.arange(n)), order_task(2), seed=0)


def test_scoring_nothing_is_refused():
    """No samples have no accuracy."""
    network = train.train(CONFIG, TrainingConfig(1), lambda epoch: order_task(1), order_task(2), seed=0).network
    with pytest.raises(InputError, match="no samples"):
        train.evaluate(network, order_task(1).select(np.arange(0)))


def test_a_diverged_loss_stops_training():
    """A weight that is not a number ends training with an error, not with a score."""
    data = order_task(0)
    config = NetworkConfig(**(CONFIG.__dict__ | {"weight_scale": float("nan")}))
    with pytest.raises(RunFailed, match="diverged"):
        train.train(config, TrainingConfig(1), lambda epoch: data, data, seed=0)


def test_ties_decide_nothing():
    """Two equal largest logits (above all: silence) give -1, which is never right."""
    assert train.decide(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0], [3.0, 1.0, 2.0]])).tolist() == [-1, -1, 0]


RUN = SpeechRun("digits", "norm", "trained_wide", 0, Settings(60.0, 1.0, 2e-3, 20.0, 0.3), 1, 60, (8, 8))


def _forget():
    for kept in (speech._minimum, experiment._kept_draws):
        kept.cache_clear()


@pytest.fixture
def opened(monkeypatch):
    """Record which parts are opened, on small random parts."""
    parts = []

    def load(data, part, data_dir=None):
        parts.append(part)
        return random_binned(seed=speech.PARTS.index(part), n_samples=80, n_units=20, rate=0.5)

    monkeypatch.setattr(speech, "load", load)
    _forget()
    yield parts
    _forget()


@pytest.mark.parametrize("arm", ["no_delays", "trained_wide", "fixed_small"])
def test_training_never_opens_the_test_part(opened, arm):
    """`fit`, and `perform` without test scores, open training and validation voices only."""
    run = replace(RUN, **{"arm": arm})
    fit(run, Job())
    assert set(opened) == {"train", "validation"}
    result = replace(run, parts=("validation",)).perform(Job())
    assert set(opened) == {"train", "validation"} and {score["part"] for score in result["scores"]} == {"validation"}
    run.perform(Job())
    assert "test" in opened


def test_tuning_never_opens_the_test_part(opened, monkeypatch, tmp_path):
    """The whole search of settings, all arms, reads training and validation voices only."""
    monkeypatch.setattr(tune, "TRIALS", 1)
    monkeypatch.setattr(tune, "trials", lambda arm: tune.grid(arm)[:1])
    monkeypatch.setattr(runs, "STORE", tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network of the smoke size may be silent
        outcome = tune.tune([COUNT_MLP, *arms.ARMS], jobs=1, preset="smoke")
    assert set(opened) == {"train", "validation"}
    assert set(outcome["chosen"]) == {COUNT_MLP, *arms.ARMS}


def checkpointed(path, epochs, stop=None):
    """Train on the order task; with `stop`, be interrupted when that epoch's samples are asked for."""

    def samples(epoch):
        if epoch == stop:
            raise KeyboardInterrupt
        return order_task(10 + epoch)

    return train.train(CONFIG, TrainingConfig(epochs, 32, lr=1e-2), samples, order_task(1), seed=0, checkpoint=path)


def loaded(path):
    """What a checkpoint holds: tensors and numbers, no code."""
    return torch.load(io.BytesIO(train.unseal(path.read_bytes())), weights_only=True)


@pytest.mark.parametrize("stop", [1, 2, 5])
def test_interrupted_training_goes_on_to_the_same_bits(tmp_path, monkeypatch, stop):
    """Weights, curves and best epoch equal those without an interruption, wherever it came; no code is in the file."""
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 0.0)
    whole = checkpointed(None, 6)
    path = tmp_path / "run.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        checkpointed(path, 6, stop)
    assert len(loaded(path)["courses"][0]["loss"]) == stop
    again = checkpointed(path, 6)
    assert train.weights_checksum(again.network) == train.weights_checksum(whole.network)
    assert (again.loss, again.validation_accuracy) == (whole.loss, whole.validation_accuracy)
    assert again.best_epoch == whole.best_epoch


def test_speech_runs_leave_checkpoints(opened, monkeypatch, tmp_path):
    """The file that the store gives a run is the one that its training writes and goes on from."""
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 0.0)
    job = Job(checkpoint=tmp_path / "run.checkpoint")
    first = fit(RUN, job)
    assert loaded(job.checkpoint)["courses"][0]["loss"] == first.loss
    longer = fit(RUN, job)  # it was at its end
    assert train.weights_checksum(longer.network) == train.weights_checksum(first.network)


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_damaged_checkpoint_is_said_and_left_aside(tmp_path, monkeypatch, size):
    """Cut at any length, the file gives one warning and training starts anew, to the same bits."""
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 0.0)
    path = tmp_path / "run.checkpoint"
    whole = checkpointed(path, 2)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.warns(UserWarning, match="damaged checkpoint, training starts anew"):
        again = checkpointed(path, 2)
    assert train.weights_checksum(again.network) == train.weights_checksum(whole.network)


def test_weights_checksum_sees_every_bit():
    """One unit in the last place of one delay changes it."""
    network = train.SpikingNetwork(CONFIG, torch.Generator().manual_seed(0))
    before = train.weights_checksum(network)
    with torch.no_grad():
        network.delays[1][3] = torch.nextafter(network.delays[1][3], torch.tensor(9.0))
    assert train.weights_checksum(network) != before


@pytest.mark.parametrize("largest", [0.1, 100.0])
def test_clipping_is_that_of_torch(largest):
    """The norm and every gradient, to the bit, where it is scaled and where it is not."""
    ours, theirs = (SpikingNetwork(CONFIG, torch.Generator().manual_seed(0)) for _ in range(2))
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
        other.grad = parameter.grad.clone()
    norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), largest)
    assert train.clip_(ours, 1, largest).tolist() == [norm.item()] and 0.1 < norm < 100
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(parameter.grad, other.grad)


def test_hidden_rates_are_of_all_samples(opened):
    """Rates do not depend on how samples are put into batches."""
    network = train.SpikingNetwork(CONFIG, torch.Generator().manual_seed(0))
    data = order_task(0, 100)
    whole, parts = (train.evaluate(network, data, batch=size) for size in (100, 33))
    np.testing.assert_allclose(parts.hidden_rates, whole.hidden_rates, rtol=1e-6)
    assert parts.accuracy == whole.accuracy and min(whole.hidden_rates) > 0


@pytest.mark.parametrize("arm", arms.CONTROLS)
def test_controls_train_and_are_scored(opened, arm):
    """Each control is the network that it says: units, delays, trained time constants, neurons, read-out."""
    kind = arms.KINDS[arm]
    run = replace(RUN, arm=arm, settings=Settings(kind.tau_ms or 60.0, 1.0, 0.1 if kind.srm else 8e-3, 1.0, 0.1))
    result = run.perform(Job())
    config = network_config(run, training_samples(run)(0))
    units, n_inputs = (16 if arm == "no_delays_large" else 8), config.n_inputs
    weights = n_inputs * units + units * units + 4 * units
    more = {"no_delays_learnt": 16, "recurrent": 128, "trained_input": n_inputs, "trained_hidden": 8, "srm_trained": 16}
    assert result["parameters"] == weights + more.get(arm, 0)
    assert [score["tested"] for score in result["scores"]] == ["clean", "reverse"] * 2
    assert training_samples(run)(0).n_bins == (200 if kind.srm else training_samples(RUN)(0).n_bins)
    assert (config.readout == "count") == isinstance(config.neuron, SRM) == kind.srm


def test_two_protocols(opened):
    """Perturbed in training: every epoch and the validation samples are; else only what is scored at test."""
    trained = replace(RUN, train_perturbation=REVERSED, test_perturbations=(REVERSED,))
    clean = training_samples(RUN)(3)
    assert (training_samples(trained)(3).bins == reverse(clean).bins).all()
    assert (clean.bins != reverse(clean).bins).any()
    both = [(part, tested) for part in ("validation", "test") for tested in ("clean", "reverse")]
    for run in (RUN, trained):
        assert [(score["part"], score["tested"]) for score in run.perform(Job())["scores"]] == both


def test_training_on_reversed_samples_is_training_on_a_reversed_world(opened):
    """A network trained and tested backwards scores what one trained and tested forwards scores on reversed parts."""
    result = replace(RUN, train_perturbation=REVERSED).perform(Job())
    network = fit(replace(RUN, train_perturbation=REVERSED), Job()).network
    backwards = train.evaluate(network, reverse(part_of(RUN, "validation"))).accuracy
    assert [score["accuracy"] for score in select(result["scores"], part="validation", tested="reverse")] == [backwards]


def test_unknown_perturbation_is_refused(opened):
    """A name that `lib.perturb` does not know ends the run before training."""
    with pytest.raises(ValueError, match="'shuffle' is unknown"):
        fit(replace(RUN, train_perturbation=Perturbation("shuffle", 1.0)), Job())


def test_a_silent_network_is_never_scored(opened):
    """Weights too small for a single spike: an error, not chance."""
    run = replace(RUN, **{"settings": Settings(60.0, 1e-6, 1e-9, 20.0, 0.0)})
    with pytest.raises(RunFailed, match="silent"):
        run.perform(Job())


def test_surviving_spikes_are_drawn_anew_each_epoch_and_fixed_in_held_out_parts(opened, monkeypatch):
    """Training samples differ between epochs in their times, never in their counts; validation is one draw a seed."""
    monkeypatch.setattr(experiment, "ROOM_FOR_DRAWS", 0)  # each is drawn when it is asked for
    samples = training_samples(RUN)
    one, two = samples(0), samples(1)
    assert (one.counts() == two.counts()).all() and (one.bins != two.bins).any()
    assert (samples(0).bins == one.bins).all()
    assert (part_of(RUN, "validation").bins == part_of(RUN, "validation").bins).all()
    other = replace(RUN, **{"seed": 1})
    assert (part_of(other, "validation").bins != part_of(RUN, "validation").bins).any()


def test_draws_that_are_kept_are_those_that_would_be_drawn(opened, monkeypatch):
    """Runs share their seed's draws while there is room, and get the same samples without any."""
    others = [{"seed": 0}, {"seed": 1}, {"samples": 50}, {"variant": "norm_aligned"}, {"variant": "part"}]
    asked = [(replace(RUN, **other), epoch) for other in others for epoch in (0, 1, 2)]
    drawn = [training_samples(run)(epoch) for run, epoch in asked]
    kept = experiment._kept_draws(speech.checksum("digits")).values()
    assert len(kept) == 12 and len({id(draw.units) for draw in kept}) == 4
    again = [training_samples(replace(run, **{"arm": "no_delays"}))(epoch) for run, epoch in asked]
    assert [one is other for one, other in zip(drawn, again, strict=True)] == 12 * [True] + 3 * [False]
    experiment._kept_draws.cache_clear()
    monkeypatch.setattr(experiment, "ROOM_FOR_DRAWS", 0)
    for (run, epoch), draw in zip(asked, drawn, strict=True):
        anew = training_samples(run)(epoch)
        assert anew is not draw and (anew.bins == draw.bins).all()
        assert (anew.units == draw.units).all() and (anew.offsets == draw.offsets).all()
    assert not experiment._kept_draws(speech.checksum("digits"))


def test_counts_say_nothing_on_norm_and_much_on_whole(opened):
    """The perceptron on counts scores exactly chance on norm, and better than chance where counts tell the class."""
    norm_run = SpeechRun("digits", "norm", COUNT_MLP, 0, CountSettings(16, 1e-3), 1, None, (8, 8))
    result = norm_run.perform(Job())
    assert [score["accuracy"] for score in result["scores"]] == [0.25] * 4
    telling = random_binned(seed=5, n_samples=2000, n_units=4, rate=0.5)
    kept = telling.units != telling.labels[np.repeat(np.arange(2000), np.diff(telling.offsets))]
    sample = np.repeat(np.arange(2000), np.diff(telling.offsets))[kept]
    offsets = np.searchsorted(sample, np.arange(2001))
    told = Binned(**(telling.__dict__ | {"bins": telling.bins[kept], "units": telling.units[kept], "offsets": offsets}))
    assert CountMLP(16, 1e-3, 0).fit(told).score(told) > 0.95


def test_audit_finds_a_leak_and_passes_norm(opened):
    """Counts are at exactly chance on norm; on whole, where a unit's count is the label, the probe finds it."""
    one, two = (part_of(RUN, part) for part in ("train", "validation"))
    assert audit.counts_are_equal(two) and not audit.counts_are_equal(speech.load("digits", "validation"))
    rows = {row["feature"]: row for row in audit.audit(one, two)}
    assert not rows["counts"]["leak"]
    assert rows["counts"]["accuracy"] == rows["total count"]["accuracy"] == rows["active set"]["accuracy"] == 0.25
    late = order_task(0)
    shifted = Binned(**(late.__dict__ | {"bins": (late.bins // 5 + 10 * np.repeat(late.labels, 2)).astype(np.uint16)}))
    rows = {row["feature"]: row for row in audit.audit(shifted, shifted)}
    assert rows["first spike"]["accuracy"] > 0.95 and rows["first spike"]["low"] > rows["first spike"]["chance"]


def test_every_arm_has_the_same_budget():
    """Each arm is given TRIALS different settings of its own grid (all, where the grid is smaller)."""
    for arm in (COUNT_MLP, *arms.KINDS):
        drawn = tune.trials(arm)
        assert len(set(drawn)) == len(drawn) == min(tune.TRIALS, len(tune.grid(arm)))
        assert set(drawn) <= set(tune.grid(arm)) and drawn == tune.trials(arm)


def test_committed_settings_are_the_winners_of_the_committed_trials():
    """`tuned.json` holds, for each arm, the trial with the best validation score, and all its trials."""
    import json

    stored = json.loads(arms.CHOSEN.read_text())
    for arm, rows in stored["trials"].items():
        best = max(rows, key=lambda row: row["validation"])
        assert {**stored["chosen"][arm], "validation": best["validation"]} == best
        settings = [arms.settings_type(arm)(**{k: v for k, v in row.items() if k != "validation"}) for row in rows]
        assert settings == tune.trials(arm)
    assert set(stored["chosen"]) == {COUNT_MLP, *arms.KINDS}
