"""The libraries on JAX, compiled whole, a step of training at a time; see `benchmarks.contestants`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .tasks import DECAY, LR, SLOPE, Problem


def spyx(problem: Problem):
    """spyx: `nn.Sequential` of `Linear` and `LIF`, run by `lax.scan`."""
    import jax
    import optax
    import spyx
    from flax import nnx

    spikes, labels, random = jax.numpy.asarray(problem.dense()), jax.numpy.asarray(problem.labels), nnx.Rngs(0)
    layers, activation = [], spyx.axn.superspike(SLOPE)
    for start in problem.weights:
        linear = nnx.Linear(*start.T.shape, use_bias=False, rngs=random)
        linear.kernel[...] = jax.numpy.asarray(start.T)
        layers += [linear, spyx.nn.LIF((len(start),), beta=DECAY, activation=activation, rngs=random)]
    layers[-1] = spyx.nn.LI((len(start),), beta=DECAY, rngs=random)
    model = spyx.nn.Sequential(*layers)
    optimiser = nnx.Optimizer(model, optax.adam(LR), wrt=nnx.Param)

    def loss(model, spikes, labels):
        evidence = spyx.nn.run(model, spikes)[0].mean(0)
        return optax.softmax_cross_entropy_with_integer_labels(evidence, labels).mean()

    train = spyx.optimize.make_train_step(loss)

    def rates() -> list[float]:
        hidden = [layers[:end] for end in range(2, len(layers), 2)]
        return [float(spyx.nn.run(spyx.nn.Sequential(*part), spikes)[0].mean()) for part in hidden]

    return lambda: train(model, optimiser, spikes, labels).block_until_ready(), rates


def brainstate(problem: Problem):
    """brainstate: its `Linear`, states and loop; the neuron, which it leaves to the user, written with its states."""
    import brainstate as bst
    import jax
    import jax.numpy as jnp
    import optax

    spikes, labels = jnp.asarray(problem.dense()), jnp.asarray(problem.labels)
    batch = problem.task.batch

    @jax.custom_gradient
    def fire(distance):
        return (distance >= 0).astype(distance.dtype), lambda g: g / (1 + SLOPE * jnp.abs(distance)) ** 2

    class Neurons(bst.nn.Module):
        def __init__(self, n: int, spiking: bool) -> None:
            super().__init__()
            self.v, self.spiking = bst.HiddenState(jnp.zeros((batch, n))), spiking

        def update(self, current):
            before = self.v.value
            if self.spiking:
                before = before * (jax.lax.stop_gradient(before) < 1)
            self.v.value = DECAY * before + current
            return fire(self.v.value - 1) if self.spiking else self.v.value

    synapses = [bst.nn.Linear(*w.T.shape, w_init=jnp.asarray(w.T), b_init=None) for w in problem.weights]
    neurons = [Neurons(len(w), i < len(problem.weights) - 1) for i, w in enumerate(problem.weights)]
    model = bst.nn.Sequential(*[layer for pair in zip(synapses, neurons, strict=True) for layer in pair])
    weights = model.states(bst.ParamState)
    optimiser = optax.adam(LR)
    memory = bst.ShortTermState(optimiser.init(weights.to_dict_values()))

    def run(upto: Callable, inputs):
        for layer in neurons:
            layer.v.value = jnp.zeros_like(layer.v.value)
        return bst.transform.for_loop(upto, inputs)

    def loss():
        evidence = run(model, spikes).mean(0)
        return optax.softmax_cross_entropy_with_integer_labels(evidence, labels).mean()

    @bst.transform.jit
    def train():
        grads = bst.transform.grad(loss, weights)()
        updates, memory.value = optimiser.update(grads, memory.value)
        for name, update in updates.items():
            weights[name].value = jax.tree.map(jnp.add, weights[name].value, update)

    def rates() -> list[float]:
        parts = [bst.nn.Sequential(*model.layers[: 2 * end]) for end in range(1, len(neurons))]
        return [float(np.mean(run(part, spikes))) for part in parts]

    def step() -> None:
        train()
        jax.block_until_ready([state.value for state in weights.values()])

    return step, rates
