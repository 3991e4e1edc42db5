from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

import numpy as np

from peers.base import Peer
from problem import HYPER, Array, Arrays


class _NumPy(Peer):
    packages = ("numpy",)

    @classmethod
    def prepare(cls, threads: int) -> None:
        """Do nothing: NumPy's elementwise arithmetic runs on one thread."""

    def __init__(self, params: Iterable[Array], threads: int) -> None:  # noqa: ARG002
        self.params = list(params)
        self.m = [np.zeros_like(p) for p in self.params]
        self.v = [np.zeros_like(p) for p in self.params]
        self.t = 0

    def step(self) -> None:
        self.t += 1
        for i, g in enumerate(self.grads):
            self.update(i, g)

    @abstractmethod
    def update(self, i: int, g: Array) -> None:
        """Update one tensor."""

    def use(self, grads: Arrays) -> None:
        self.grads = grads

    def result(self) -> Arrays:
        return self.params


class Textbook(_NumPy):
    """The update as most write it, each operation making an array."""

    key = "numpy-textbook"
    label = "NumPy, as in a textbook"
    scratch_per_element = 20

    def update(self, i: int, g: Array) -> None:
        h = HYPER
        self.m[i] = h.beta1 * self.m[i] + (1 - h.beta1) * g
        self.v[i] = h.beta2 * self.v[i] + (1 - h.beta2) * g**2
        m_hat = self.m[i] / (1 - h.beta1**self.t)
        v_hat = self.v[i] / (1 - h.beta2**self.t)
        self.params[i] -= h.lr * (m_hat / (np.sqrt(v_hat) + h.eps) + h.weight_decay * self.params[i])


class OutArguments(_NumPy):
    """The same without temporaries: out= and operations in place, with one scratch array."""

    key = "numpy-out"
    label = "NumPy with out="
    scratch_per_element = 4

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        super().__init__(params, threads)
        self.scratch = np.empty(max(p.size for p in self.params), np.float32)

    def update(self, i: int, g: Array) -> None:
        h = HYPER
        p, m, v = self.params[i], self.m[i], self.v[i]
        tmp = self.scratch[: p.size].reshape(p.shape)
        m *= h.beta1
        np.multiply(g, 1 - h.beta1, out=tmp)
        m += tmp
        v *= h.beta2
        np.multiply(g, g, out=tmp)
        tmp *= 1 - h.beta2
        v += tmp
        np.sqrt(v, out=tmp)
        tmp *= (1 - h.beta2**self.t) ** -0.5
        tmp += h.eps
        np.divide(m, tmp, out=tmp)
        tmp *= h.lr / (1 - h.beta1**self.t)
        p *= 1 - h.lr * h.weight_decay
        p -= tmp
