"""Sums of gradients, and optimizers that have seen them, for tests of moments."""

from __future__ import annotations

from typing import Any

import numpy as np

import adamcore as ac
from adamcore import schedules


def weighted(beta: float, values: list[np.ndarray]) -> np.ndarray:
    """The sum of beta^k values, the latest with weight 1."""
    return np.sum([beta**k * value for k, value in enumerate(reversed(values))], axis=0)


def after(opt: ac.Optimizer, gradients: list[np.ndarray]) -> ac.Optimizer:
    for each in gradients:
        opt.step({"w": each})
    return opt


def trained(**options: Any) -> tuple[dict[str, np.ndarray], ac.Optimizer]:
    rng = np.random.default_rng(5)
    params = {"w": rng.standard_normal((3, 2)), "b": rng.standard_normal(4)}
    opt = ac.AdamW(params, lr=schedules.Warmup(0.1, steps=9), **options)
    for _ in range(3):
        opt.step({name: rng.standard_normal(p.shape) for name, p in params.items()})
    return params, opt


def gradients(params: dict[str, np.ndarray], seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(p.shape) for name, p in params.items()}
