"""Fast kernels equal the specification; the specification equals hand calculation and finite differences."""

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from lib import kernels, surrogate
from lib.errors import InputError
from lib.kernels import cpu, naive, scans
from lib.kernels.lanes import LANES
from lib.kernels.spikes import SpikeList
from lib.neurons import LIF, SRM
from lib.provenance import ROOT

SHAPES = [(1, 1, 1), (1, 63, 3), (2, 1, 17), (3, 40, 129), (40, 17, 1), (1, 500, 3)]  # 40: more than one chunk
NEURONS = [
    LIF(),
    LIF(reset="subtract"),
    LIF(reset_gradient=True, synaptic_decay=0.6, surrogate="arctan"),
    LIF(reset="subtract", reset_gradient=True, surrogate="exponential", delays="whole"),
    SRM(threshold=1.0),
    SRM(tau=3.0, threshold=1.0, delays="linear", surrogate="arctan", surrogate_scale=0.7),
]


LIFS = [neuron for neuron in NEURONS if isinstance(neuron, LIF)]


def name(neuron):
    """Of a neuron, for the ids of tests."""
    words = (neuron.reset, neuron.reset_gradient) if isinstance(neuron, LIF) else ("srm", neuron.tau)
    return "-".join(map(str, (*words, neuron.surrogate)))


BOTH = pytest.mark.parametrize("kernel", [naive, cpu])


def spikes_of(shape, rate, seed=0, dtype=torch.float64):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).to(dtype)


def parameters(n_in, n_out, longest, seed=2, dtype=torch.float64):
    """Weights, delays and decays of a layer that spikes often."""
    generator = torch.Generator().manual_seed(seed)
    weight = 0.1 + torch.randn(n_out, n_in, generator=generator, dtype=dtype)
    delays = longest * torch.rand(n_in, generator=generator, dtype=dtype)
    delays[0] = longest
    return weight, delays, 0.5 + 0.5 * torch.rand(n_out, generator=generator, dtype=dtype)


def recurrent(n, seed=4, dtype=torch.float64):
    """Weights from the neurons of a layer to themselves."""
    return torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=dtype) / n**0.5


def dense(spikes, like):
    """What a layer emitted, as a tensor, from either kernel."""
    return spikes.lists.dense(like) if isinstance(spikes, cpu.Spikes) else spikes


def gradients(spikes, leaves, seed=9):
    """Gradients of a fixed random projection of a layer's spikes."""
    carrier = spikes.carrier if isinstance(spikes, cpu.Spikes) else spikes
    random = torch.randn(carrier.shape, generator=torch.Generator().manual_seed(seed), dtype=carrier.dtype)
    return torch.autograd.grad(carrier, leaves, random)


def two_layers(kernel, spikes, neuron, first, second, delayed=True):
    """Spikes of two layers, 5 and 3 steps longer than their input, and the gradients of all parameters."""
    leaves = [x.clone().requires_grad_() for x in (*first, *second)]
    weight, delays, decay, weight2, delays2, decay2 = leaves
    if isinstance(neuron, SRM):
        decay = decay2 = None
        del leaves[5], leaves[2]
    steps = [spikes.shape[1] + extra * delayed for extra in (5, 8)]
    hidden = kernel.layer(kernel.encode(spikes, weight), weight, delays if delayed else None, decay, neuron, steps[0])
    out = kernel.layer(hidden, weight2, delays2 if delayed else None, decay2, neuron, steps[1])
    if not delayed:
        leaves = [leaf for leaf in leaves if leaf is not delays and leaf is not delays2]
    return [dense(hidden, weight), dense(out, weight)], gradients(out, leaves)


def assert_equal_up_to(one, other, tolerance):
    scale = other.abs().max().item() or 1.0
    assert (one - other).abs().max().item() <= tolerance * scale


