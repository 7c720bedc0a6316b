"""The surrogate gradient: what the backward pass takes for the derivative of a spike.

A spike is a step of the membrane potential, whose derivative is zero wherever it exists. Training puts the
derivative of a smooth step in its place (Neftci, Mostafa, Zenke 2019). With x = membrane potential - threshold and
k = slope, per threshold (steeper is nearer to a step and passes less gradient):

| name | derivative | source |
|---|---|---|
| fast_sigmoid | 1 / (1 + k |x|)^2 | SuperSpike (Zenke, Ganguli 2018) |
| exponential | exp(-k |x|) | SLAYER (Shrestha, Orchard 2018) |
| arctan | 1 / (1 + (k x)^2) | Fang et al. 2021 |

Each is 1 at threshold.
"""

from __future__ import annotations

import torch

NAMES = ("fast_sigmoid", "exponential", "arctan")
SLOPE = 10.0


def derivative(distance: torch.Tensor, slope: float = SLOPE, name: str = "fast_sigmoid") -> torch.Tensor:
    """Surrogate of the derivative of a spike in `distance` = membrane potential - threshold; any shape."""
    scaled = slope * distance.abs()
    if name == "fast_sigmoid":
        return 1 / (1 + scaled) ** 2
    if name == "exponential":
        return torch.exp(-scaled)
    return 1 / (1 + scaled**2)


def primitive(distance: torch.Tensor, slope: float = SLOPE, name: str = "fast_sigmoid") -> torch.Tensor:
    """The smooth step of which `derivative` is the derivative; 0 at threshold."""
    scaled = slope * distance.abs()
    if name == "fast_sigmoid":
        return distance / (1 + scaled)
    if name == "exponential":
        return -torch.sign(distance) * torch.expm1(-scaled) / slope
    return torch.atan(slope * distance) / slope
