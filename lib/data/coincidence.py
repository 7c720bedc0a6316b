"""The synthetic coincidence code: which two of three groups of units are active together.

In every window each group is ON (about 12 of its 20 units fire) or OFF (about 2). Two groups share their state and
the third has the opposite one; the class is which. The distributions of active units are moved together until, at
overlap 1, they are the same and nothing is left to see. Design "paper": a fair coin sets the state in each window, so
that a group's total also tells something of its partner. Design "matched": every group is ON in exactly half of the
windows, so that counts have one distribution in all classes.

Spikes fall in the middle half of a window, on whole milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .events import Binned

GROUP_SIZE = 20
WINDOW_MS = 200
ACTIVE_MS = (50, 150)  # of a window
MEAN_ON, MEAN_OFF, MEAN_BOTH = 12.0, 2.0, 5.0  # active units at lambda = 0 and 1
GRID = 1001  # values of lambda that are tried (paper)
ODD_ONE_OUT = np.array([2, 1, 0])  # the group with the opposite state, by class
CLASS_NAMES = ("groups 1 and 2", "groups 1 and 3", "groups 2 and 3")


@dataclass(frozen=True)
class CoincidenceTask:
    """The coincidence code.

    Attributes:
        overlap: of the ON and OFF distributions, 0 to 1 (the paper's lambda'; below 0.037 it is 0.037).
        design: "paper" or "matched".
        n_windows: of 200 ms in a sample; even.

    Raises:
        InputError: a value is not one of these.
    """

    overlap: float
    design: str = "paper"
    n_windows: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= 1:
            raise InputError(f"overlap: {self.overlap} is not a share; give 0 to 1")
        if self.design not in ("paper", "matched"):
            raise InputError(f"design: {self.design!r} is not known; choose paper or matched")
        if self.n_windows % 2 or not 2 <= self.n_windows <= 326:
            raise InputError(f"n_windows: {self.n_windows} does not do; give an even number, 2 to 326 (65 s)")


def active_units(overlap: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Distributions of the number of active units of an ON and of an OFF group.

    Both are Poisson, cut at 20 units and normalised, with means (before the cut) 12 (1 - lambda) + 5 lambda and
    2 (1 - lambda) + 5 lambda. lambda is the one of 1,001 even steps that comes nearest to the overlap
    sum_k min(p_on(k), p_off(k)) asked for (paper).

    Returns:
        p_on, p_off: float64 (21,), probabilities of 0 to 20 active units; lambda.
    """
    from scipy.stats import poisson  # only here: it takes half a second to import

    mix = np.linspace(0, 1, GRID)[:, None]
    numbers = np.arange(GROUP_SIZE + 1)
    on = poisson.pmf(numbers, MEAN_ON * (1 - mix) + MEAN_BOTH * mix)
    off = poisson.pmf(numbers, MEAN_OFF * (1 - mix) + MEAN_BOTH * mix)
    on, off = (p / p.sum(axis=1, keepdims=True) for p in (on, off))
    best = np.abs(np.minimum(on, off).sum(axis=1) - overlap).argmin()
    return on[best], off[best], float(mix[best, 0])


def generate(task: CoincidenceTask, n_samples: int, rng: np.random.Generator) -> Binned:
    """Draw samples with equally frequent classes (to one).

    Returns:
        60 units on 1-ms bins; group g has units 20 g to 20 g + 19.
    """
    labels = rng.permutation(n_samples) % len(ODD_ONE_OUT)
    n, windows, groups = n_samples, task.n_windows, len(ODD_ONE_OUT)
    if task.design == "matched":
        shared = rng.permuted(np.tile(np.arange(windows) < windows // 2, (n, 1)), axis=1)
    else:
        shared = rng.random((n, windows)) < 0.5
    opposite = np.arange(groups) == ODD_ONE_OUT[labels][:, None]
    on = shared[:, None, :] ^ opposite[:, :, None]  # (n, groups, windows)
    p_on, p_off, _ = active_units(task.overlap)
    chance = rng.random(on.shape)
    active = np.where(on, np.searchsorted(p_on.cumsum(), chance), np.searchsorted(p_off.cumsum(), chance))
    order = rng.random((n, groups, GROUP_SIZE, windows)).argsort(axis=2)
    fires = order < np.minimum(active, GROUP_SIZE)[:, :, None, :]  # rounding may leave the last cumulative sum below 1
    sample, group, unit, window = np.nonzero(fires)  # in order of sample, unit and window
    bins = window * WINDOW_MS + rng.integers(*ACTIVE_MS, len(window))
    return Binned(
        bins=bins.astype(np.uint16),
        units=(group * GROUP_SIZE + unit).astype(np.uint16),
        offsets=np.searchsorted(sample, np.arange(n + 1)).astype(np.int64),
        labels=labels,
        speakers=np.zeros(n, np.int64),
        keys=CLASS_NAMES,
        n_units=groups * GROUP_SIZE,
        n_bins=windows * WINDOW_MS,
        bin_width=1e-3,
    )
