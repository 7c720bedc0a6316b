"""What a layer of neurons does between its input current and its spikes, as one description that all kernels read."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InputError
from .surrogate import NAMES, SLOPE

RESETS = ("zero", "subtract")
DELAYS = ("linear", "whole")


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
        for field, allowed in (("reset", RESETS), ("delays", DELAYS), ("surrogate", NAMES)):
            if getattr(self, field) not in allowed:
                raise InputError(f"{field}: {getattr(self, field)!r} is not known; choose from {', '.join(allowed)}")
