"""How large an experiment is. The presets differ only in sizes, levels and seeds; what is computed is the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
        whole_seeds: of the whole variant.
        hidden: units of the two hidden layers.
    """

    samples: int | None
    epochs: int
    seeds: tuple[int, ...]
    whole_seeds: tuple[int, ...]
    hidden: tuple[int, int] = (128, 128)  # paper, section on SHD: two hidden layers of 128


SPEECH = {
    "smoke": SpeechSize(
        samples=100,  # ours: five a class, seconds a run; the numbers mean nothing
        epochs=1,
        seeds=(0,),
        whole_seeds=(0,),
        hidden=(16, 16),
    ),
    "quick": SpeechSize(
        samples=None,
        epochs=20,  # ours: where the validation accuracy of every arm levels off under the one-cycle schedule
        seeds=(0, 1, 2),  # ours: three points show the spread; too few for an interval
        whole_seeds=(0,),
    ),
    "full": SpeechSize(
        samples=None,
        epochs=20,
        seeds=tuple(range(5)),  # ours: the fewest that give an interval (lib.statistics); the paper has one
        whole_seeds=tuple(range(5)),
    ),
    "paper": SpeechSize(
        samples=None,
        epochs=1000,  # paper, SHD recipe: 1,000 epochs at most (it stops early)
        seeds=tuple(range(5)),
        whole_seeds=tuple(range(5)),
    ),
}


def size_of(preset: str, sizes: Mapping[str, Size]) -> Size:
    """The size that a preset gives an experiment.

    Raises:
        InputError: there is no such preset.
    """
    if preset not in sizes:
        raise InputError(f"--preset: {preset!r} is not a preset; choose from {', '.join(sizes)}")
    return sizes[preset]
