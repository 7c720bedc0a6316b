"""One training on speech: which network, which data, what is perturbed in training and at test.

Two protocols are one mechanism. *Trained at the level*: `train_perturbation` is drawn anew in each epoch, and the
same perturbation is among `test_perturbations`. *Clean-trained*: there is none in training. Their conclusions differ.
Test voices are opened only by `SpeechRun.perform`, after training has ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from .. import perturb
from ..baselines import CountMLP
from ..data import speech
from ..data.events import Binned
from ..data.variants import make_variant
from ..errors import RunFailed
from ..inside import hidden_spikes
from ..network import RATE_STEPS, NetworkConfig, SpikingNetwork
from ..neurons import SRM
from ..runs import Job
from ..train import Trained, TrainingConfig, evaluate, train, weights_checksum
from .arms import COUNT_MLP, KINDS, CountSettings, Settings

DELAY_CAP_BINS = 64  # paper: 64 for SHD
ROOM_FOR_DRAWS = 2.5e8  # bytes, as many as the quick preset fills


@dataclass(frozen=True)
class Perturbation:
    """A change of spike times (`lib.perturb.apply`); its level in that perturbation's unit.

    Attributes:
        layer: whose spikes: 0 the inputs', 1 and 2 those of a hidden layer (at test only).
    """

    name: str
    level: float
    layer: int = 0

    @property
    def title(self) -> str:
        """Name in tables."""
        return self.name + (f" in hidden layer {self.layer}" if self.layer else "")


def named(change: Perturbation | None) -> tuple[str, float]:
    """Name and level in tables; of clean samples "clean" and 0."""
    return (change.title, change.level) if change else ("clean", 0.0)


REVERSED = Perturbation("reverse", 1.0)  # whole samples; the level says nothing
CLEAN = None


@dataclass(frozen=True)
class SpeechRun:
    """One training, and what it is scored on. Its fields are its identity.

    Attributes:
        data: a data set of `lib.data.speech`.
        variant: one of `lib.data.variants.VARIANTS`.
        arm: a key of KINDS, or COUNT_MLP.
        seed: varies weights, order of samples, surviving spikes, and perturbations. The same seed draws the same
            spikes and perturbations whatever the arm, so seeds are pairs.
        settings: tuned ones.
        epochs, samples, hidden: as in `lib.experiments.presets.SpeechSize`.
        train_perturbation: of the training samples and of the validation samples that choose the best epoch.
        test_perturbations: scored beside the clean samples. Relocated spikes may land on any step that is simulated: on
            more than the sample has in SRM networks (`RATE_STEPS`), and in hidden layers behind delays.
        parts: scored after training.
    """

    data: str
    variant: str
    arm: str
    seed: int
    settings: Settings | CountSettings
    epochs: int
    samples: int | None
    hidden: tuple[int, int]
    train_perturbation: Perturbation | None = CLEAN
    test_perturbations: tuple[Perturbation, ...] = (REVERSED,)
    parts: tuple[str, ...] = ("validation", "test")

    def tests(self, part: str) -> list[Perturbation | None]:
        """What a part is scored on: test voices on everything, validation voices on what choices are made by."""
        chosen_by = (REVERSED, self.train_perturbation)
        return [CLEAN, *(test for test in self.test_perturbations if part == "test" or test in chosen_by)]

    @property
    def effort(self) -> float:
        """Time that it takes, in those of a network without delays on norm, roughly."""
        spikes = 1.0 if self.variant.startswith("norm") else 2.0
        if self.arm == COUNT_MLP:
            return 0.1 * spikes
        kind = KINDS[self.arm]
        neurons = 2.0 if kind.recurrent else 2.5 if kind.srm else 1.0
        return spikes * neurons * kind.widen * (1.0 if kind.delays == "none" else 1.4)

    def data_checksum(self, data_dir: str | None) -> str:
        """Of the files that the data set consists of."""
        return speech.checksum(self.data, data_dir)

    def perform(self, job: Job) -> dict:
        """Train once, then score on validation and (once, at the end) on test voices.

        Returns:
            n_classes; `scores`, one a part and perturbation (see `_scores`); of a network also hidden rates, curves,
            number of trained parameters and the checksum of the final weights.

        Raises:
            RunFailed: training diverged, or the network is silent on what it was trained for.
        """
        if self.arm == COUNT_MLP:
            samples = training_samples(self, job.data_dir)(0)
            model = CountMLP(self.settings.hidden, self.settings.weight_decay, self.seed).fit(samples)
            return {
                "n_classes": len(samples.keys),
                "scores": self._scores(lambda data: {"accuracy": model.score(data)}, job),
            }
        trained = fit(self, job)
        network = trained.network
        return {
            "n_classes": network.config.n_classes,
            "scores": self._scores(lambda data, **first: _score(network, data, job.device, **first), job, network),
            "best_epoch": trained.best_epoch,
            "loss": trained.loss,
            "validation_accuracy": trained.validation_accuracy,
            "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
            "delays": [delays.detach().cpu().numpy().astype(float).round(2).tolist() for delays in network.delays],
            "weights": weights_checksum(network),
        }

    def _scores(self, score: Callable[..., dict], job: Job, network: SpikingNetwork | None = None) -> list[dict]:
        """A record a part and perturbation: samples, input spikes a sample, and what `_score` says of them.

        Confusion and speakers are kept of clean and reversed samples only. A silent hidden layer would be scored as chance: its accuracy is None instead.
        """
        records = []
        for part in self.parts:
            clean = part_of(self, part, job.data_dir)
            for change in self.tests(part):
                if change and change.layer:
                    hidden = hidden_spikes(network, clean, change.layer)
                    data = perturbed(self, hidden, part, change)
                    found = score(data, first=change.layer, n_bins=clean.n_bins)
                else:
                    data = perturbed(self, clean, part, change)
                    found = score(data)
                silent = min(found.get("hidden_rates") or [1.0]) == 0.0
                if silent and change == self.train_perturbation:
                    raise RunFailed(f"{self.arm} on {self.variant}, seed {self.seed}: a hidden layer is silent")
                tested, level = named(change)
                about = {"part": part, "tested": tested, "level": level, "samples": len(data)}
                found |= {"accuracy": None} if silent else {}
                if change not in (CLEAN, REVERSED):
                    found = {name: found[name] for name in ("accuracy", "hidden_rates") if name in found}
                records.append(about | {"input_spikes": len(data.bins) / len(data)} | found)
        return records


def _score(network: SpikingNetwork, data: Binned, device: str, **from_layer: int) -> dict:
    """What a network makes of samples.

    Returns:
        accuracy (balanced); hidden_rates: spikes a hidden neuron and sample; confusion: samples of each class (rows)
        that were taken for each class and, in a last column, for none; by_speaker: speaker -> [samples, right ones].
    """
    found = evaluate(network, data, device, **from_layer)
    confusion = np.zeros((len(data.keys), len(data.keys) + 1), np.int64)
    np.add.at(confusion, (data.labels, found.decisions), 1)  # -1 is the last column
    right, of = found.decisions == data.labels, {s: data.speakers == s for s in np.unique(data.speakers)}
    return {
        "accuracy": found.accuracy,
        "hidden_rates": found.hidden_rates,
        "confusion": confusion.tolist(),
        "by_speaker": {str(s): [int(mask.sum()), int(right[mask].sum())] for s, mask in of.items()},
    }


def training_samples(run: SpeechRun, data_dir: str | None = None) -> Callable[[int], Binned]:
    """Epoch -> the training samples of that epoch: variant and perturbation drawn anew."""
    data, kept = _read(run, "train", data_dir)
    if run.samples is not None:
        data = data.select(np.linspace(0, len(data) - 1, run.samples).astype(np.int64))

    @lru_cache(maxsize=1)  # epoch 0 is asked for more than once
    def samples(epoch: int) -> Binned:
        drawn = variant_of(run, data, kept, "train", data_dir, epoch)
        return perturbed(run, drawn, "train", run.train_perturbation, epoch)

    return samples


def fit(run: SpeechRun, job: Job) -> Trained:
    """Train the network of a run; opens the training and validation parts only."""
    samples = training_samples(run, job.data_dir)
    validation = part_of(run, "validation", job.data_dir, run.train_perturbation)
    training = TrainingConfig(run.epochs, lr=run.settings.lr, delay_lr=run.settings.delay_lr)
    config = network_config(run, samples(0))
    return train(config, training, samples, validation, run.seed, job.device, job.checkpoint)


def network_config(run: SpeechRun, example: Binned) -> NetworkConfig:
    """The network of a run for data like `example`."""
    arm, settings = KINDS[run.arm], run.settings
    srm = {"neuron": SRM(), "readout": "count", "widen_cap": True} if arm.srm else {}
    return NetworkConfig(
        n_inputs=example.n_units,
        hidden=tuple(arm.widen * n for n in run.hidden),
        n_classes=len(example.keys),
        bin_width_ms=example.bin_width * 1e3,
        tau_ms=settings.tau_ms,
        train_tau=arm.train_tau,
        recurrent=arm.recurrent,
        delays=arm.delays,
        delayed=arm.delayed,
        delay_init_bins=settings.delay_init_bins,
        delay_cap_bins=DELAY_CAP_BINS,
        weight_scale=settings.weight_scale,
        input_rate=len(example.bins) / (len(example) * example.n_bins * example.n_units),
        **srm,
    )


def _read(run: SpeechRun, part: str, data_dir: str | None) -> tuple[Binned, dict[tuple, Binned]]:
    """The samples of a part, and the draws of these data that are kept (see `variant_of`)."""
    kept = _kept_draws(speech.checksum(run.data, data_dir))  # once: files may change while a network is trained
    data, _ = speech.eligible(run.data, part, data_dir)
    return data, kept


@lru_cache(maxsize=1)
def _kept_draws(checksum: str) -> dict[tuple, Binned]:
    """Of the data with this checksum; filled by `variant_of`."""
    return {}


def variant_of(
    run: SpeechRun, data: Binned, kept: dict[tuple, Binned], part: str, data_dir: str | None, epoch: int = 0
) -> Binned:
    """`data`, of a part, as the run's variant; which spikes survive norm depends on seed, part and epoch.

    To draw them takes a seventh of the time of a small network's training. The draws are kept while there is room, and
    shared by the runs of a seed: nobody writes to them.

    Args:
        run, part, data_dir: which variant and seed, of which part.
        data, kept: samples of the part that have enough spikes, and the draws of these data so far; a new one is added.
        epoch: of training; 0 for held-out parts.
    """

    def name(epoch: int) -> tuple:  # the numbers of samples and spikes tell which samples these are
        return run.variant, run.seed, part, len(data), len(data.bins), epoch

    drawn = kept.get(name(epoch))
    if drawn is None:
        rng = np.random.default_rng([run.seed, speech.PARTS.index(part), epoch])
        drawn = make_variant(run.variant, data, speech.minimum(run.data, data_dir), rng)
        room = ROOM_FOR_DRAWS - sum(draw.bins.nbytes for draw in kept.values())
        if run.variant.startswith("norm") and drawn.bins.nbytes <= room:
            like = kept.get(name(0), drawn)  # all draws have as many spikes of a unit in a sample
            kept[name(epoch)] = drawn = replace(drawn, units=like.units, offsets=like.offsets)
    padded = run.arm in KINDS and KINDS[run.arm].srm  # to the steps in which the paper's loss counts spikes
    return replace(drawn, n_bins=max(drawn.n_bins, RATE_STEPS)) if padded else drawn


def perturbed(run: SpeechRun, data: Binned, part: str, change: Perturbation | None, epoch: int = 0) -> Binned:
    """`data`, perturbed; the draw depends on seed, part, perturbation, level and epoch, not on the arm.

    Spikes are relocated anywhere on the grid, as in the paper, so that at f = 1 nothing is left of onset and duration
    either. All else happens between the first and the last spike of a sample.
    """
    if change is CLEAN:
        return data
    grid_ms = 1e3 * data.n_bins * data.bin_width if change.name.startswith("relocate") else None
    words = f"{run.seed} {part} {change.name} {change.level!r} {epoch}"
    rng = np.random.default_rng(list(hashlib.sha256(words.encode()).digest()))
    return perturb.apply(change.name, data, change.level, rng, grid_ms)


def part_of(run: SpeechRun, part: str, data_dir: str | None = None, change: Perturbation | None = CLEAN) -> Binned:
    """A part in the run's variant, perturbed, the same in every epoch."""
    data, kept = _read(run, part, data_dir)
    return perturbed(run, variant_of(run, data, kept, part, data_dir), part, change)
