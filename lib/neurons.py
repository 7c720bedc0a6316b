"""What a layer of neurons does between its input current and its spikes, as one description that all kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .errors import InputError
from .surrogate import NAMES, SLOPE

RESETS = ("zero", "subtract")
DELAYS = ("linear", "whole")


@dataclass(frozen=True)
class Neuron:
    """A neuron of one's own: a frozen dataclass below this one whose `spikes` is plain torch. It runs on naive.

    Attributes:
        delays: as of `LIF`.
    """

    delays: str = "linear"

    def spikes(self, current: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
        """Spikes, 0 or 1, like `current`; `lib.kernels.naive.Spike` gives them a surrogate gradient.

        Args:
            current: synaptic input, (batch, time, neurons).
            decay: exp(-bin width / membrane time constant), (neurons,).
        """
        raise NotImplementedError(f"{type(self).__name__}: say in `spikes` what it does")


@dataclass(frozen=True)
class LIF:
    """Leaky integrate-and-fire neurons with threshold 1.

    I[t] = a I[t-1] + W s[t],  v[t] = d r[t-1] + I[t],  s[t] = 1 if v[t] >= 1 else 0, where r is v after the reset:
    v (1 - s) ("zero") or v - s ("subtract"). The membrane decay d is an argument of the layer: it may be trained.

    Attributes:
        reset: "zero" or "subtract".
        reset_gradient: whether the gradient flows through the reset.
        synaptic_decay: a = exp(-bin width / synaptic time constant); 0: the current lasts one bin.
        delays: "linear" interpolation between bins, or "whole" bins with SLAYER's straight-through gradient.
        surrogate, slope: name and steepness of the surrogate gradient, see `lib.surrogate`.
        compact: keep two bytes of each membrane potential for the backward pass of the cpu kernels, not four.

    Raises:
        InputError: an unknown word.
    """

    reset: str = "zero"
    reset_gradient: bool = False
    synaptic_decay: float = 0.0
    delays: str = "linear"
    surrogate: str = "fast_sigmoid"
    slope: float = SLOPE
    compact: bool = False

    def __post_init__(self) -> None:
        _check(self, reset=RESETS, delays=DELAYS, surrogate=NAMES)


@dataclass(frozen=True)
class SRM:
    """Spike response neurons, the paper's: SLAYER's "SRMALPHA" (Shrestha, Orchard 2018).

    u[t] = sum_j psp[j] (W s_in)[t-j] + sum_j refractory[j] s[t-j],  s[t] = 1 if u[t] >= threshold else 0, both kernels
    alpha functions (t/tau) exp(1 - t/tau). There is no reset, and no gradient flows through the refractory kernel.

    Defaults are the paper's for SHD, as its authors' code has them; for the synthetic codes tau = tau_refractory =
    threshold = slope = 1.

    Attributes:
        tau, tau_refractory: time constants of the postsynaptic potential and of the refractory kernel, bins.
        threshold: of the membrane potential u, in units of the weights.
        refractory_scale: depth of the refractory kernel, thresholds.
        surrogate, slope, surrogate_scale: the surrogate gradient du/threshold -> s is surrogate_scale times that of
            `lib.surrogate`; in SLAYER's terms slope = 1 / tauRho, surrogate_scale = scaleRho / tauRho.
        delays, compact: as of `LIF`.

    Raises:
        InputError: an unknown word.
    """

    tau: float = 1.0
    tau_refractory: float = 2.0
    threshold: float = 10.0
    refractory_scale: float = 2.0
    surrogate: str = "exponential"
    slope: float = 10.0
    surrogate_scale: float = 1.0
    delays: str = "whole"
    compact: bool = False

    def __post_init__(self) -> None:
        _check(self, delays=DELAYS, surrogate=NAMES)

    def kernels(self) -> tuple[np.ndarray, np.ndarray]:
        """The postsynaptic and the refractory kernel in thresholds, one value a bin from the spike on."""
        psp = alpha_kernel(self.tau, 1.0)
        refractory = alpha_kernel(self.tau_refractory, -self.refractory_scale * self.threshold)
        return psp / self.threshold, refractory / self.threshold


def alpha_kernel(tau: float, peak: float) -> np.ndarray:
    """peak (t/tau) exp(1 - t/tau) at t = 0, 1, ... (tau in bins), up to the last value of at least 0.01: SLAYER's."""
    t = np.arange(int(30 * tau) + 2)
    values = peak * t / tau * np.exp(1 - t / tau)
    return values[: np.flatnonzero(np.abs(values) >= 0.01)[-1] + 1]


def _check(neuron: LIF | SRM, **words: tuple[str, ...]) -> None:
    for field, allowed in words.items():
        if getattr(neuron, field) not in allowed:
            raise InputError(f"{field}: {getattr(neuron, field)!r} is not known; choose from {', '.join(allowed)}")
