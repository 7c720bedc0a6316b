"""`python -m benchmarks.compact`: does storing membrane potentials in two bytes cost accuracy? (some minutes)

Networks with trained delays on the timing-only digits, five seeds, exact and compact, on the validation voices.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from lib.experiments.arms import chosen_settings
from lib.experiments.presets import SPEECH
from lib.experiments.speech import SpeechRun, network_config, part_of, training_samples
from lib.neurons import LIF
from lib.train import TrainingConfig, evaluate, train

ARM, SEEDS = "trained_wide", range(5)


def validation_accuracy(seed: int, compact: bool) -> float:
    """Balanced accuracy (%) after a training of the quick preset."""
    size, settings = SPEECH["quick"], chosen_settings()[ARM]
    run = SpeechRun("digits", "norm", ARM, seed, settings, size.epochs, size.samples, size.hidden)
    samples, validation = training_samples(run), part_of(run, "validation")
    config = replace(network_config(run, samples(0)), neuron=LIF(compact=compact))
    training = TrainingConfig(run.epochs, lr=settings.lr, delay_lr=settings.delay_lr)
    trained = train(config, training, samples, validation, seed, "cpu", None)
    return 100 * evaluate(trained.network, validation, "cpu").accuracy


def main() -> None:
    """Print both accuracies of every seed, and the mean difference."""
    torch.set_num_threads(1)
    differences = []
    for seed in SEEDS:
        exact, compact = (validation_accuracy(seed, compact) for compact in (False, True))
        differences.append(compact - exact)
        print(f"seed {seed}: exact {exact:.1f} %, compact {compact:.1f} %", flush=True)
    print(
        f"compact minus exact: {np.mean(differences):+.2f} points, standard error {np.std(differences, ddof=1) / 5**0.5:.2f}"
    )


if __name__ == "__main__":
    main()
