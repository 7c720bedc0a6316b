"""A task that only time can solve, and a small run that trains on it, for the tests of training and of the store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib import train
from lib.data.events import Binned
from lib.errors import RunFailed
from lib.network import NetworkConfig
from lib.runs import Job

CONFIG = NetworkConfig(
    n_inputs=2, n_classes=2, bin_width_ms=14, input_rate=0.05, hidden=(12, 12), delays="trained", delay_init_bins=8,
    weight_scale=2.0,
)  # fmt: skip


def order_task(seed: int, n: int = 128) -> Binned:
    """Two units, one spike each; class = which fires first. Counts are equal."""
    rng = np.random.default_rng(seed)
    labels, first = rng.integers(0, 2, n), rng.integers(0, 10, n)
    bins = np.stack([first + np.where(labels == 0, 0, 5), first + np.where(labels == 0, 5, 0)], axis=1)
    return Binned(
        bins.ravel().astype(np.uint16), np.tile([0, 1], n).astype(np.uint16), np.arange(n + 1) * 2,
        labels, np.zeros(n, int), ("a", "b"), 2, 20, 0.014,
    )  # fmt: skip


@dataclass(frozen=True)
class ToyRun:
    """A training on the order task; every epoch is a checkpoint.

    If $TOY_LOG names a folder, epochs leave a mark there. If $TOY_DIES is "seed:epoch", the process of that run dies
    by SIGKILL before that epoch, once.
    """

    seed: int
    epochs: int = 4
    data: str = "abc"
    outcome: str = "trained"

    @property
    def effort(self) -> int:
        """What takes more epochs takes longer."""
        return self.epochs

    def data_checksum(self, data_dir: str | None) -> str:
        """Whatever the test says."""
        return self.data

    def perform(self, job: Job) -> dict:
        """Train, and mark each epoch."""
        if self.outcome == "failed":
            raise RunFailed(f"seed {self.seed} is silent")
        if self.outcome == "nan":
            return {"accuracy": [float("nan")]}
        train.CHECKPOINT_EVERY = 0.0

        def samples(epoch: int) -> Binned:
            mark(self.seed, epoch)
            return order_task(100 * self.seed + epoch, 256)

        config = train.TrainingConfig(self.epochs, 32, lr=1e-2)
        trained = train.train(CONFIG, config, samples, order_task(1), self.seed, checkpoint=job.checkpoint)
        return {"accuracy": trained.validation_accuracy, "weights": train.weights_checksum(trained.network)}


def mark(seed: int, epoch: int) -> None:
    """Note that an epoch's samples were asked for (the first epoch's also before training); die if told to."""
    folder = os.environ.get("TOY_LOG")
    if not folder:
        return
    with (Path(folder) / f"{seed}").open("a") as log:
        log.write(f"{epoch}\n")
    died = Path(folder) / "died"
    if os.environ.get("TOY_DIES") == f"{seed}:{epoch}" and not died.exists():
        died.touch()
        os.kill(os.getpid(), 9)
