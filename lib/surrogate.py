"""The surrogate gradient: what the backward pass takes for the derivative of a spike.

A spike is a step of the membrane potential, whose derivative is zero wherever it exists. Training puts the
derivative of a smooth step in its place (Neftci, Mostafa, Zenke 2019). Here it is SuperSpike's fast sigmoid
(Zenke, Ganguli 2018).
"""

from __future__ import annotations

import torch

SLOPE = 10.0  # per threshold; steeper is nearer to a step and passes less gradient


def derivative(distance: torch.Tensor, slope: float = SLOPE) -> torch.Tensor:
    """1 / (1 + slope |distance|)^2, with distance = membrane potential - threshold. Any shape; 1 at threshold."""
    return 1 / (1 + slope * distance.abs()) ** 2


def primitive(distance: torch.Tensor, slope: float = SLOPE) -> torch.Tensor:
    """The smooth step of which `derivative` is the derivative: distance / (1 + slope |distance|)."""
    return distance / (1 + slope * distance.abs())
