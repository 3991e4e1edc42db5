"""An optimizer on the CPU, and one on the device whose steps are replays of captured ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import adamcore as ac
from gpu.device import Library, assert_same, everything
from reference import magnitudes

SHAPES = [(1037,), (1,), (), (33, 5), (20_011,)]


class Captured:
    """An optimizer on the CPU, and one on the device whose steps are replays of one graph."""

    def __init__(self, library: Library, build: Any, dtype: Any, rng: np.random.Generator, *, scaled: bool = False):
        """`dtype` is that of all parameters, or a tuple with one for each."""
        self.library, self.rng = library, rng
        self.dtypes = dtype if isinstance(dtype, tuple) else (dtype,) * len(SHAPES)
        params = self.draw()
        self.cpu, self.gpu = build([p.copy() for p in params]), build([library.put(p) for p in params])
        self.scalers = [ac.LossScaler(1024.0, growth_interval=3) for _ in range(2)] if scaled else [1.0, 1.0]
        self.grads = [library.put(g) for g in self.draw()]
        # The first step is eager: it settles what the graph will use.
        self.write(self.draw())
        self.step_cpu()
        self.step_gpu()
        self.replay = library.capture(self.step_gpu)

    def draw(self) -> list[np.ndarray]:
        drawn = zip(SHAPES, self.dtypes, strict=True)
        self.numbers = [np.array(magnitudes(self.rng, s)).astype(dtype) for s, dtype in drawn]
        return self.numbers

    def write(self, numbers: list[np.ndarray]) -> None:
        for g, values in zip(self.grads, numbers, strict=True):
            self.library.write(g, values)

    def step_cpu(self) -> Any:
        return self.cpu.step(self.numbers, loss_scale=self.scalers[0])

    def step_gpu(self) -> Any:
        return self.gpu.step(self.grads, loss_scale=self.scalers[1])

    def again(self, *, bad: bool = False) -> None:
        """One more step on both sides with new values in the same gradients."""
        numbers = self.draw()
        if bad:
            numbers[-1][self.rng.integers(20_011)] = (math.inf, math.nan)[self.rng.integers(2)]
        self.write(numbers)
        self.step_cpu()
        self.replay()

    def check(self) -> None:
        assert_same(everything(self.gpu, self.library.get), everything(self.cpu))
