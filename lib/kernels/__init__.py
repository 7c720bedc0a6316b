"""The operations of a spiking network, and which implementation runs them.

`naive` is the specification (plain torch, any device); `cpu` gives the same numbers from event-driven compiled scans,
`gpu` from scans written in Triton.
"""

from __future__ import annotations

from importlib.util import find_spec
from types import ModuleType

import torch

from ..errors import InputError
from . import cpu, naive

BACKENDS = ("auto", "naive", "cpu", "gpu")
FAST = {"cpu": "cpu", "cuda": "gpu"}  # the kernels made for a type of device


def choose(backend: str, device: torch.device | str) -> ModuleType:
    """The module that holds `encode`, `layer`, `counts`, `rate` and `summed_potential` for tensors on `device`.

    Args:
        backend: "naive", "cpu", "gpu", or "auto": cpu for CPU tensors, gpu for CUDA tensors where triton is installed,
            naive elsewhere.

    Raises:
        InputError: no such backend, or it does not run on the device or without triton.
    """
    fast = FAST.get(torch.device(device).type)
    no_triton = fast == "gpu" and find_spec("triton") is None
    if backend not in BACKENDS:
        raise InputError(f"backend: {backend!r} is not known; choose from {', '.join(BACKENDS)}")
    if backend in FAST.values() and backend != fast:
        raise InputError(f"backend: {backend} kernels do not run on {device}; choose auto or naive")
    if backend == "gpu" and no_triton:
        raise InputError("backend: gpu kernels need triton, which is missing; pip install triton, or choose naive")
    if backend == "naive" or fast is None or (fast == "gpu" and no_triton):
        return naive
    if fast == "cpu":
        return cpu
    from . import gpu  # only here, because it imports triton

    return gpu


def describe(backend: str, device: torch.device | str) -> str:
    """One line that says which engine runs.

    Raises:
        InputError: see `choose`.
    """
    run = choose(backend, device)
    if run is cpu:
        return "cpu: event-driven compiled scans"
    return f"naive: plain torch on {device}" if run is naive else f"gpu: Triton scans on {device}"
