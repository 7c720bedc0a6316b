"""The experiment on speech: which networks, which data, what is scored.

A `Run` is one training: everything that decides its numbers, nothing else. `perform` executes it and returns plain
numbers; `lib.runs` stores and repeats. Test voices are opened only by `perform`, after training has ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from .baselines import CountMLP
from .data import speech
from .data.events import Binned
from .data.variants import norm
from .errors import InputError
from .network import NetworkConfig, SpikingNetwork
from .perturb import reverse
from .train import Trained, TrainingConfig, evaluate, train

CHOSEN = Path(__file__).parent / "tuned.json"


@dataclass(frozen=True)
class Arm:
    """One kind of network in the comparison.

    Attributes:
        label: name on figures.
        delays: "none", "fixed" or "trained".
        small: delays start in U(0, 1 bin), where a delay layer does next to nothing before it is trained.
        tau_ms: membrane time constant if it is part of what the arm is; else None: tuned.
    """

    label: str
    delays: str
    small: bool = False
    tau_ms: float | None = None


COUNT_MLP = "count_mlp"
ARMS = {
    "no_delays_short": Arm("no delays, τ = 20 ms", "none", tau_ms=20.0),
    "no_delays": Arm("no delays, best τ", "none"),
    "fixed_small": Arm("fixed delays < 1 bin", "fixed", small=True),
    "trained_small": Arm("delays trained from < 1 bin", "trained", small=True),
    "fixed_wide": Arm("fixed random delays", "fixed"),
    "trained_wide": Arm("delays trained from random", "trained"),
}


@dataclass(frozen=True)
class Settings:
    """What is tuned, on validation voices, with the same budget for every arm.

    Attributes:
        tau_ms: membrane time constant, ms.
        weight_scale: s.d. of the membrane potential at the start, thresholds.
        lr: peak learning rate of the weights.
        delay_init_bins: delays start in U(0, this), bins of 14.14 ms.
        delay_lr: peak learning rate of the delays, bins a step.
    """

    tau_ms: float
    weight_scale: float
    lr: float
    delay_init_bins: float = 0.0
    delay_lr: float = 0.0


@dataclass(frozen=True)
class CountSettings:
    """What is tuned of the perceptron on counts: hidden units and L2 penalty."""

    hidden: int
    weight_decay: float


@dataclass(frozen=True)
class Preset:
    """How large the experiment is; the network and the data are the same in all.

    Attributes:
        samples: training samples used (drawn evenly; None: all).
        epochs: passes over the training samples.
        seeds: of the norm variant; each varies weights, order, and which spikes survive.
        whole_seeds: of the whole variant.
        hidden: units of the two hidden layers.
    """

    samples: int | None
    epochs: int
    seeds: tuple[int, ...]
    whole_seeds: tuple[int, ...]
    hidden: tuple[int, int] = (128, 128)  # paper, SHD networks


PRESETS = {
    "smoke": Preset(samples=100, epochs=1, seeds=(0,), whole_seeds=(0,), hidden=(16, 16)),
    "quick": Preset(samples=None, epochs=20, seeds=(0, 1, 2), whole_seeds=(0,)),
    "full": Preset(samples=None, epochs=20, seeds=tuple(range(5)), whole_seeds=tuple(range(5))),
    "paper": Preset(samples=None, epochs=200, seeds=tuple(range(5)), whole_seeds=tuple(range(5))),
}
DELAY_CAP_BINS = 64  # paper: 64 for SHD


@dataclass(frozen=True)
class Run:
    """One training. Its fields are its identity."""

    data: str
    variant: str
    arm: str  # a key of ARMS, or COUNT_MLP
    seed: int
    settings: Settings | CountSettings
    epochs: int
    samples: int | None
    hidden: tuple[int, int]


def preset(name: str) -> Preset:
    """Look a preset up.

    Raises:
        InputError: there is no such preset.
    """
    if name not in PRESETS:
        raise InputError(f"--preset: {name!r} is not a preset; choose from {', '.join(PRESETS)}")
    return PRESETS[name]


def pick_device(name: str) -> str:
    """ "auto" is the GPU if there is one, else the CPU.

    Raises:
        InputError: cuda was asked for and is not there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: there is no CUDA device here; choose auto or cpu")
    if name not in ("cpu", "cuda"):
        raise InputError(f"--device: {name!r} is not known; choose auto, cpu or cuda")
    return name


def chosen_settings() -> dict[str, Settings | CountSettings]:
    """The settings that `python -m lib tune` chose for every arm, on the digits' validation voices."""
    winners = json.loads(CHOSEN.read_text())["chosen"]
    return {arm: settings_type(arm)(**settings) for arm, settings in winners.items()}


def settings_type(arm: str) -> type[Settings] | type[CountSettings]:
    """What is tuned of an arm."""
    return CountSettings if arm == COUNT_MLP else Settings


