"""The operations of a spiking network, and which implementation runs them.

`naive` is the specification (plain torch, any device); `cpu` gives the same numbers from event-driven compiled scans.
"""

from __future__ import annotations

from types import ModuleType

import torch

from ..errors import InputError
from . import cpu, naive

BACKENDS = ("auto", "naive", "cpu")


def choose(backend: str, device: torch.device | str) -> ModuleType:
    """The module that holds `encode`, `layer`, `counts` and `summed_potential` for tensors on `device`.

    Args:
        backend: "naive", "cpu", or "auto": cpu for CPU tensors, naive elsewhere.

    Raises:
        InputError: no such backend, or it does not run on the device.
    """
    on_cpu = torch.device(device).type == "cpu"
    if backend not in BACKENDS:
        raise InputError(f"backend: {backend!r} is not known; choose from {', '.join(BACKENDS)}")
    if backend == "cpu" and not on_cpu:
        raise InputError(f"backend: cpu kernels do not run on {device}; choose auto or naive")
    return cpu if on_cpu and backend != "naive" else naive


def describe(backend: str, device: torch.device | str) -> str:
    """One line that says which engine runs.

    Raises:
        InputError: see `choose`.
    """
    if choose(backend, device) is cpu:
        return f"cpu: event-driven compiled scans, kernel threads: {torch.get_num_threads()}"
    return f"naive: plain torch on {device}"
