from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import numpy as np

from peers.base import Peer
from problem import HYPER, Array, Arrays

# Below this the start of a parallel region costs more than it saves, so whoever cares writes two kernels.
PARALLEL_FROM = 32768


def _kernels() -> tuple[Callable[..., None], Callable[..., None]]:
    from numba import njit, prange

    def update(p, g, m, v, b1, a1, b2, a2, keep, rate, root, eps):
        for i in prange(p.size):
            m[i] = b1 * m[i] + a1 * g[i]
            v[i] = b2 * v[i] + a2 * g[i] * g[i]
            p[i] = keep * p[i] - rate * (m[i] / (np.sqrt(v[i]) * root + eps))

    def compiled(*, parallel: bool) -> Callable[..., None]:
        # error_model: with Python's, the check for division by zero keeps the loop from being vectorised.
        return njit(parallel=parallel, error_model="numpy", fastmath=False)(update)

    return compiled(parallel=False), compiled(parallel=True)


class Numba(Peer):
    key = "numba"
    label = "numba, prange"
    packages = ("numba", "llvmlite")

    serial: ClassVar[Callable[..., None]]
    parallel: ClassVar[Callable[..., None]]

    @classmethod
    def prepare(cls, threads: int) -> None:
        import numba

        numba.set_num_threads(threads)
        serial, parallel = _kernels()
        cls.serial, cls.parallel = staticmethod(serial), staticmethod(parallel)

    def __init__(self, params: Iterable[Array], threads: int) -> None:  # noqa: ARG002
        self.params = list(params)
        self.p = [p.reshape(-1) for p in self.params]
        self.m = [np.zeros_like(p) for p in self.p]
        self.v = [np.zeros_like(p) for p in self.p]
        self.t = 0

    def use(self, grads: Arrays) -> None:
        self.g = [g.reshape(-1) for g in grads]

    def step(self) -> None:
        self.t += 1
        constants = tuple(map(np.float32, HYPER.constants(self.t)))  # one float64 would make all the arithmetic float64
        for p, g, m, v in zip(self.p, self.g, self.m, self.v, strict=True):
            (self.parallel if p.size >= PARALLEL_FROM else self.serial)(p, g, m, v, *constants)

    def result(self) -> Arrays:
        return self.params