def timing_alone(data: str, preset_name: str) -> list[Run]:
    """The runs of the entry figure: every arm on norm, and four of them on whole."""
    size, settings = preset(preset_name), chosen_settings()

    def run(variant: str, arm: str, seed: int) -> Run:
        return Run(data, variant, arm, seed, settings[arm], size.epochs, size.samples, size.hidden)

    on_norm = [run("norm", arm, seed) for seed in size.seeds for arm in (COUNT_MLP, *ARMS)]
    whole_arms = (COUNT_MLP, "no_delays", "fixed_wide", "trained_wide")
    return on_norm + [run("whole", arm, seed) for seed in size.whole_seeds for arm in whole_arms]


def perform(run: Run, data_dir: str | None = None, device: str = "cpu", score_test: bool = True) -> dict:
    """Train once, then score on validation and (once, at the end) on test voices.

    Returns:
        Plain numbers: `clean` and `reversed` balanced accuracy and number of samples a part; of a network also the
        hidden rates, curves and number of trained parameters.
    """
    torch.set_num_threads(1)  # one core a run: runs are what is parallel
    parts = ("validation", "test") if score_test else ("validation",)
    if run.arm == COUNT_MLP:
        model = CountMLP(run.settings.hidden, run.settings.weight_decay, run.seed)
        model.fit(training_samples(run, data_dir)(0))
        return {part: _both_ways(model.score, part_of(run, part, data_dir)) for part in parts}
    trained = fit(run, data_dir, device)
    result: dict = {part: score(trained.network, run, part, data_dir, device) for part in parts}
    result |= {"best_epoch": trained.best_epoch, "loss": trained.loss, "curve": trained.validation_accuracy}
    result["parameters"] = sum(p.numel() for p in trained.network.parameters() if p.requires_grad)
    return result


def training_samples(run: Run, data_dir: str | None = None) -> Callable[[int], Binned]:
    """Epoch -> the training samples of that epoch, in the run's variant."""
    data, _ = speech.eligible(run.data, "train", data_dir)
    if run.samples is not None:
        data = data.select(np.linspace(0, len(data) - 1, run.samples).astype(np.int64))
    return partial(variant_of, run, data, "train", data_dir)


def fit(run: Run, data_dir: str | None = None, device: str = "cpu") -> Trained:
    """Train the network of a run; opens the training and validation parts only."""
    samples = training_samples(run, data_dir)
    validation = part_of(run, "validation", data_dir)
    training = TrainingConfig(run.epochs, lr=run.settings.lr, delay_lr=run.settings.delay_lr)
    return train(network_config(run, samples(0)), training, samples, validation, run.seed, device)


def network_config(run: Run, example: Binned) -> NetworkConfig:
    """The network of a run for data like `example`."""
    arm, settings = ARMS[run.arm], run.settings
    return NetworkConfig(
        n_inputs=example.n_units,
        hidden=run.hidden,
        n_classes=len(example.keys),
        bin_width_ms=example.bin_width * 1e3,
        tau_ms=settings.tau_ms,
        delays=arm.delays,
        delay_init_bins=settings.delay_init_bins,
        delay_cap_bins=DELAY_CAP_BINS,
        weight_scale=settings.weight_scale,
        input_rate=len(example.bins) / (len(example) * example.n_bins * example.n_units),
    )


def variant_of(run: Run, data: Binned, part: str, data_dir: str | None, epoch: int = 0) -> Binned:
    """`data` as the run's variant; which spikes survive norm depends on seed, part and epoch."""
    if run.variant == "whole":
        return data
    rng = np.random.default_rng([run.seed, speech.PARTS.index(part), epoch])
    return norm(data, speech.minimum(run.data, data_dir), rng)


def part_of(run: Run, part: str, data_dir: str | None = None) -> Binned:
    """A part in the run's variant, the same in every epoch."""
    return variant_of(run, speech.eligible(run.data, part, data_dir)[0], part, data_dir)


def score(network: SpikingNetwork, run: Run, part: str, data_dir: str | None, device: str) -> dict:
    """Balanced accuracy on a part, played forwards and backwards, and hidden firing rates.

    Raises:
        FloatingPointError: the network is silent, so its score would say nothing.
    """
    result = _both_ways(lambda data: evaluate(network, data, device)[0], part_of(run, part, data_dir))
    rates = [float(rate) for rate in network.hidden_rates]
    if min(rates) == 0.0:
        raise FloatingPointError(f"{run}: a hidden layer is silent; it would be scored as chance")
    return result | {"hidden_rates": rates}


def _both_ways(accuracy: Callable[[Binned], float], data: Binned) -> dict:
    """Score `data` played backwards and as it is."""
    return {"reversed": accuracy(reverse(data)), "clean": accuracy(data), "samples": len(data)}
