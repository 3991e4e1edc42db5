"""The measurement of a `Curvature`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adamcore._curvature.curvature import LEAST, Curvature
from adamcore._curvature.lanczos import Vector, extremes, length_of
from adamcore._curvature.noise import noise
from adamcore._curvature.preconditioner import Steps, steps_of
from adamcore._curvature.weights import CurvatureError, Objective

_DIFFERENCE = 1e-3
"""Half the distance of the two gradients whose difference counts, relative to the length of the weights."""

LENGTHS = (0.01, 0.03, 0.1)
"""Trial steps along the direction of the least curvature, relative to the length of the weights."""

FARTHER = 3.0
"""By which factor a longer move is tried, where the loss still falls."""

_MOST_FARTHER = 24

_SHORT_LENGTHS = (0.001, 0.003)
"""Further ones along the gradient."""


def measure(
    opt: Any,
    loss_and_grad: Callable[..., Any],
    batches: Sequence[tuple[Any, ...]],
    *,
    owner: str,
    seed: int,
    iterations: int = 16,
    precondition: Any = None,
) -> Curvature:
    """Measure the curvature of the mean loss of batches around the weights of an optimizer, and put them back.

    It takes a gradient at the weights, two for each iteration, and eleven trial steps. Raises CurvatureError, which
    begins with `owner`, if the loss or the gradient is not finite at the weights or beside them.
    """
    objective = Objective(opt, loss_and_grad, batches, owner)
    weights = objective.weights
    steps = None if precondition is None else steps_of(precondition, weights, owner)
    kept = np.float32 if weights.is_single else np.float64
    with weights.put_back_in_the_end():
        loss, gradient = objective(weights.vector)
        if not math.isfinite(loss) or not np.isfinite(gradient).all():
            raise CurvatureError(f"{owner}: the loss and its gradient must be finite, got a loss of {loss}")
        product = Product(objective, owner)
        start = noise(seed, opt.completed, "", weights.vector.size)
        found = extremes(product, start, iterations, kept)
        along, down = _lines(objective, loss, gradient, found.direction)
        sharpness = None if steps is None else _sharpness(product, steps, start, iterations, kept)
    return Curvature(
        found.max,
        found.min,
        weights.split(found.direction if along.move >= 0 else -found.direction),
        objective.gradients,
        loss,
        along.fall,
        down.fall,
        abs(along.move),
        sharpness,
        None if steps is None else steps.limit,
    )


def scale_of(vector: Vector) -> float:
    """Return the length of the weights, or 1 if they are all 0."""
    return length_of(vector) or 1.0


class Product:
    """Products of the Hessian with vectors: central differences of gradients."""

    def __init__(self, objective: Objective, owner: str) -> None:
        self._objective, self._owner = objective, owner
        self._base = objective.weights.vector
        self._distance = _DIFFERENCE * scale_of(self._base)

    def __call__(self, vector: Vector) -> Vector:
        """Return the product, which takes two gradients."""
        length = length_of(vector)
        move = vector * (self._distance / length)
        after, before = (self._objective(self._base + sign * move)[1] for sign in (1, -1))
        found = (after - before) * (length / (2 * self._distance))
        if not np.isfinite(found).all():
            raise CurvatureError(f"{self._owner}: gradients beside the weights must be finite")
        return found


def relative_fall(loss: float, lower: float) -> float:
    """Return by which share of its size a loss has fallen, or 0 if it has not."""
    if not lower < loss:
        return 0.0
    return (loss - lower) / abs(loss) if loss else math.inf


class _Line:
    """The losses along a line through the weights, as far as it was tried."""

    def __init__(self, objective: Objective, loss: float, unit: Vector, signs: tuple[int, ...]) -> None:
        self._objective, self._loss, self._unit, self._signs = objective, loss, unit, signs
        self._base = objective.weights.vector
        self._scale = scale_of(self._base)
        self._longest = 0.0
        self.lowest, self.move = loss, 0.0
        """The lowest loss, and the move that leads to it, with its sign."""

    def look(self, share: float) -> None:
        """Try a length, relative to that of the weights."""
        self._longest = max(share * self._scale, self._longest)
        for sign in self._signs:
            move = sign * share * self._scale
            found = self._objective.loss(self._base + move * self._unit)
            if found < self.lowest:
                self.lowest, self.move = found, move

    @property
    def fall(self) -> float:
        """By which share of the loss it falls at most."""
        return relative_fall(self._loss, self.lowest)

    @property
    def still_falls(self) -> bool:
        """Whether the longest move is the best one."""
        return abs(self.move) == self._longest > 0


def _lines(objective: Objective, loss: float, gradient: Vector, direction: Vector) -> tuple[_Line, _Line]:
    """Look along the direction, and down along the gradient.

    Where the weights are so small that a tenth of their length makes no difference, look farther along both.
    """
    size = length_of(gradient)
    along = _Line(objective, loss, direction, (1, -1))
    down = _Line(objective, loss, gradient / (size or 1.0), (-1,) if size else ())
    for share in _SHORT_LENGTHS:
        down.look(share)
    for share in LENGTHS:
        along.look(share)
        down.look(share)
    share = LENGTHS[-1]
    for _ in range(_MOST_FARTHER):
        if not along.still_falls or along.fall > LEAST:
            break
        share *= FARTHER
        along.look(share)
        down.look(share)
    return along, down


def _sharpness(product: Product, steps: Steps, start: Vector, iterations: int, kept: Any) -> float:
    """Return the largest eigenvalue of the Hessian between the roots of the factors of a step."""
    roots = np.sqrt(steps.factors)
    if not roots.any():
        return 0.0
    return extremes(lambda vector: roots * product(roots * vector), start, iterations, kept).max
