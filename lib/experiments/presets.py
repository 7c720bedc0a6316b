"""How large an experiment is. The presets differ only in sizes, levels and seeds; what is computed is the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from ..errors import InputError

PRESETS = ("smoke", "quick", "full", "paper")
Size = TypeVar("Size")


@dataclass(frozen=True)
class SpeechSize:
    """Size of a speech experiment.

    Attributes:
        samples: training samples used (drawn evenly; None: all).
        epochs: passes over the training samples.
        seeds: of the norm variant; each varies weights, order, which spikes survive, and perturbations.
        whole_seeds: of the other variants, of networks trained on other changes than relocation, and of controls.
        fractions, whole_fractions: shares f of relocated spikes to train at, beside 0, on norm and on part and whole.
        trained_at: other changes to train at, and their levels (ms, or share of deleted spikes).
        srm_fractions: shares f to train the paper's SRM networks at, beside 0, on norm.
        hidden: units of the two hidden layers.
        undrawn: whether networks trained clean are also scored on perturbations that no figure shows for them.
    """

    samples: int | None
    epochs: int
    seeds: tuple[int, ...]
    whole_seeds: tuple[int, ...]
    fractions: tuple[float, ...]
    whole_fractions: tuple[float, ...]
    trained_at: tuple[tuple[str, float], ...]
    srm_fractions: tuple[float, ...] = ()
    hidden: tuple[int, int] = (128, 128)  # paper, section on SHD: two hidden layers of 128
    undrawn: bool = False


TRAINED_AT = tuple(
    (name, level)
    for name, levels in (
        ("jitter", (35.0, 70.0, 350.0)),
        ("jitter_neurons", (35.0, 70.0, 350.0)),
        ("delete", (0.5, 0.7, 0.9)),
    )
    for level in levels
)


SPEECH = {
    "smoke": SpeechSize(
        samples=100,  # ours: five a class, seconds a run; the numbers mean nothing
        epochs=1,
        seeds=(0,),
        whole_seeds=(0,),
        fractions=(1.0,),
        whole_fractions=(1.0,),
        trained_at=(("jitter", 70.0),),
        hidden=(16, 16),
    ),
    "quick": SpeechSize(
        samples=None,
        epochs=20,  # ours: where the validation accuracy of every arm levels off under the one-cycle schedule
        seeds=(0, 1, 2),  # ours: three points show the spread; too few for an interval
        whole_seeds=(0,),
        fractions=(0.3, 0.6, 1.0),
        whole_fractions=(1.0,),
        trained_at=tuple(change for change in TRAINED_AT if change[1] in (70.0, 350.0, 0.5, 0.9)),
    ),
    "full": SpeechSize(
        samples=None,
        epochs=20,
        seeds=tuple(range(5)),  # ours: the fewest that give an interval (lib.statistics); the paper has one
        whole_seeds=tuple(range(5)),
        fractions=(0.2, 0.4, 0.6, 0.8, 1.0),
        whole_fractions=(0.2, 0.4, 0.6, 0.8, 1.0),
        trained_at=TRAINED_AT,
        srm_fractions=(1.0,),
        undrawn=True,
    ),
    "paper": SpeechSize(
        samples=None,
        epochs=1000,  # paper, SHD recipe: 1,000 epochs at most (it stops early)
        seeds=tuple(range(5)),
        whole_seeds=tuple(range(5)),
        fractions=tuple(f / 10 for f in range(1, 11)),
        whole_fractions=tuple(f / 10 for f in range(1, 11)),
        trained_at=TRAINED_AT,
        srm_fractions=tuple(f / 10 for f in range(1, 11)),
        undrawn=True,
    ),
}


@dataclass(frozen=True)
class SyntheticSize:
    """Size of the experiments on synthetic codes.

    Attributes:
        samples, tested: training and test samples of a run.
        epochs: passes over the training samples; twice as many for two lags among many pairs.
        hidden: units of the interval networks.
        seeds: each varies samples, weights, order and perturbations.
        arms: kinds of network.
        fractions: of relocated spikes, f.
        overlaps: of the coincidence code.
        lags: longest lags of polychrony, ms.
        starts: seeds of the paper's three coincidence units at no overlap, where bad starts are to be counted.
        long_control: whether a network without delays is also trained on four times the samples, at the longest lag.
        as_published: the paper's plane with its published rates and 10 s a sample; else 1 to 30 pairs in 2 or 4 s.
    """

    samples: int
    tested: int
    epochs: int
    hidden: int
    seeds: tuple[int, ...]
    arms: tuple[str, ...]
    fractions: tuple[float, ...]
    overlaps: tuple[float, ...]
    lags: tuple[int, ...]
    starts: int
    long_control: bool = False
    as_published: bool = False


SYNTHETIC = {
    "smoke": SyntheticSize(
        samples=60,
        tested=60,
        epochs=1,
        hidden=10,
        seeds=(0,),
        arms=("no_delays", "trained_wide"),
        fractions=(0.0, 1.0),
        overlaps=(0.0, 1.0),
        lags=(50, 200),
        starts=1,
    ),
    "quick": SyntheticSize(
        samples=3000,
        tested=2000,
        epochs=20,  # ours: enough for 98 % and more on clean samples
        hidden=100,  # paper
        seeds=(0, 1, 2),
        arms=("no_delays_short", "no_delays", "trained_wide"),
        fractions=(0.0, 0.2, 0.5, 1.0),
        overlaps=(0.0, 0.4, 0.5, 1.0),
        lags=(500,),
        starts=3,
    ),
    "full": SyntheticSize(
        samples=3000,  # of the plane as published: 2,158
        tested=2000,
        epochs=20,
        hidden=100,
        seeds=tuple(range(5)),
        arms=("no_delays_short", "no_delays", "fixed_wide", "trained_small", "trained_wide"),
        fractions=(0.0, 0.2, 0.5, 0.8, 1.0),
        overlaps=(0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0),
        lags=(50, 100, 200, 300, 500),
        starts=20,
        long_control=True,
        as_published=True,
    ),
}
SYNTHETIC["paper"] = replace(SYNTHETIC["full"], epochs=300, seeds=tuple(range(10)))  # paper: 301 and 501 epochs


def size_of(preset: str, sizes: Mapping[str, Size]) -> Size:
    """The size that a preset gives an experiment.

    Raises:
        InputError: there is no such preset.
    """
    if preset not in sizes:
        raise InputError(f"--preset: {preset!r} is not a preset; choose from {', '.join(sizes)}")
    return sizes[preset]
