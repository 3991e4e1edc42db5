"""A problem in half precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from adamcore._cli.network import Params


class Half:
    """A problem whose parameters and gradients are of half precision. What is in between is computed in float32.

    Gradients are rounded after they were multiplied by the loss scale, so they overflow in float16. `blows` is the
    share of batches with a gradient that is not finite whatever the scale.
    """

    def __init__(self, problem: Any, dtype: DTypeLike, blows: float = 0.0) -> None:
        self._problem, self._dtype, self._blows = problem, np.dtype(dtype), blows
        self.batches, self._chance = problem.batches, np.random.default_rng(0)

    def init(self, rng: np.random.Generator) -> Params:
        """Round the parameters of the problem."""
        return {name: array.astype(self._dtype) for name, array in self._problem.init(rng).items()}

    def loss_and_grad(self, params: Params, batch: Any, loss_scale: float = 1.0) -> tuple[float, Params]:
        """Compute the loss, and the rounded gradients of `loss_scale` times the loss."""
        loss, grads = self._problem.loss_and_grad(_wide(params), batch)
        factor = np.float32(np.inf if self._chance.random() < self._blows else loss_scale)
        with np.errstate(over="ignore", invalid="ignore"):
            return loss, {name: (factor * grad).astype(self._dtype) for name, grad in grads.items()}

    def evaluate(self, params: Params) -> dict[str, float]:
        """Return the problem's metrics."""
        metrics: dict[str, float] = self._problem.evaluate(_wide(params))
        return metrics


def _wide(params: Params) -> Params:
    return {name: array.astype(np.float32) for name, array in params.items()}
