"""Problems that take no time, for tests of comparisons."""

from __future__ import annotations

import numpy as np


class Line:
    """A line through noisy points; `sign` -1 gives gradients that point the wrong way."""

    def __init__(self, noise=0.1, sign=1.0, validates=True):
        self.noise, self.sign = noise, sign
        self.data = np.random.default_rng(99).standard_normal((64, 3))
        if validates:
            self.evaluate = self._evaluate
        self.seen = []

    def init(self, rng):
        return {"w": rng.standard_normal(3), "b": np.zeros(1)}

    def batches(self, rng):
        for _ in range(7):
            x = rng.standard_normal((32, 3))
            yield x, x.sum(axis=1) + 1 + self.noise * rng.standard_normal(32)

    def loss_and_grad(self, params, batch):
        x, y = batch
        self.seen.append(x.tobytes())
        error = x @ params["w"] + params["b"] - y
        grads = {"w": self.sign * 2 * x.T @ error / len(x), "b": np.array([self.sign * 2 * error.mean()])}
        return float(np.square(error).mean()), grads

    def _evaluate(self, params):
        error = self.data @ params["w"] + params["b"] - self.data.sum(axis=1) - 1
        return {"val_loss": float(np.square(error).mean()), "val_right": float((abs(error) < 0.1).mean())}
