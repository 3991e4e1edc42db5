"""Norms with and without spikes, and an optimizer with a guard, for tests on the CPU and on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

import adamcore as ac


def noise(steps: int, deviation: float = 0.2, seed: int = 3) -> np.ndarray:
    """Norms of a training without spikes: they fall, and scatter."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(0, deviation, steps)) / np.sqrt(1 + np.arange(steps) / 100)


def with_spikes(norms: np.ndarray, spikes: dict[int, float]) -> np.ndarray:
    norms = norms.copy()
    for step, factor in spikes.items():
        norms[step] *= factor
    return norms


def gradient(norm: float) -> np.ndarray:
    return np.array([norm, 0.0])


class Run:
    """A parameter that SGD moves by the sum of all gradients that it sees."""

    def __init__(self, guard: ac.SpikeGuard | None = None, **options: Any) -> None:
        self.guard = guard or ac.SpikeGuard()
        self.param = np.zeros(2)
        self.optimizer = ac.SGD(self.param, lr=1.0, clip_norm=self.guard, **options)

    def step(self, norm: float, **options: Any) -> tuple[ac.StepInfo, float]:
        """One step. Returns its info, and the norm of the gradient that the rule has seen."""
        before = self.param[0]
        info = self.optimizer.step(gradient(norm), **options)
        return info, float(abs(self.param[0] - before))

    def settle(self, steps: int = 40) -> None:
        for norm in noise(steps):
            self.step(norm)
