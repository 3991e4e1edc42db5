from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np

from peers.base import Peer
from problem import HYPER, Array, Arrays


class Optax(Peer):
    key = "optax"
    label = "optax, jit, donated"
    packages = ("optax", "jax", "jaxlib")
    bytes_per_element = 20  # gradients of its own, and results before the donated buffers are let go
    slow_start_above = 5000  # XLA takes minutes to compile more

    @classmethod
    def prepare(cls, threads: int) -> None:  # noqa: ARG003  (environment.py has told XLA before it was imported)
        import jax
        import optax  # noqa: F401

        jax.devices()

    def __init__(self, params: Iterable[Array], threads: int) -> None:  # noqa: ARG002
        import jax
        import optax

        h = HYPER
        rule = optax.adamw(h.lr, b1=h.beta1, b2=h.beta2, eps=h.eps, weight_decay=h.weight_decay)

        @partial(jax.jit, donate_argnums=(0, 1))
        def update(params, state, grads):
            updates, state = rule.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        self.update = update
        self.params = [jax.numpy.array(p) for p in params]
        self.state = rule.init(self.params)

    def use(self, grads: Arrays) -> None:
        import jax

        self.grads = [jax.numpy.array(g) for g in grads]

    def step(self) -> None:
        import jax

        self.params, self.state = self.update(self.params, self.state, self.grads)
        jax.block_until_ready((self.params, self.state))

    def result(self) -> Arrays:
        return [np.asarray(p) for p in self.params]
