"""The measurement of a `Curvature`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adamcore._core import Paired
from adamcore._curvature.curvature import Curvature
from adamcore._curvature.lanczos import Extremes, Vector, extremes, length_of
from adamcore._curvature.noise import noise
from adamcore._curvature.preconditioner import Steps, steps_of
from adamcore._curvature.weights import CurvatureError, Objective

_DIFFERENCE = 1e-3
"""Half the distance of the two gradients whose difference counts, relative to the length of the weights."""

LENGTHS = (0.01, 0.03, 0.1)
"""Trial steps along the direction of the least curvature, relative to the length of the weights."""

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
    with Paired([(int, weights.put_back)]):
        loss, gradient = objective(weights.vector)
        if not math.isfinite(loss) or not np.isfinite(gradient).all():
            raise CurvatureError(f"{owner}: the loss and its gradient must be finite, got a loss of {loss}")
        product = Product(objective, owner)
        start = noise(seed, opt.completed, "", weights.vector.size)
        found = extremes(product, start, iterations, kept)
        direction, fall, length = _along_direction(objective, loss, found)
        gradient_fall = _along_gradient(objective, loss, gradient)
        sharpness = None if steps is None else _sharpness(product, steps, start, iterations, kept)
    return Curvature(
        found.max,
        found.min,
        weights.split(direction),
        objective.gradients,
        loss,
        fall,
        gradient_fall,
        length,
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


def _along_direction(objective: Objective, loss: float, found: Extremes) -> tuple[Vector, float, float]:
    """Return the direction with the sign with which the loss falls most, the fall, and the length of the move."""
    base = objective.weights.vector
    scale = scale_of(base)
    trials = [
        (objective.loss(base + sign * share * scale * found.direction), sign, share * scale)
        for share in LENGTHS
        for sign in (1, -1)
    ]
    lowest, sign, length = min(trials, key=lambda trial: trial[0])
    return sign * found.direction, relative_fall(loss, lowest), length if lowest < loss else 0.0


def _along_gradient(objective: Objective, loss: float, gradient: Vector) -> float:
    """Return the largest fall along the gradient, downwards."""
    base, size = objective.weights.vector, length_of(gradient)
    if size == 0:
        return 0.0
    unit = gradient * (scale_of(base) / size)
    return relative_fall(loss, min(objective.loss(base - share * unit) for share in (*_SHORT_LENGTHS, *LENGTHS)))


def _sharpness(product: Product, steps: Steps, start: Vector, iterations: int, kept: Any) -> float:
    """Return the largest eigenvalue of the Hessian between the roots of the factors of a step."""
    roots = np.sqrt(steps.factors)
    if not roots.any():
        return 0.0
    return extremes(lambda vector: roots * product(roots * vector), start, iterations, kept).max
