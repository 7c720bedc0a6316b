"""One reader of a synthetic code: a trained network, a perceptron on counts, an observer, or the optimum of counts.

Two protocols, as for speech. *Trained at the level*: training, validation and test samples have the same share f of
relocated spikes (interval codes) or the same overlap (coincidence). *Clean-trained*: none in training, all levels at
test. A network is also tested on clean samples played backwards. The paper moves exactly floor(n f) spikes of a unit;
here each moves with probability f, anew in every epoch, because a unit has too few spikes for the former.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import observers
from ..baselines import CountMLP
from ..data import coincidence, intervals
from ..data.coincidence import CoincidenceTask
from ..data.events import Binned, Events
from ..data.intervals import IntervalTask
from ..errors import RunFailed
from ..event_network import EventNetworkConfig
from ..perturb import relocate, reverse
from ..runs import Job
from ..scores import balanced_accuracy
from ..train import Trained, TrainingConfig, evaluate, train_together, weights_checksum
from .arms import COUNT_MLP, Arm

COUNT_OPTIMUM, OBSERVER = "count_optimum", "observer"
SHORT_MS = (
    20.0  # the membrane time constants of speech networks; the paper's memory here, a filter of 50 ms, is as short
)
ARMS = {
    "no_delays_short": Arm("no delays, τ = 20 ms", "none", tau_ms=SHORT_MS),
    "no_delays": Arm("no delays, learnt τ", "none"),
    "no_delays_long": Arm("no delays, learnt τ, 4 × samples", "none"),
    "fixed_wide": Arm("fixed random delays", "fixed"),
    "trained_small": Arm("delays trained from < 1 ms", "trained", small=True),
    "trained_wide": Arm("delays trained from random", "trained"),
}
LABELS = {
    COUNT_OPTIMUM: "best by counts (exact)",
    COUNT_MLP: "spike counts (MLP)",
    OBSERVER: "observer who knows the code",
} | {name: arm.label for name, arm in ARMS.items()}


@dataclass(frozen=True)
class SyntheticRun:
    """A reader, what it is trained on and what it is scored on. Its fields are its identity.

    Attributes:
        task: the code; of coincidence at overlap 0.
        arm: a key of LABELS.
        seed: varies samples, relocation, weights and order. The same seed is the same samples for every arm.
        samples, tested: numbers of training and test samples; a quarter of `tested` validates.
        level: f or overlap in training.
        test_levels: at test.
        network, training: of a network, see `recipe`; None for other arms.
    """

    task: IntervalTask | CoincidenceTask
    arm: str
    seed: int
    samples: int
    tested: int
    level: float
    test_levels: tuple[float, ...]
    network: EventNetworkConfig | None = None
    training: TrainingConfig | None = None

    @property
    def effort(self) -> float:
        """Samples that are trained on, over all epochs."""
        return self.samples * self.training.epochs if self.training else 0.0

    @property
    def together(self) -> Hashable:
        """What runs agree on that can be trained side by side; None: it trains no network."""
        return (self.network, self.training, self.samples) if self.network else None

    def data_checksum(self, data_dir: str | None) -> None:
        """The data are made from the fields."""

    def perform(self, job: Job) -> dict:
        """Train if there is something to train, then score.

        Returns:
            `scores`, one a part and test: part, tested, level, samples, accuracy (balanced). Of a network also the
            number of trained parameters, best epoch, loss and the checksum of its weights.

        Raises:
            RunFailed: training diverged, or the network is silent.
        """
        if self.arm == COUNT_OPTIMUM:
            best = count_optimum(self.task, self.level)
            return {
                "scores": [{"part": "test", "tested": self.level, "reversed": False, "samples": 0, "accuracy": best}]
            }
        if self.arm == OBSERVER:
            return {"scores": self._scores(lambda data, level: observe(data, self.task, level), job)}
        if self.arm == COUNT_MLP:
            model = CountMLP(32, 1e-3, self.seed).fit(samples_of(self, "train", self.level))
            return {"scores": self._scores(lambda data, level: model.score(data), job)}
        (result,) = self.perform_together([self], job)
        if isinstance(result, RunFailed):
            raise result
        return result

    @staticmethod
    def perform_together(runs: Sequence[SyntheticRun], job: Job) -> list[dict | RunFailed]:
        """What `perform` gives for runs that agree on `together`, to the bit; RunFailed where it raises that."""
        results = []
        for run, trained in zip(runs, fit_together(runs, job), strict=True):
            try:
                results.append(trained if isinstance(trained, RunFailed) else run._result(trained, job))
            except RunFailed as failed:
                results.append(failed)
        return results

    def _result(self, trained: Trained, job: Job) -> dict:
        """Scores of a trained network, and what became of it."""

        def score(data: Binned, level: float) -> float:
            evaluation = evaluate(trained.network, data.events())
            if min(evaluation.hidden_rates) == 0:
                raise RunFailed(f"{self.arm}, seed {self.seed}: the hidden layer is silent")
            return evaluation.accuracy

        return {
            "scores": self._scores(score, job),
            "parameters": sum(p.numel() for p in trained.network.parameters() if p.requires_grad),
            "best_epoch": trained.best_epoch,
            "loss": trained.loss,
            "weights": weights_checksum(trained.network),
        }

    def _scores(self, score: Callable[[Binned, float], float], job: Job) -> list[dict]:
        """A record a part and test; of networks also one on samples played backwards, at the level of training."""
        records = []
        for part in ("validation", "test"):
            for level in self.test_levels:
                data = samples_of(self, part, level)
                versions = {False: data} | ({True: backwards(data)} if self.network and level == self.level else {})
                records += [
                    {"part": part, "tested": level, "reversed": reversed_, "samples": len(data), "accuracy": score(one, level)}
                    for reversed_, one in versions.items()
                ]  # fmt: skip
        return records


def recipe(task: IntervalTask | CoincidenceTask, arm: str, hidden: int, epochs: int) -> tuple:
    """Network and training of an arm: the one place of all settings.

    Taken over from prototypes, not tuned again here. Without delays, memory starts as long as the task needs, a quarter of
    the longest lag, and different in every neuron: the strongest opponent that we found. With delays it may start short.

    Returns:
        EventNetworkConfig, TrainingConfig.
    """
    kind = ARMS[arm]
    if isinstance(task, CoincidenceTask):
        longest, tau, weights = 15.0, 50.0, (0.0, 0.2)  # paper: delays to 15 ms; filters of 50 ms
        lr, batch = 3e-2, 32  # with 1e-2 and three units, half of the seeds end with two units on one pair of groups
        crowded, n_inputs, n_classes = True, 3 * coincidence.GROUP_SIZE, 3
    else:
        longest, weights, batch, n_inputs, n_classes = float(task.longest_ms), (0.3, 0.4), 64, task.n_units, 2
        tau = SHORT_MS if kind.delays != "none" else max(SHORT_MS, longest / 4)
        crowded = task.pairs is None or task.pairs[1] > 30
        lr = 1e-2 if task.design == "matched" else 5e-3  # two lags among many pairs are learnt late
    learnt = kind.tau_ms is None
    network = EventNetworkConfig(
        n_inputs=n_inputs,
        n_classes=n_classes,
        hidden=hidden,
        tau_ms=tau if learnt else kind.tau_ms,
        tau_spread=0.5 if learnt else 0.0,
        train_tau=learnt,
        weight_mean=weights[0],
        weight_sd=weights[1],
        count_scale=0.1 if crowded else 1.0,
        delays=kind.delays,
        delay_init_ms=1.0 if kind.small else longest,
        delay_cap_ms=longest,
    )
    speed = longest / (50 if kind.small else 100)  # ms a step; from small ones the way is longer
    return network, TrainingConfig(epochs, batch, lr, delay_lr=speed)


def fit(run: SyntheticRun, job: Job) -> Trained:
    """Train the network of a run; makes no test samples.

    Raises:
        RunFailed: training diverged.
    """
    (trained,) = fit_together([run], job)
    if isinstance(trained, RunFailed):
        raise trained
    return trained


def fit_together(runs: Sequence[SyntheticRun], job: Job) -> list[Trained | RunFailed]:
    """Train the networks of runs that agree on `together`; makes no test samples."""
    samples = [training_samples(run) for run in runs]
    validation = [samples_of(run, "validation", run.level).events() for run in runs]
    seeds = [run.seed for run in runs]
    return train_together(runs[0].network, runs[0].training, samples, validation, seeds, "cpu", job.checkpoint)


def training_samples(run: SyntheticRun) -> Callable[[int], Events]:
    """Epoch -> the training samples of that epoch: relocated ones are drawn anew."""
    clean = samples_of(run, "train", 0.0 if isinstance(run.task, IntervalTask) else run.level)
    once = clean.events()
    if isinstance(run.task, CoincidenceTask) or run.level == 0:
        return lambda epoch: once
    return lambda epoch: relocated(run, clean, "train", run.level, epoch).events()


def samples_of(run: SyntheticRun, part: str, level: float) -> Binned:
    """Samples of a part ("train", "validation" or "test") at a level; seed, part and level decide them, not the arm."""
    n = {"train": run.samples, "validation": run.tested // 4, "test": run.tested}[part]
    if isinstance(run.task, CoincidenceTask):
        return coincidence.generate(replace(run.task, overlap=level), n, _rng(run.seed, part, level))
    clean = intervals.generate(run.task, n, _rng(run.seed, part)).spikes
    return relocated(run, clean, part, level)


def relocated(run: SyntheticRun, clean: Binned, part: str, level: float, epoch: int = 0) -> Binned:
    """Samples of an interval code with a share `level` of relocated spikes."""
    if level == 0:
        return clean
    return relocate(clean, level, _rng(run.seed, part, level, epoch), run.task.duration_ms)


def backwards(data: Binned) -> Binned:
    """Samples played backwards in the whole of their duration."""
    return reverse(data, data.n_bins * data.bin_width * 1e3)


def observe(data: Binned, task: IntervalTask | CoincidenceTask, level: float) -> float:
    """Balanced accuracy of the observer who knows the code (ideal, or else the reference decoder)."""
    if isinstance(task, CoincidenceTask):
        posterior = observers.coincidence_log_posterior(data, replace(task, overlap=level))
    else:
        posterior = observers.interval_log_posterior(data, task, level)
    return balanced_accuracy(posterior.argmax(axis=1), data.labels)


def count_optimum(task: IntervalTask | CoincidenceTask, level: float) -> float:
    """The highest accuracy that spike counts allow, without sampling."""
    if isinstance(task, CoincidenceTask):
        return observers.coincidence_count_optimum(replace(task, overlap=level))
    return observers.interval_count_optimum(task)


def _rng(*words) -> np.random.Generator:
    """A stream of random numbers of its own for these words."""
    return np.random.default_rng(list(hashlib.sha256(" ".join(map(repr, words)).encode()).digest()))
