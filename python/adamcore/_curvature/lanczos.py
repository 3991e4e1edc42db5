"""Lanczos' method for the smallest and the largest eigenvalue of a symmetric operator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adamcore._curvature.tridiagonal import extreme_eigenpairs

Vector = NDArray[np.float64]

_NOTHING_LEFT = 1e-10
"""A remainder that is so small, relative to the operator, is rounding: the space is exhausted."""


class Extremes(NamedTuple):
    """The smallest and the largest eigenvalue that were found, and the eigenvector of the smallest one."""

    min: float
    max: float
    direction: Vector


def dot(a: Vector, b: Vector) -> float:
    """Return the inner product. NumPy's sums, unlike BLAS, do not depend on the machine or on threads."""
    return float(np.add.reduce(a * b))


def length_of(a: Vector) -> float:
    """Return the Euclidean length."""
    return math.sqrt(dot(a, a))


def extremes(product: Callable[[Vector], Vector], start: Vector, iterations: int, kept: Any = np.float64) -> Extremes:
    """Return the extreme eigenvalues of an operator within the space of so many products.

    Parameters
    ----------
    product : callable
        The operator: v to A v.
    start : array
        Where to begin: a random vector that is not zero. If it has no elements, both eigenvalues are 0.
    iterations : int
        How many products are computed at most, >= 1.
    kept : dtype
        In what the vectors are kept, of which there are as many as products.

    Notes
    -----
    Every vector is made orthogonal to all before it, twice. Without this, rounding would make copies of the largest
    eigenvalue appear (Paige, 1972).
    """
    if not start.size:
        return Extremes(0.0, 0.0, start)
    basis = np.empty((min(iterations, start.size), start.size), kept)
    diagonal: list[float] = []
    beside: list[float] = []
    vector = start / length_of(start)
    for i in range(len(basis)):
        basis[i] = vector
        image = product(np.asarray(basis[i], np.float64))
        diagonal.append(dot(image, np.asarray(basis[i], np.float64)))
        for _ in range(2):
            for known in basis[: i + 1]:
                exact = np.asarray(known, np.float64)
                image = image - dot(image, exact) * exact
        left = length_of(image)
        largest = max(*map(abs, diagonal), *beside, 0.0)
        if i + 1 == len(basis) or left <= _NOTHING_LEFT * largest or left == 0:
            break
        beside.append(left)
        vector = image / left
    (smallest, weights), (largest, _) = extreme_eigenpairs(diagonal, beside)
    direction = np.zeros(start.size)
    for weight, known in zip(weights, basis, strict=False):
        direction += weight * np.asarray(known, np.float64)
    return Extremes(smallest, largest, direction / length_of(direction))
