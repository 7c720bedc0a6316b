"""Who is timed: a function each, from a problem to a step of training and to the firing rates of the hidden layers.

Each gets its input in the form that it likes best, ready made. All compute the network of `lib.network` from the same
weights as far as the library allows: spyx resets by subtraction and one step later, and its gradient flows through the
reset. With delays all simulate as long as the slowest spike takes. Libraries are imported inside: a process uses one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .jax_contestants import brainstate, spyx  # noqa: F401 - found here by name
from .tasks import DECAY, LR, SLOPE, Problem

Contestant = tuple[Callable[[], None], Callable[[], list[float]]]


def ours(problem: Problem, **neuron) -> Contestant:
    """`lib`, spikes as lists."""
    from lib.data.events import Binned
    from lib.train import batch_of

    task = problem.task
    data = Binned(
        bins=problem.bin.astype(np.uint16),
        units=problem.unit.astype(np.uint16),
        offsets=np.searchsorted(problem.sample, np.arange(task.batch + 1)),
        labels=problem.labels,
        speakers=np.zeros_like(problem.labels),
        keys=tuple(str(i) for i in range(task.sizes[-1])),
        n_units=task.sizes[0],
        n_bins=task.n_bins,
        bin_width=1e-3,
    )
    return _network(problem, batch_of(data, np.arange(task.batch)), "cpu", **neuron)


def ours_compact(problem: Problem) -> Contestant:
    """`lib`, two bytes of each membrane potential kept for the backward pass."""
    return ours(problem, compact=True)


def torch_loop(problem: Problem) -> Contestant:
    """The specification in `lib.kernels.naive`: a loop over time in plain torch, differentiated by autograd."""
    import torch

    return _network(problem, torch.from_numpy(problem.dense()).transpose(0, 1).contiguous(), "naive")


def _network(problem: Problem, batch, backend: str, **neuron) -> Contestant:
    import torch

    from lib.network import NetworkConfig, SpikingNetwork
    from lib.neurons import LIF

    task, tau = problem.task, -1 / np.log(DECAY)
    config = NetworkConfig(
        n_inputs=task.sizes[0],
        hidden=task.sizes[1:-1],
        n_classes=task.sizes[-1],
        bin_width_ms=1.0,
        tau_ms=tau,
        tau_readout_ms=tau,
        input_rate=task.density,
        delays="trained" if task.longest_delay else "none",
        neuron=LIF(slope=SLOPE, **neuron),
        backend=backend,
    )
    network = SpikingNetwork(config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter, start in zip(network.parameters(), (*problem.weights, *problem.delays), strict=True):
            parameter.copy_(torch.from_numpy(start))
    step = _torch_step(problem, network.parameters(), lambda: network(batch), network.clamp_)
    return step, lambda: [rate / task.n_bins for rate in network.hidden_rates]


def _torch_step(problem: Problem, parameters, evidence: Callable, after: Callable = lambda: None) -> Callable[[], None]:
    import torch

    labels = torch.from_numpy(problem.labels)
    optimiser = torch.optim.Adam(parameters, LR, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(evidence(), labels).backward()
        optimiser.step()
        after()

    return step


def expert(problem: Problem) -> Contestant:
    """The best torch without a library, see `benchmarks.expert`."""
    import torch

    from . import expert

    task = problem.task
    order = np.lexsort((problem.unit, problem.sample, problem.bin))
    rows = torch.from_numpy(problem.bin * task.batch + problem.sample)[order]
    spikes = expert.sparse(rows, torch.from_numpy(problem.unit)[order], task.n_bins * task.batch, task.sizes[0])
    weights, delays = ([torch.nn.Parameter(torch.from_numpy(x)) for x in y] for y in (problem.weights, problem.delays))
    rates = []

    def evidence():
        out, rates[:] = expert.evidence(spikes, weights, delays, DECAY, SLOPE, task.batch, task.n_bins)
        return out

    def clamp() -> None:
        with torch.no_grad():
            for delay in delays:
                delay.clamp_(min=0)

    return _torch_step(problem, [*weights, *delays], evidence, clamp), lambda: list(rates)


def _product(_, spikes, weight):
    return spikes @ weight.T


def _layers(problem: Problem, neuron: Callable, readout: Callable, current: Callable = _product):
    """A network of any torch library, time first: current(layer, spikes, weight) and neuron, or the read-out's sum."""
    import torch

    spikes, rates = torch.from_numpy(problem.dense()), []
    weights = [torch.nn.Parameter(torch.from_numpy(w)) for w in problem.weights]

    def evidence():
        out = spikes
        rates.clear()
        for layer, weight in enumerate(weights):
            drive = current(layer, out, weight)
            if layer == len(weights) - 1:
                return readout(drive) / problem.task.n_bins
            out = neuron(drive)
            rates.append(out.detach().mean().item() * len(out) / problem.task.n_bins)

    return weights, evidence, lambda: list(rates)


