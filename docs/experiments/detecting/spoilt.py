"""A problem some of whose batches are bad."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from adamcore._cli.network import Params

FACTOR = 30
How = Literal["gradient", "images", "both"]


class Spoilt:
    """Digits with bad batches: gradients that are 30 times as large, or noise in place of images, 30 times as bright.

    Attributes
    ----------
    planted : list of bool
        Which of the batches so far were bad.
    """

    def __init__(self, problem: Any, share: float, how: How) -> None:
        self._problem, self._share, self._how = problem, share, how
        self.init, self.evaluate = problem.init, problem.evaluate
        self.planted: list[bool] = []

    def batches(self, rng: np.random.Generator) -> Iterator[Any]:
        """Yield one epoch of batches, and for each whether it is bad."""
        for x, labels in self._problem.batches(rng):
            is_bad = bool(rng.random() < self._share)
            noise = FACTOR * rng.standard_normal(x.shape, np.float32)
            yield (noise if is_bad and self._how == "images" else x, labels), is_bad

    def loss_and_grad(self, params: Params, batch: Any) -> tuple[float, Params]:
        """Compute the loss and the gradients of a batch."""
        rows, is_bad = batch
        self.planted.append(is_bad)
        loss, grads = self._problem.loss_and_grad(params, rows)
        if is_bad and self._how == "gradient":
            grads = {name: FACTOR * grad for name, grad in grads.items()}
        return loss, grads
