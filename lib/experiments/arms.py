"""The kinds of network that are compared on speech, and their settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

CHOSEN = Path(__file__).parent / "tuned.json"


@dataclass(frozen=True)
class Arm:
    """One kind of network in the comparison.

    Attributes:
        label: name on figures.
        delays: "none", "fixed" or "trained".
        small: delays start in U(0, 1 bin), where a delay layer does next to nothing before it is trained.
        tau_ms: membrane time constant if it is part of what the arm is; else None: tuned.
        train_tau: every hidden neuron's time constant is trained.
        widen: how many times as many hidden units.
        delayed: layers whose axons have delays, see `lib.network.NetworkConfig`.
        recurrent: hidden layers hear themselves.
        srm: the paper's neurons, spiking read-out and loss.
    """

    label: str
    delays: str
    small: bool = False
    tau_ms: float | None = None
    train_tau: bool = False
    widen: int = 1
    delayed: tuple[int, ...] | None = None
    recurrent: bool = False
    srm: bool = False


COUNT_MLP = "count_mlp"
ARMS = {
    "no_delays_short": Arm("no delays, τ = 20 ms", "none", tau_ms=20.0),
    "no_delays": Arm("no delays, best τ", "none"),
    "fixed_small": Arm("fixed delays < 1 bin", "fixed", small=True),
    "trained_small": Arm("delays trained from < 1 bin", "trained", small=True),
    "fixed_wide": Arm("fixed random delays", "fixed"),
    "trained_wide": Arm("delays trained from random", "trained"),
}
CONTROLS = {  # on norm alone: is it the delays, the memory, or the size?
    "no_delays_long": Arm("no delays, τ = 240 ms", "none", tau_ms=240.0),
    "no_delays_learnt": Arm("no delays, learnt τ", "none", train_tau=True),
    "no_delays_large": Arm("no delays, 256 units", "none", widen=2),
    "recurrent": Arm("recurrent, no delays", "none", recurrent=True),
    "trained_input": Arm("trained delays, inputs only", "trained", delayed=(0,)),
    "trained_hidden": Arm("trained delays, hidden only", "trained", delayed=(1,)),
    "srm_no_delays": Arm("SRM, no delays", "none", tau_ms=14.14, srm=True),
    "srm_trained": Arm("SRM, trained delays", "trained", small=True, tau_ms=14.14, delayed=(1, 2), srm=True),
}
KINDS = ARMS | CONTROLS
LABELS = {COUNT_MLP: "spike counts (MLP)"} | {name: arm.label for name, arm in KINDS.items()}


@dataclass(frozen=True)
class Settings:
    """What is tuned, on validation voices, with the same budget for every arm (`lib.tune`).

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


def settings_type(arm: str) -> type[Settings] | type[CountSettings]:
    """What is tuned of an arm."""
    return CountSettings if arm == COUNT_MLP else Settings


def chosen_settings() -> dict[str, Settings | CountSettings]:
    """The settings that `python -m lib tune` chose for every arm, on the digits' validation voices."""
    winners = json.loads(CHOSEN.read_text())["chosen"]
    return {arm: settings_type(arm)(**settings) for arm, settings in winners.items()}
