"""A problem that `lr_finder` sweeps, and optimizers of it that have been trained a little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import adamcore as ac
from storage import F64


class Quadratic:
    """The mean square of the distances of all parameters from noisy targets; gradients of any dtype."""

    def __init__(self, grad: Any = None) -> None:
        self.grad, self.calls = grad, 0

    def __call__(self, params: dict[str, np.ndarray], noise: float) -> tuple[float, dict[str, np.ndarray]]:
        self.calls += 1
        errors = {name: np.asarray(p, np.float64) - 1 - noise for name, p in params.items()}
        loss = float(np.mean([np.square(error).mean() for error in errors.values() if error.size]))
        return loss, {name: error.astype(self.grad or params[name].dtype) for name, error in errors.items()}


def batches(rng: np.random.Generator, count: int = 10_000) -> Iterator[float]:
    for _ in range(count):
        yield 0.1 * rng.standard_normal()


def params(dtype: Any = F64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {"w": (3 + rng.standard_normal((4, 3))).astype(dtype), "b": rng.standard_normal(5).astype(dtype)}


def trained(make_opt: Callable[[Any], ac.Optimizer], dtype: Any = F64, steps: int = 3) -> ac.Optimizer:
    opt = make_opt(arrays := params(dtype))
    quadratic = Quadratic()
    for noise in batches(np.random.default_rng(1), steps):
        opt.step(quadratic(arrays, noise)[1])
    return opt
