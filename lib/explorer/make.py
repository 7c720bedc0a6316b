"""Training the explorer's two networks and recording its sounds (maintainers): `python -m lib.explorer.make`.

Two small networks of the experiments' kinds "no delays, best τ" and "delays trained from random", with the settings
that were chosen on validation voices, trained on *norm* by the experiments' own code. Weights are kept in 16 bits, in
steps of 1/1024 (delays 1/64 bin); what is said of their accuracy is that of the networks as they are kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from ..data import speech
from ..data.digits import utterances_of_voice
from ..data.events import BIN_WIDTH_PAPER
from ..experiments.arms import chosen_settings
from ..experiments.speech import REVERSED, SpeechRun, fit, part_of
from ..files import write_atomically
from ..network import SpikingNetwork
from ..provenance import ROOT, commit
from ..runs import Job
from ..train import evaluate
from . import sounds
from .networks import ARMS, DELAY_STEP, FILE, WEIGHT_STEP, load
from .samples import examples

SEED, EPOCHS, HIDDEN = 0, 20, (64, 64)  # epochs as in the quick and full presets; half as many units as in the paper
SAME = 0.95  # share of a recording's spikes that must come again: CPUs differ in a few


def run_of(arm: str) -> SpeechRun:
    """The training of one of the explorer's networks."""
    return SpeechRun("digits", "norm", arm, SEED, chosen_settings()[arm], EPOCHS, None, HIDDEN)


def train_networks(path: Path = FILE) -> None:
    """Train both networks, write them, and note how they do on the test voices."""
    arrays, about = {}, {}
    for arm in ARMS:
        run = run_of(arm)
        trained = fit(run, Job())
        network = trained.network
        arrays |= {f"{arm}/weights/{k}": _steps(w, WEIGHT_STEP) for k, w in enumerate(network.weights)}
        arrays |= {f"{arm}/delays/{k}": _steps(d, DELAY_STEP) for k, d in enumerate(network.delays)}
        about[arm] = {
            "settings": asdict(run.settings), "seed": SEED, "epochs": EPOCHS, "best_epoch": trained.best_epoch,
            "bin_width_ms": network.config.bin_width_ms, "tau_readout_ms": network.config.tau_readout_ms,
            "commit": commit(),
        }  # fmt: skip
        print(f"{arm}: validation {100 * max(trained.validation_accuracy):.1f} %", flush=True)
    _write(path, arrays, about)
    for arm, network in load(path).items():
        about[arm]["test"] = test_accuracy(network, run_of(arm))
        print(f"{arm}: test {about[arm]['test']}")
    _write(path, arrays, about)


def test_accuracy(network: SpikingNetwork, run: SpeechRun) -> dict[str, float]:
    """Balanced accuracy on all test samples, as spoken and reversed."""
    ways = {"clean": None, "reversed": REVERSED}
    return {way: evaluate(network, part_of(run, "test", None, change)).accuracy for way, change in ways.items()}


def _steps(values, step: float) -> np.ndarray:
    """Numbers as whole steps, int16."""
    steps = np.rint(values.detach().double().numpy() / step)
    if np.abs(steps).max() > np.iinfo(np.int16).max:
        raise RuntimeError(f"a weight or delay is beyond {step * np.iinfo(np.int16).max}; take larger steps")
    return steps.astype(np.int16)


def _write(path: Path, arrays: dict[str, np.ndarray], about: dict) -> None:
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)


def record_sounds(path: Path = sounds.FILE) -> None:
    """Write the sounds of all samples that the explorer offers."""
    wanted, recorded = examples(), []
    for voice in np.unique(wanted.data.speakers):
        chosen = np.flatnonzero(wanted.data.speakers == voice)
        with tempfile.TemporaryDirectory() as folder:  # a fresh process: see lib.data.espeak
            output = Path(folder) / "sounds.npz"
            numbers = wanted.recordings[chosen]
            command = [sys.executable, "-m", "lib.explorer.make", str(voice), str(output), *map(str, numbers)]
            subprocess.run(command, check=True, cwd=ROOT)
            with np.load(output) as file:
                recorded += [file[str(number)] for number in numbers]
        print(f"voice {voice}: {len(chosen)} sounds", flush=True)
    sounds.write(path, recorded)


def record_voice(voice: int, output: Path, numbers: list[int]) -> None:
    """Speak a voice's recordings with these numbers again and write them, (n,) bytes each, under their numbers.

    Raises:
        RuntimeError: the spikes that a sound makes are not those of the shipped sample.
    """
    kept, everything = {}, speech.load("digits", "test")
    first = int(np.flatnonzero(everything.speakers == voice)[0])
    for number, (_, sound, sample_rate, (times, units)) in enumerate(utterances_of_voice(voice)):
        if number in numbers:
            spikes = {(int(time / BIN_WIDTH_PAPER), int(unit)) for time, unit in zip(times, units, strict=True)}
            span = slice(*everything.offsets[first + number : first + number + 2])
            shipped = set(zip(everything.bins[span].tolist(), everything.units[span].tolist(), strict=True))
            if len(spikes & shipped) < SAME * len(spikes | shipped):
                raise RuntimeError(f"voice {voice}, recording {number}: its spikes are not the shipped ones")
            down = resample_poly(sound / 32768.0, sounds.SAMPLE_RATE, sample_rate)
            kept[str(number)] = sounds.encode(down)
        if number == max(numbers):
            break
    np.savez(output, **kept)


if __name__ == "__main__":
    if sys.argv[1:]:
        record_voice(int(sys.argv[1]), Path(sys.argv[2]), [int(number) for number in sys.argv[3:]])
    else:
        train_networks()
        record_sounds()