@pytest.mark.parametrize("neuron", NEURONS, ids=name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rate, longest", [(0.0, 12.7), (0.1, None), (0.1, 12.7), (1.0, 0.0)])
def test_layers_equal_the_specification(neuron, shape, rate, longest):
    """float64: identical spikes of two layers; gradients of weights, delays and decays within 1e-10."""
    first, second = parameters(shape[2], 17, longest or 0.0), parameters(17, 3, longest or 0.0, seed=3)
    spikes, delayed = spikes_of(shape, rate), longest is not None
    fast, slow = (two_layers(kernel, spikes, neuron, first, second, delayed) for kernel in (cpu, naive))
    for one, other in zip(fast[0], slow[0], strict=True):
        assert torch.equal(one, other)
    for one, other in zip(fast[1], slow[1], strict=True):
        assert_equal_up_to(one, other, 1e-10)


@pytest.mark.parametrize("neuron", NEURONS, ids=name)
@pytest.mark.parametrize("hidden", [63, 64, 65, 130])
def test_wide_layers_equal_the_specification(neuron, hidden):
    """As above where neurons fill more than one word of 64, and presynaptic ones several panels."""
    first, second = parameters(5, hidden, 6.5), parameters(hidden, 70, 6.5, seed=3)
    spikes = spikes_of((2, 25, 5), 0.3)
    fast, slow = (two_layers(kernel, spikes, neuron, first, second) for kernel in (cpu, naive))
    assert all(spikes[..., min(64, spikes.shape[2] - 6) :].any() for spikes in fast[0])
    for one, other in zip(fast[0], slow[0], strict=True):
        assert torch.equal(one, other)
    for one, other in zip(fast[1], slow[1], strict=True):
        assert_equal_up_to(one, other, 1e-10)


@pytest.mark.parametrize("neuron", LIFS, ids=name)
@pytest.mark.parametrize("shape", [*SHAPES, (33, 60, 129)], ids=str)
def test_recurrent_layers_equal_the_specification(shape, neuron):
    """Spikes that come back a step later, two layers, one sample falling silent early: in float64 identical spikes,
    and gradients of weights, delays, decays and recurrent weights within 1e-10."""
    spikes, found = spikes_of(shape, 0.1), []
    spikes[0, shape[1] // 3 :] = 0
    first, second = parameters(shape[2], 17, 4.5), parameters(17, 3, 4.5, seed=3)
    leaves = [x.requires_grad_() for x in (*first, recurrent(17), *second, recurrent(3))]
    for kernel in (cpu, naive):
        inputs = kernel.encode(spikes, leaves[0])
        hidden = kernel.layer(inputs, *leaves[:3], neuron, shape[1] + 5, leaves[3])
        out = kernel.layer(hidden, *leaves[4:7], neuron, shape[1] + 10, leaves[7])
        found.append(([dense(hidden, leaves[0]), dense(out, leaves[0])], gradients(out, leaves)))
    (fast, ours), (slow, theirs) = found
    assert all(torch.equal(one, other) for one, other in zip(fast, slow, strict=True))
    for one, other in zip(ours, theirs, strict=True):
        assert_equal_up_to(one, other, 1e-10)


@pytest.mark.parametrize("neuron", [neuron for neuron in LIFS if neuron.synaptic_decay == 0], ids=name)
def test_recurrent_layers_come_to_rest(neuron):
    """Samples of 0 to 30 steps in 250, weak recurrent weights: the scans stop early, spikes and gradients are right."""
    spikes, found = spikes_of((4, 250, 33), 0.1), []
    for sample, length in enumerate((0, 5, 17, 30)):
        spikes[sample, length:] = 0
    weight, delays, decay = parameters(33, 17, 9.5)
    leaves = [x.requires_grad_() for x in (weight, delays, 0.6 * decay, 0.3 * recurrent(17))]
    for kernel in (cpu, naive):
        hidden = kernel.layer(kernel.encode(spikes, weight), *leaves[:3], neuron, 260, leaves[3])
        found.append((hidden, gradients(hidden, leaves)))
    (fast, ours), (slow, theirs) = found
    assert torch.equal(dense(fast, weight), slow) and slow[3].mean() > 0.005
    for one, other in zip(ours, theirs, strict=True):
        assert_equal_up_to(one, other, 1e-10)
    _, (*_, rest) = fast.carrier.grad_fn.scan
    assert (rest < 150).all()


@pytest.mark.parametrize("neuron", NEURONS, ids=name)
@pytest.mark.parametrize("dtype, compact, tolerance", [("64", False, 1e-10), ("32", False, 1e-5), ("32", True, 3e-3)])
@pytest.mark.parametrize("read", ["spikes", "sum"])
def test_long_silence_after_the_last_spike(read, neuron, dtype, compact, tolerance):
    """Samples of 0 to 30 steps in 250: spikes and gradients are the specification's, though scans stop at rest; the
    latter from a gradient of every spike and from one of their sum (of decays in float32: within twice the tolerance).
    """
    dtype, neuron = getattr(torch, f"float{dtype}"), replace(neuron, compact=compact)
    spikes = spikes_of((4, 250, 33), 0.1, dtype=dtype)
    for sample, length in enumerate((0, 5, 17, 30)):
        spikes[sample, length:] = 0
    weight, delays, decay = (x.requires_grad_() for x in parameters(33, 17, 9.5, dtype=dtype))
    with torch.no_grad():
        decay *= 0.6
    decay = decay if isinstance(neuron, LIF) else None
    leaves = [weight, delays] if decay is None else [weight, delays, decay]
    readout, found = torch.randn(2, 17, dtype=dtype, generator=torch.Generator().manual_seed(1)), []
    for kernel in (cpu, naive):
        hidden = kernel.layer(kernel.encode(spikes, weight), weight, delays, decay, neuron, 260)
        if read == "spikes":
            grads = gradients(hidden, leaves)
        else:
            grads = torch.autograd.grad(kernel.summed_potential(hidden, readout, 0.7).square().sum(), leaves)
        found.append((hidden, grads))
    (fast, ours), (slow, theirs) = found
    assert torch.equal(dense(fast, weight), slow) and slow[3].mean() > 0.005
    for leaf, one, other in zip(leaves, ours, theirs, strict=True):
        within = tolerance * (2 if leaf is decay and dtype == torch.float32 else 1)
        assert (one - other).norm() <= within * other.norm()
    _, (*_, rest) = fast.carrier.grad_fn.scan
    ebbs = isinstance(neuron, LIF) and neuron.synaptic_decay > 0  # such a current is followed to the end
    assert (rest == 260).all() if ebbs else (rest < 150).all()


def test_compiled_scans_run_as_plain_python():
    """With NUMBA_DISABLE_JIT=1, for debuggers: the same test passes on the uncompiled functions."""
    chosen = "layers_equal and 129 and 12.7 or recurrent_layers_equal and 63 or gradients_are_summed"
    words = [__file__, "-q", "-p", "no:cacheprovider", "-k", chosen]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, cwd=ROOT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and f"{2 * len(NEURONS) + len(LIFS) + 5} passed" in done.stdout, done.stdout[-2000:]


@pytest.mark.parametrize("compact, tolerance", [(False, 1e-5), (True, 3e-3)])
@pytest.mark.parametrize(
    "neuron, back",
    [(neuron, False) for neuron in NEURONS] + [(neuron, True) for neuron in LIFS],
    ids=lambda value: ("forwards", "recurrent")[value] if isinstance(value, bool) else name(value),
)
def test_float32_agrees_with_the_specification(neuron, back, compact, tolerance):
    """One layer in float32, eight draws: at least 99.9 % equal spikes; in at least half of the draws all are equal,
    and over those the median relative RMS error of each gradient is within tolerance (of decays, whose long sums
    cancel and round in the specification too: twice)."""
    errors = []
    for seed in range(8):
        spikes = spikes_of((4, 80, 33), 0.1, seed, dtype=torch.float32)
        weight, delays, decay = (x.requires_grad_() for x in parameters(33, 17, 9.5, seed, dtype=torch.float32))
        decay = decay if isinstance(neuron, LIF) else None
        described, more = replace(neuron, compact=compact), []
        if back:
            more = [recurrent(17, seed, torch.float32).requires_grad_()]
        fast, slow = (
            k.layer(k.encode(spikes, weight), weight, delays, decay, described, 90, *more) for k in (cpu, naive)
        )
        equal = dense(fast, weight) == slow
        assert equal.float().mean() >= 0.999 and 0.01 < slow.mean() < 0.9
        if equal.all():
            leaves = [weight, delays] if decay is None else [weight, delays, decay, *more]
            pairs = zip(gradients(fast, leaves), gradients(slow, leaves), strict=True)
            errors.append([((one - other).norm() / other.norm()).item() for one, other in pairs])
    assert len(errors) >= 4
    assert (np.median(errors, 0) <= tolerance * np.array([1, 1, 2, 1])[: len(leaves)]).all()


def test_chunks_are_shared_with_helpers(monkeypatch):
    """All results, in order, also of a helper that takes long; its error arrives, after which no chunk is begun; a
    helper that helps itself does not wait for itself."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    here, begun = threading.get_ident(), []

    def slow(lo, hi):
        begun.append(lo)
        time.sleep(0.02 if threading.get_ident() == here else 0.1)
        return lo, hi

    assert cpu._over_chunks(slow, 100) == [(0, 32), (32, 64), (64, 96), (96, 100)]
    nested = cpu._over_chunks(lambda lo, hi: cpu._over_chunks(slow, 40), 64)
    assert nested == 2 * [[(0, 32), (32, 40)]]

    def failing(lo, hi):
        slow(lo, hi)
        raise ValueError(lo)

    begun.clear()
    with pytest.raises(ValueError):
        cpu._over_chunks(failing, 32 * 40)
    known = len(begun)
    time.sleep(0.2)
    assert len(begun) == known <= 3


def test_results_do_not_depend_on_threads():
    """The same bits from one thread and from three, through two layers and a recurrent one, and several chunks of a
    batch."""
    first, second = (parameters(n, 17, 4.5, dtype=torch.float32) for n in (7, 17))
    spikes = spikes_of((100, 20, 7), 0.2)

    def bits(threads):
        torch.set_num_threads(threads)
        try:
            emitted, grads = two_layers(cpu, spikes, LIF(), first, second)
            leaves = [x.clone().requires_grad_() for x in (*first, recurrent(17, dtype=torch.float32))]
            back = cpu.layer(cpu.encode(spikes, first[0]), *leaves[:3], LIF(), 25, leaves[3])
            return [*emitted, *grads, dense(back, first[0]), *gradients(back, leaves)]
        finally:
            torch.set_num_threads(1)

    for one, three in zip(bits(1), bits(3), strict=True):
        assert torch.equal(one, three)


@BOTH
@pytest.mark.parametrize("back", [False, True], ids=["forwards", "recurrent"])
def test_networks_on_a_leading_axis_equal_single_ones(kernel, back):
    """Five networks at once give the spikes, read-out and gradients of each alone; cpu: to the bit."""
    singles = [(*parameters(7, 6, 4.5, seed=seed), *[recurrent(6, seed)] * back) for seed in range(5)]
    together = [torch.stack(values).requires_grad_() for values in zip(*singles, strict=True)]
    spikes, neuron = spikes_of((5, 3, 20, 7), 0.2), LIF(reset_gradient=True)

    def evidence(batch, weight, delays, decay, *own):
        hidden = kernel.layer(kernel.encode(batch, weight), weight, delays, decay, neuron, 25, *own)
        return kernel.summed_potential(hidden, weight.mT, 0.7) + kernel.counts(hidden).sum(-1, keepdim=True)

    out = evidence(spikes, *together)
    grads = torch.autograd.grad(out.square().sum(), together)
    for r, single in enumerate(singles):
        leaves = [x.clone().requires_grad_() for x in single]
        alone = evidence(spikes[r], *leaves)
        pairs = [(alone, out[r])]
        pairs += zip(torch.autograd.grad(alone.square().sum(), leaves), [grad[r] for grad in grads], strict=True)
        for one, other in pairs:
            assert torch.equal(one, other) if kernel is cpu else torch.allclose(one, other, rtol=1e-12)


@BOTH
def test_golden_trace_of_a_spike_response_neuron(kernel):
    """SLAYER's kernels for SHD: 8 and 22 values, sum 2.490, least -20 two bins on; and a neuron by hand: spikes act
    one bin later, and one spike of its own keeps a neuron silent that would spike again."""
    psp, refractory = (10 * values for values in SRM().kernels())
    assert len(psp) == 8 and psp.sum() == pytest.approx(2.490, abs=5e-4)
    assert len(refractory) == 22 and refractory.min() == refractory[2] == -20
    # potentials: 0, 12 | .736 * 12 + 12 - 16.5 = 4.3, (.406 + .736) * 12 - 20 = -6.3
    assert run_one(kernel, [12.0, 12.0, 0.0, 0.0], SRM(), None) == [0, 1, 0, 0]
    # next to no refractory kernel: 0, 12 | 20.8 | 13.7 |
    assert run_one(kernel, [12.0, 12.0, 0.0, 0.0], SRM(refractory_scale=0.01), None) == [0, 1, 1, 1]


def test_compilation_is_announced_only_when_it_is_due(tmp_path):
    """One line, once, where kernels are not on disk as they are now, which includes the width of their vectors and all
    else in the files that they share; none where they are."""
    program = (
        "import numpy as np; from lib.kernels import cpu, scans\n"
        "for kind in (np.float32, np.float64):\n"
        "    scans.weigh(np.zeros(0, np.uint16), np.zeros((1, 3), np.int64), np.ones(2, kind), np.zeros((1, 5), kind))\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kept"), "PYTHONPATH": str(tmp_path)}
    shutil.copytree(ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("shipped_digits", "__pycache__"))
    for changed, lines in ((None, 1), (None, 0), ("lanes.py", 1), ("compiled.py", 1), ("spikes.py", 0)):
        if changed:
            with (tmp_path / "lib" / "kernels" / changed).open("a") as file:
                file.write("# changed\n")
        run = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        assert run.stderr.count("compiling") == lines, changed


@pytest.mark.parametrize("n", [vectors * LANES for vectors in (1, 3, 4, 5, 9)])
def test_weight_gradients_are_summed_from_the_last_spike_to_the_first(n):
    """float32, to the bit, for vectors by fours and one by one; spikes in the last step, and two of a neuron in one
    step; nothing else is read or written."""
    rng = np.random.default_rng(n)
    steps, units = np.sort(rng.integers(0, 6, 40)), rng.integers(0, 9, 44).astype(np.uint16)
    grad_current, starts = rng.standard_normal((6, n)).astype(np.float32), 2 + np.searchsorted(steps, np.arange(7))
    now, later = np.zeros((2, 9, n), np.float32)
    for t, unit in zip(steps[::-1], units[2:42][::-1], strict=True):
        now[unit] += grad_current[t]
        later[unit] += grad_current[t + 1] if t < 5 else 0
    assert {*steps} == {*range(6)} and {*units[2:42]} == {*range(9)}
    for wanted in ((1, 1), (1, 0), (0, 1)):
        found = [np.zeros((9 * want, n), np.float32) for want in wanted]
        scans.scatter(units, starts, grad_current, *found)
        for sums, expected, want in zip(found, (now, later), wanted, strict=True):
            np.testing.assert_array_equal(sums, expected[: 9 * want])


@BOTH
def test_scoring_gives_the_spikes_of_training(kernel):
    """Without gradients, where nothing is kept for a backward pass, a layer emits the same spikes."""
    spikes, leaves = spikes_of((3, 40, 9), 0.3), [x.requires_grad_() for x in parameters(9, 7, 3.5)]
    trained = kernel.layer(kernel.encode(spikes, leaves[0]), *leaves, LIF(), 45)
    with torch.no_grad():
        scored = kernel.layer(kernel.encode(spikes, leaves[0]), *leaves, LIF(), 45)
    assert dense(trained, leaves[0]).sum() > 20 and torch.equal(dense(scored, leaves[0]), dense(trained, leaves[0]))


@pytest.mark.parametrize("neuron", NEURONS[:3], ids=lambda n: n.surrogate)
@BOTH
def test_gradient_is_that_of_the_smoothed_neuron(kernel, neuron):
    """Below threshold, along a random direction in weights, delays and decays, the gradient is the finite difference
    of the layer with each spike replaced by the surrogate's primitive (the dot-product test)."""
    spikes = spikes_of((2, 12, 3), 0.3)
    leaves = [0.01 * x if i == 0 else x for i, x in enumerate(parameters(3, 2, 2.4))]
    random = torch.randn(2, 16, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(9))

    def smoothed(weight, delays, decay):
        current = naive.delay_spikes(spikes, delays, 16) @ weight.T
        potential = naive.leaky_integrator(naive.leaky_integrator(current, neuron.synaptic_decay), decay)
        return (surrogate.primitive(potential - 1, neuron.slope, neuron.surrogate) * random).sum()

    inputs = [x.clone().requires_grad_() for x in leaves]
    still = replace(neuron, reset="zero", reset_gradient=False)
    out = kernel.layer(kernel.encode(spikes, inputs[0]), *inputs, still, 16)
    assert dense(out, inputs[0]).sum() == 0
    generator = torch.Generator().manual_seed(4)
    direction = [torch.randn(x.shape, dtype=torch.float64, generator=generator) for x in leaves]
    slope = sum((g * d).sum() for g, d in zip(gradients(out, inputs), direction, strict=True)).item()
    up, down = ([x + e * d for x, d in zip(leaves, direction, strict=True)] for e in (1e-6, -1e-6))
    assert slope == pytest.approx(((smoothed(*up) - smoothed(*down)) / 2e-6).item(), rel=1e-5)


@BOTH
def test_summed_potential_and_counts(kernel):
    """Sums of spikes and of the potentials they leave, from the recursion written out, with their gradients."""
    spikes, (weight, _, decay) = spikes_of((3, 9, 4), 0.4), parameters(4, 5, 0.0)
    hidden = kernel.layer(kernel.encode(spikes, weight), weight.requires_grad_(), None, decay, LIF(), 9)
    again = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    total, potential = torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 2, dtype=torch.float64)
    for now in naive.layer(spikes, weight, None, decay, LIF(), 9).unbind(1):
        potential = 0.7 * potential + now @ again.T
        total = total + potential
    summed = kernel.summed_potential(hidden, again, 0.7)
    assert_equal_up_to(summed, total, 1e-12)
    for one, other in zip(
        torch.autograd.grad(summed.square().sum(), (weight, again)),
        torch.autograd.grad(total.square().sum(), (weight, again)),
        strict=True,
    ):
        assert_equal_up_to(one, other, 1e-10)
    assert torch.equal(kernel.counts(hidden), dense(hidden, weight).sum(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("networks", [(), (3,)], ids=str)
@BOTH
def test_rate_is_the_mean_of_counts(kernel, networks, dtype):
    """To the bit, of one network and of several."""
    spikes, (weight, _, decay) = spikes_of((*networks, 7, 30, 4), 0.4, dtype=dtype), parameters(4, 5, 0.0, dtype=dtype)
    weight, decay = weight.expand(*networks, 5, 4), decay.expand(*networks, 5)
    hidden = kernel.layer(kernel.encode(spikes, weight), weight, None, decay, LIF(), 30)
    assert kernel.rate(hidden) == kernel.counts(hidden).mean().item() > 0


@pytest.mark.parametrize("used", [(0,), (1,), (0, 1), (2,), (0, 2), (0, 1, 2, 3), (3,)], ids=str)
def test_readers_of_one_layer_add_up(used):
    """Two potentials, counts and a next layer read the same spikes; whichever of them are used, the gradients of the
    layer are those of the specification."""
    spikes, next_ = spikes_of((3, 20, 7), 0.2), parameters(6, 4, 2.5, seed=3)

    def gradients_by(kernel):
        leaves = [x.requires_grad_() for x in parameters(7, 6, 4.5)]
        hidden = kernel.layer(kernel.encode(spikes, leaves[0]), *leaves, LIF(), 25)
        short, long = (kernel.summed_potential(hidden, next_[0], decay) for decay in (0.7, 0.9))
        after = kernel.layer(hidden, *next_, LIF(), 28)
        readers = (short, long, kernel.counts(hidden), kernel.summed_potential(after, next_[0].mT, 0.8))
        return torch.autograd.grad(sum(readers[i].square().sum() for i in used), leaves)

    for one, other in zip(gradients_by(cpu), gradients_by(naive), strict=True):
        assert other.abs().max() > 0
        assert_equal_up_to(one, other, 1e-10)


def run_one(kernel, current, neuron, decay=0.5):
    """Spikes of one neuron driven by weighted input, one input a step."""
    spikes = torch.eye(len(current), dtype=torch.float64)[None]
    weight = torch.tensor(current, dtype=torch.float64)[None]
    decay = None if decay is None else torch.full((1,), decay).double()
    out = kernel.layer(kernel.encode(spikes, weight), weight, None, decay, neuron, len(current))
    return dense(out, weight).flatten().tolist()


@BOTH
def test_golden_traces(kernel):
    """One neuron by hand, decay 0.5; a potential exactly at threshold spikes."""
    current = [0.6, 0.6, 0.2, 0.9, 1.0, 0.0, -1.0, 1.6, 0.5]
    #    zero: 0.6, 0.9, .65, 1.225| 1.0| 0.0, -1.0, 1.1| 0.5
    assert run_one(kernel, current, LIF()) == [0, 0, 0, 1, 1, 0, 0, 1, 0]
    #    subtract:   1.5| .75, 1.25| 1.125| 0.0625
    assert run_one(kernel, [1.5, 0.5, 1.0, 1.0, 0.0], LIF(reset="subtract")) == [1, 0, 1, 1, 0]
    #    synapse .5: .5, .25, .125; membrane .5, .5, .375; then 1.0625 more: 1.3125|, .53, .53
    assert run_one(kernel, [0.5, 0.0, 0.0, 1.0625, 0.0], LIF(synaptic_decay=0.5)) == [0, 0, 0, 1, 0]


@BOTH
@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_exactly_at_threshold_is_a_spike_in_both_passes(kernel, reset):
    """A potential of exactly 1 is reset, so that the next input does not reach threshold; and nothing of before the
    spike is in the gradient of what comes after it, but for what "subtract" leaves: half of it, in both kernels."""
    neuron = LIF(reset=reset)
    assert run_one(kernel, [1.0, 0.6, 0.4], neuron) == [1, 0, 0]
    spikes, weight = torch.eye(2).double()[None], torch.tensor([[1.0, 0.5]]).double().requires_grad_()
    out = kernel.layer(kernel.encode(spikes, weight), weight, None, torch.full((1,), 0.5).double(), neuron, 2)
    carrier = out.carrier if isinstance(out, cpu.Spikes) else out
    (gradient,) = torch.autograd.grad(carrier[0, 1, 0], weight)
    slope = surrogate.derivative(torch.tensor(-0.5).double(), neuron.slope, neuron.surrogate).item()
    assert gradient[0].tolist() == pytest.approx([0.0 if reset == "zero" else 0.5 * slope, slope], rel=1e-12)


@BOTH
def test_interspike_interval_at_constant_current(kernel):
    """A LIF at constant current I spikes every k bins, k the first with I (1 - a^k) / (1 - a) >= 1."""
    decay, current = 0.9, 0.2
    expected = next(k for k in range(1, 99) if current * (1 - decay**k) / (1 - decay) >= 1)
    times = np.flatnonzero(run_one(kernel, [current] * 100, LIF(), decay))
    assert times[0] == expected - 1 and (np.diff(times) == expected).all()


def test_whole_delays_shift_and_fractions_mix():
    """Delay 2 shifts by two bins and fills with zeros; 1.25 is 3/4 at one bin and 1/4 at two; nothing wraps round."""
    spikes = torch.tensor([1.0, 0, 0, 1]).double()[None, :, None].expand(1, 4, 2)
    out = naive.delay_spikes(spikes, torch.tensor([2.0, 1.25]).double(), 6)
    assert out[0, :, 0].tolist() == [0, 0, 1, 0, 0, 1]
    assert out[0, :, 1].tolist() == [0, 0.75, 0.25, 0, 0.75, 0.25]
    assert naive.delay_spikes(spikes, torch.tensor([2.0, 2.0]).double(), 4)[0, :, 0].tolist() == [0, 0, 1, 0]
    out = naive.delay_spikes(spikes, torch.tensor([2.9, 1.25]).double(), 6, "whole")
    assert out[0].T.tolist() == [[0, 0, 1, 0, 0, 1], [0, 1, 0, 0, 1, 0]]


def test_delay_gradients():
    """Linear: the finite difference (gradcheck). Whole: g[k] (y[k-1] - y[k]) summed, y the shifted spikes (SLAYER)."""
    delays = torch.tensor([0.3, 1.6, 2.5, 4.1], dtype=torch.float64, requires_grad=True)
    spikes = spikes_of((2, 9, 4), 0.4)
    assert torch.autograd.gradcheck(lambda s, d: naive.delay_spikes(s, d, 11), (spikes.requires_grad_(), delays))
    shifted = naive.delay_spikes(spikes.detach(), delays, 11, "whole")
    upstream = torch.randn(2, 11, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    (gradient,) = torch.autograd.grad(shifted, delays, upstream)
    y = shifted.detach().numpy()
    before = np.concatenate([np.zeros((2, 1, 4)), y[:, :-1]], 1)
    np.testing.assert_allclose(gradient, (upstream.numpy() * (before - y)).sum((0, 1)))


def test_no_gradient_through_a_detached_reset():
    """After a spike the past is forgotten; with the gradient through the reset it is not."""
    for through in (False, True):
        leaf = torch.tensor([0.5, 0.7, 0.3]).double()[None, :, None].requires_grad_()  # spikes in bin 1
        spikes = naive.lif(leaf, 0.9, LIF(reset_gradient=through))
        assert spikes.flatten().tolist() == [0, 1, 0]
        (gradient,) = torch.autograd.grad(spikes[0, 2, 0], leaf)
        assert (gradient.flatten()[:2] != 0).tolist() == [through, through] and gradient.flatten()[2] > 0


@pytest.mark.parametrize("name", surrogate.NAMES)
def test_surrogate_is_the_derivative_of_its_primitive(name):
    """Finite differences of the primitive; 1 at threshold; symmetric; finite and not negative on +-100."""
    x = torch.linspace(-100, 100, 4001, dtype=torch.float64) + 1e-3
    up, down = (surrogate.primitive(x + e, name=name) for e in (1e-6, -1e-6))
    derivative = surrogate.derivative(x, name=name)
    assert torch.allclose(derivative, (up - down) / 2e-6, rtol=1e-4, atol=1e-8)
    assert surrogate.derivative(torch.zeros(1), name=name).item() == 1
    assert torch.equal(derivative, surrogate.derivative(-x, name=name))
    assert (derivative >= 0).all() and torch.isfinite(derivative).all()


def test_spike_lists_hold_every_spike():
    """Dense to lists and back, also of nothing and of everything; lists are ordered in time."""
    for rate in (0.0, 0.3, 1.0):
        spikes = spikes_of((4, 30, 5), rate)
        lists = SpikeList.of_dense(spikes)
        assert torch.equal(lists.dense(spikes), spikes)
        assert (np.diff(lists.starts) == spikes.sum(2).numpy()).all()
    weight, _, decay = parameters(5, 7, 0.0)
    for batch in (4, 70):  # one chunk and several
        spikes = spikes_of((batch, 9, 5), 0.3)
        emitted = cpu.layer(cpu.encode(spikes, weight), weight, None, decay, LIF(), 9).lists
        assert emitted.starts[0, 0] == 0 and emitted.starts[-1, -1] == len(emitted.units)
        assert (emitted.starts[1:, 0] == emitted.starts[:-1, -1]).all()


def test_backends_are_chosen_by_name_and_device():
    """auto is cpu kernels on the CPU and the specification where there are none; impossible choices are refused."""
    assert kernels.choose("auto", "cpu") is cpu and kernels.choose("auto", "meta") is naive
    assert kernels.choose("naive", "cpu") is naive
    assert kernels.describe("auto", "cpu") == "cpu: event-driven compiled scans"
    assert kernels.describe("naive", "cpu") == "naive: plain torch on cpu"
    with pytest.raises(InputError, match="not known"):
        kernels.choose("tpu", "cpu")
    with pytest.raises(InputError, match="do not run on"):
        kernels.choose("cpu", "cuda")
    with pytest.raises(InputError, match="reset: 'none' is not known"):
        LIF(reset="none")
