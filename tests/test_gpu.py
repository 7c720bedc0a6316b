"""GPU kernels: equal to the specification, compiled for a GPU also where there is none, chosen where they run."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lib import kernels
from lib.errors import InputError
from lib.kernels import cpu, naive

CASES = Path(__file__).with_name("gpu_cases.py")
triton_missing = importlib.util.find_spec("triton") is None
needs_triton = pytest.mark.skipif(triton_missing, reason="triton is not installed: pip install '.[test]' on Linux")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def run_cases(**environment):
    """All of gpu_cases.py in a process of its own: where Triton runs is settled when it is imported."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_triton
def test_equal_to_the_specification_under_the_interpreter():
    """The cases of gpu_cases.py on tiny shapes, without a GPU."""
    run_cases(TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")


@needs_triton
@needs_gpu
def test_equal_to_the_specification_on_the_gpu():
    """The same cases, compiled, on the GPU."""
    run_cases(TRITON_INTERPRET="0")


@needs_triton
@pytest.mark.parametrize(
    "capability, reset, surrogate",
    [(80, "zero", "fast_sigmoid"), (90, "subtract", "exponential"), (90, "zero", "arctan")],
)
def test_kernels_compile_without_a_gpu(capability, reset, surrogate, tmp_path, monkeypatch):
    """Machine code for an A100 (80) and an H100 (90), in which the scans fetch their inputs ahead."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import triton
    from triton.backends.compiler import GPUTarget

    from lib.kernels import gpu

    delays, scans = {"WHOLE": reset == "zero"}, {"SYNAPTIC": 0.6, "ZERO": reset == "zero"}
    constants = {
        gpu._delay: delays,
        gpu._delay_adjoint: delays | {"KEEP": True},
        gpu._scan: scans | {"KEEP": True},
        gpu._scan_adjoint: scans | {"THROUGH": True, "SURROGATE": surrogate, "SLOPE": 10.0},
    }
    sizes = dict.fromkeys(("samples", "steps", "n_steps", "n"), "i32")
    for kernel, constant in constants.items():
        constant = constant | {"NEURONS": gpu.NEURONS}
        kinds = dict.fromkeys(kernel.arg_names, "*fp32") | sizes | dict.fromkeys(constant, "constexpr")
        if kernel is gpu._delay:
            kinds["spikes"] = "*u8"
        source = triton.compiler.ASTSource(kernel, {name: kinds[name] for name in kernel.arg_names}, constant)
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 1})
        assert compiled.asm["cubin"]
        assert ("cp.async" in compiled.asm["ptx"]) == (kernel in (gpu._scan, gpu._scan_adjoint))


@needs_triton
def test_chosen_for_cuda_tensors():
    """auto and gpu on a CUDA device are the GPU kernels, and one line says so."""
    from lib.kernels import gpu

    assert kernels.choose("auto", "cuda") is gpu and kernels.choose("gpu", torch.device("cuda:1")) is gpu
    assert kernels.describe("auto", "cuda") == "gpu: Triton scans on cuda"


def test_refused_where_they_cannot_run(monkeypatch):
    """gpu on the CPU is refused; without triton, auto falls back to the specification and gpu names what is missing."""
    with pytest.raises(InputError, match="gpu kernels do not run on cpu"):
        kernels.choose("gpu", "cpu")
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    assert kernels.choose("auto", "cuda") is naive and kernels.choose("auto", "cpu") is cpu
    with pytest.raises(InputError, match="pip install triton"):
        kernels.choose("gpu", "cuda")
