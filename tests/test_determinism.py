"""Repeatability: the same bits on one machine, nearly the same on another CPU, the same statistics on a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import CONFIG, order_task

from lib import train
from lib.train import TrainingConfig

ROOT = Path(__file__).parents[1]
PROGRAM = """
import json, sys
from pathlib import Path
from toy import ToyRun
from lib.runs import Job, _compute
print(json.dumps(_compute({Path(sys.argv[1]): ToyRun(3, epochs=3)}, Job())[0].result))
"""


def trained(folder: Path, name: str, **variables: str) -> dict:
    """Accuracy of each epoch and SHA-256 of the weights of a run, by a fresh process with these variables."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"} | variables
    command = [sys.executable, "-c", PROGRAM, str(folder / f"{name}.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_machine_gives_the_same_bits(tmp_path):
    """Fresh processes, with other hashes of words and other numbers of threads in the environment (a run computes on
    one thread whatever they are): the same accuracy in every epoch, the same bytes of weights."""
    first = trained(tmp_path, "a", PYTHONHASHSEED="0", OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
    other = trained(tmp_path, "b", PYTHONHASHSEED="77", OMP_NUM_THREADS="3", NUMBA_NUM_THREADS="2", MKL_NUM_THREADS="3")
    assert first == other and len(first["weights"]) == 64


@pytest.mark.slow
def test_another_cpu_gives_nearly_the_same(tmp_path):
    """Without the vector instructions of this CPU, in torch, numpy and compiled loops, sums round otherwise: not the
    same bits, but accuracies within 5 points in every epoch."""
    plain = {
        "ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512_SKX",
        "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
    }  # fmt: skip
    here, elsewhere = trained(tmp_path, "a"), trained(tmp_path, "b", **plain)
    np.testing.assert_allclose(elsewhere["accuracy"], here["accuracy"], atol=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_statistics():
    """Eight seeds of the order task: mean accuracies on GPU and CPU differ by less than three standard errors, or by 2
    points."""
    scores = {}
    for device in ("cpu", "cuda"):
        config = TrainingConfig(6, 32, lr=1e-2)
        runs = [train.train(CONFIG, config, lambda e: order_task(9), order_task(1), seed, device) for seed in range(8)]
        scores[device] = np.array([max(run.validation_accuracy) for run in runs])
    error = np.sqrt(sum(values.var(ddof=1) / 8 for values in scores.values()))
    assert abs(scores["cpu"].mean() - scores["cuda"].mean()) < max(3 * error, 0.02)