def snntorch(problem: Problem) -> Contestant:
    """snnTorch: `Leaky`, step by step, reset to zero."""
    import snntorch
    import torch

    surrogate = snntorch.surrogate.fast_sigmoid(slope=SLOPE)
    hidden = snntorch.Leaky(beta=DECAY, spike_grad=surrogate, reset_mechanism="zero")
    leaky = snntorch.Leaky(beta=DECAY, reset_mechanism="none")

    def scan(layer, drive, which: int):
        state, out = layer.reset_mem(), []
        for now in drive.unbind(0):
            state = layer(now, state)
            out.append(state[which])
            state = state[1]
        return torch.stack(out)

    weights, evidence, rates = _layers(problem, lambda d: scan(hidden, d, 0), lambda d: scan(leaky, d, 1).sum(0))
    return _torch_step(problem, weights, evidence), rates


def spikingjelly(problem: Problem) -> Contestant:
    """SpikingJelly: `LIFNode`, all steps at once, hard reset, detached."""
    weights, evidence, rates = _layers(problem, *_spikingjelly())
    return _torch_step(problem, weights, evidence), rates


def dcls(problem: Problem) -> Contestant:
    """DCLS: a depthwise dilated convolution with one learnable spacing is an axonal delay; neurons of SpikingJelly."""
    import torch
    from DCLS.construct.modules import Dcls1d
    from torch.nn.functional import conv1d, pad

    delays, longest = [], problem.task.longest_delay
    for start in problem.delays:
        n, taps = len(start), longest + 1  # the last tap is "no delay"
        layer = Dcls1d(n, n, 1, groups=n, dilated_kernel_size=taps, bias=False, version="v1")
        with torch.no_grad():
            layer.weight.fill_(1)
            layer.P.copy_(torch.from_numpy(longest - start).view(layer.P.shape) - taps // 2)
        layer.weight.requires_grad_(False)
        delays.append(layer)

    def padded(spikes):
        return pad(spikes.permute(1, 2, 0), (longest, longest))

    inputs = padded(torch.from_numpy(problem.dense()))

    def current(layer: int, spikes, weight):
        if layer == len(delays):
            return spikes @ weight.T
        delayed = delays[layer](padded(spikes) if layer else inputs)
        return conv1d(delayed, weight[:, :, None]).permute(2, 0, 1).contiguous()  # the product, in DCLS's layout

    weights, evidence, rates = _layers(problem, *_spikingjelly(), current)
    return _torch_step(problem, [*weights, *(layer.P for layer in delays)], evidence), rates


def _spikingjelly() -> tuple[Callable, Callable]:
    """Neurons, and the read-out's sum over time."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    tau = 1 / (1 - DECAY)
    lif = neuron.LIFNode(
        tau=tau, decay_input=False, detach_reset=True, step_mode="m", surrogate_function=surrogate.SoftSign(SLOPE)
    )
    leaky = neuron.NonSpikingLIFNode(tau, decode="mean-mem")  # it divides its input by tau

    def run(module, drive):
        functional.reset_net(module)
        return module(drive)

    return lambda drive: run(lif, drive), lambda drive: run(leaky, drive) * tau * len(drive)
