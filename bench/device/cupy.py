"""Peers: kernels as CuPy's users write them."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import cupy

from device.arrays import as_cupy, as_numpy
from peers.base import Peer
from problem import HYPER, Array, Arrays

_update = cupy.ElementwiseKernel(
    "float32 g, float32 b1, float32 a1, float32 b2, float32 a2, float32 keep, float32 rate, float32 root, float32 eps",
    "float32 p, float32 m, float32 v",
    "m = b1 * m + a1 * g; v = b2 * v + a2 * g * g; p = keep * p - rate * (m / (sqrt(v) * root + eps))",
    "adamw_of_cupy",
)


class PerTensor(Peer):
    key = "cupy"
    label = "CuPy, an ElementwiseKernel for each tensor"
    packages = ("cupy-cuda13x",)

    @classmethod
    def prepare(cls, threads: int) -> None:
        """Do nothing: kernels are compiled at the first step."""

    def __init__(self, params: Iterable[Array], threads: int) -> None:  # noqa: ARG002
        self.p = [as_cupy(p).copy() for p in params]
        self.m, self.v = ([cupy.zeros_like(p) for p in self.p] for _ in "mv")
        self.t = 0

    def use(self, grads: Arrays) -> None:
        self.g = [as_cupy(g) for g in grads]

    def step(self) -> None:
        self.t += 1
        constants = HYPER.constants(self.t)
        for p, g, m, v in zip(self.p, self.g, self.m, self.v, strict=True):
            _update(g, *constants, p, m, v)

    def result(self) -> Arrays:
        return [as_numpy(p) for p in self.p]


class Flat(PerTensor):
    """As if the model had one tensor: what is left is the kernel."""

    key = "cupy-flat"
    label = "CuPy, an ElementwiseKernel on one flat buffer"
    bytes_per_element = 16

    def __init__(self, params: Iterable[Array], threads: int) -> None:
        arrays = [as_cupy(p) for p in params]
        self.shapes = [a.shape for a in arrays]
        super().__init__([], threads)
        self.p = [_joined(arrays)]
        self.m, self.v = ([cupy.zeros_like(self.p[0])] for _ in "mv")

    def use(self, grads: Arrays) -> None:
        self.g = [_joined([as_cupy(g) for g in grads])]

    def result(self) -> Arrays:
        flat, results, begin = as_numpy(self.p[0]), [], 0
        for shape in self.shapes:
            size = prod(shape)
            results.append(flat[begin : begin + size].reshape(shape))
            begin += size
        return results


def _joined(arrays: list[Any]) -> Any:
    return cupy.concatenate([a.ravel() for a in arrays])
