"""The numbers that all peers start from, and what AdamW makes of them in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapes import Shape

Array = NDArray[np.float32]
Arrays = list[Array]


@dataclass(frozen=True)
class Hyper:
    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 1e-2

    def constants(self, t: int) -> tuple[float, ...]:
        """Return what step `t` multiplies with: for m twice, for v twice, the weights kept, the rate, the root, eps."""
        return (
            *(self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2),
            *(1 - self.lr * self.weight_decay, self.lr / (1 - self.beta1**t), (1 - self.beta2**t) ** -0.5, self.eps),
        )


HYPER = Hyper()


class Problem:
    """Random parameters, made anew from one seed for each peer, and gradients that all peers share."""

    def __init__(self, shapes: list[Shape], seed: int = 0) -> None:
        self.shapes = shapes
        self._seed = seed
        self.grads: Arrays = list(self._draw(seed + 1))

    def params(self) -> Iterator[Array]:
        return self._draw(self._seed)

    def _draw(self, seed: int) -> Iterator[Array]:
        rng = np.random.default_rng(seed)
        for shape in self.shapes:
            yield rng.standard_normal(shape, dtype=np.float32)


def clipped(grads: Arrays, max_norm: float | None) -> list[NDArray[Any]]:
    """Scale gradients, in float64, so that their global norm is at most `max_norm`."""
    if max_norm is None:
        return list(grads)
    wide = [g.astype(np.float64) for g in grads]
    norm = np.sqrt(sum(np.sum(g**2) for g in wide))
    return [g * min(1.0, max_norm / (norm + 1e-6)) for g in wide]


def reference(params: Arrays, grads_by_step: list[list[NDArray[Any]]], h: Hyper = HYPER) -> list[NDArray[np.float64]]:
    """AdamW in float64, from algorithm 2 of Loshchilov & Hutter (2019)."""
    results = []
    for i, start in enumerate(params):
        p = start.astype(np.float64)
        m, v = np.zeros_like(p), np.zeros_like(p)
        for t, grads in enumerate(grads_by_step, start=1):
            g = grads[i].astype(np.float64)
            m = h.beta1 * m + (1 - h.beta1) * g
            v = h.beta2 * v + (1 - h.beta2) * g**2
            m_hat, v_hat = m / (1 - h.beta1**t), v / (1 - h.beta2**t)
            p = p - h.lr * (m_hat / (np.sqrt(v_hat) + h.eps) + h.weight_decay * p)
        results.append(p)
    return results
