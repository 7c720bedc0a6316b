"""The explorer's two trained networks, as they come with the code (made by `lib.explorer.make`)."""

from __future__ import annotations

import json
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from ..network import NetworkConfig, SpikingNetwork

FILE = Path(__file__).parent / "networks.npz"
ARMS = ("no_delays", "trained_wide")  # kinds of `lib.experiments.arms`, the best without delays and with trained ones
WEIGHT_STEP, DELAY_STEP = 2.0**-10, 2.0**-6  # thresholds, bins; powers of two, so that every kept number is exact


def read(path: Path = FILE) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
    """The file as it is.

    Returns:
        "arm/weights/0", ... -> steps, int16 (out, in); "arm/delays/0", ... -> steps, int16 (n,); and what is known of
        each arm: settings, seed, epochs, time constants, balanced accuracy on test voices.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(str(arrays.pop("about")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        remedy = "restore it with `git checkout -- lib/explorer`"
        raise InputError(f"{path}: cannot be read ({type(error).__name__}); {remedy}") from None


@lru_cache(maxsize=2)
def load(path: Path = FILE) -> dict[str, SpikingNetwork]:
    """Arm -> network, in float64 and on the readable kernels, so that every spike is exact.

    Raises:
        InputError: as `read`.
    """
    arrays, about = read(path)
    return {arm: _network(arm, arrays, about[arm]) for arm in about}


def _network(arm: str, arrays: dict[str, np.ndarray], about: dict) -> SpikingNetwork:
    weights = [arrays[f"{arm}/weights/{layer}"] * WEIGHT_STEP for layer in range(3)]
    delays = [arrays[name] * DELAY_STEP for name in sorted(arrays) if name.startswith(f"{arm}/delays/")]
    config = NetworkConfig(
        n_inputs=weights[0].shape[1],
        n_classes=len(weights[-1]),
        hidden=tuple(len(weight) for weight in weights[:-1]),
        bin_width_ms=about["bin_width_ms"],
        input_rate=1.0,  # decides the first weights only, which are replaced
        tau_ms=about["settings"]["tau_ms"],
        tau_readout_ms=about["tau_readout_ms"],
        delays="fixed" if delays else "none",
        backend="naive",
    )
    network = SpikingNetwork(config, torch.Generator()).double()
    with torch.no_grad():
        for parameter, values in zip([*network.weights, *network.delays], [*weights, *delays], strict=True):
            parameter.copy_(torch.from_numpy(values))
    return network.requires_grad_(False)
