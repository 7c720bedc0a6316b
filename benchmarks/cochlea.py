"""The cochlea against the SHD authors' converter: agreement of each stage, and speed at 700 units.

`python benchmarks/cochlea.py` (about two minutes, one core). The converter needs minutes and gigabytes for one
recording at 700 units, so it is timed at 4 and at 12 units, and its cost at 700 is the straight line through both.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from lauscher.audiowaves import MonoAudioWave
from lauscher.helpers import CommandLineArguments
from lauscher.transformations import BasilarMembrane, HairCell, HanningWindow, RmsNormalizer
from lauscher.transformations.wave2spike import Wave2Spike

from lib.data import cochlea

RATE, SECONDS = 48_000, 0.64  # a digit of average length


def vowel() -> np.ndarray:
    """A buzz of 120 Hz with the formants of an open vowel, and a noise floor."""
    time_ = np.arange(int(SECONDS * RATE)) / RATE
    formants = (700, 1100, 2600)
    partials = [(h, sum(1 / (1 + ((120 * h - f) / 120) ** 2) for f in formants)) for h in range(1, 40)]
    sound = sum(gain * np.sin(2 * np.pi * 120 * h * time_) for h, gain in partials)
    return sound + 0.01 * np.random.default_rng(0).standard_normal(len(time_))


def cpu_seconds(function, repetitions: int) -> float:
    """Median CPU time of `function`, children included, over repetitions."""
    times = []
    for _ in range(repetitions):
        before = os.times()
        function()
        after = os.times()
        times.append(sum(after[:4]) - sum(before[:4]))
    return float(np.median(times))


def agreement(sound: np.ndarray) -> None:
    """Print the largest difference of each stage, at seven units."""
    wave = MonoAudioWave(sound.copy(), RATE).transform(RmsNormalizer(0.3)).transform(HanningWindow())
    prepared = wave.samples.copy()
    membrane = wave.transform(BasilarMembrane(channels=7)).channels
    ours, _ = cochlea.prepare(sound, RATE, "hann")
    print(f"preparation       largest difference {abs(ours - prepared).max():.1e}")
    velocity = np.concatenate([v for _, v in cochlea.basilar_membrane(prepared, RATE, 7, len(prepared) // 2 + 1)])
    worst = (abs(velocity - membrane).max(axis=1) / abs(membrane).max(axis=1)).max()
    print(f"basilar membrane  largest difference {worst:.1e} of a place's peak")
    probability = MonoAudioWave(prepared, RATE).transform(BasilarMembrane(channels=7)).transform(HairCell()).channels
    worst = (abs(cochlea.hair_cell(membrane, RATE / 2) - probability) / probability.max()).max()
    print(f"hair cell         largest difference {worst:.1e} of the peak probability")
    np.random.seed(0)
    theirs = [len(MonoAudioWave(sound.copy(), RATE).transform(Wave2Spike(7)).spike_times) for _ in range(5)]
    mine = [len(cochlea.sound_to_spikes(sound, RATE, seed, 7, "hann")[0]) for seed in range(50)]
    print(f"whole chain       {np.mean(mine):.1f} spikes (s.d. {np.std(mine):.1f}, 50 seeds), ", end="")
    print(f"converter {np.mean(theirs):.1f} (s.d. {np.std(theirs):.1f}, 5 draws)")


def main() -> None:
    """Print agreement, then speed."""
    CommandLineArguments().num_concurrent_jobs = 1
    sound = vowel()
    cochlea.sound_to_spikes(sound, RATE, 0)  # compile, and compute the transfer function
    ours = cpu_seconds(lambda: cochlea.sound_to_spikes(sound, RATE, 0), 7)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    spikes = len(cochlea.sound_to_spikes(sound, RATE, 0)[0])
    print(f"ours              {ours:.3f} CPU s for {SECONDS} s of sound at 700 units, {spikes} spikes, {memory:.0f} MB")
    agreement(sound)
    few, more = 4, 12
    costs = [
        cpu_seconds(lambda n=n: MonoAudioWave(sound.copy(), RATE).transform(Wave2Spike(n)), 3) for n in (few, more)
    ]
    slope = (costs[1] - costs[0]) / (more - few)
    at_700 = costs[0] + slope * (700 - few)
    print(
        f"converter         {costs[0]:.2f} CPU s at {few} units, {costs[1]:.2f} at {more}: {at_700:.0f} at 700 (extrapolated)"
    )
    print(f"ratio             {at_700 / ours:.0f}")


if __name__ == "__main__":
    main()
