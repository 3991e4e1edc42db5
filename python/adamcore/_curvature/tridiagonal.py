"""Eigenvalues of small symmetric tridiagonal matrices, with the same bits on every machine.

LAPACK's bits depend on its build. These matrices have 16 rows or so, for which Python is fast enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_BISECTIONS = 200
_NEARBY = 1e-10
"""By this share of the matrix's size, a shift is beside an eigenvalue, so that the shifted matrix is not singular."""


def extreme_eigenpairs(
    diagonal: Sequence[float], beside: Sequence[float]
) -> tuple[tuple[float, list[float]], tuple[float, list[float]]]:
    """Return the smallest and the largest eigenvalue, each with its eigenvector of length 1.

    Parameters
    ----------
    diagonal : sequence of n floats
    beside : sequence of n - 1 floats
        The numbers above and below the diagonal.
    """
    radii = [abs(left) + abs(right) for left, right in zip([0.0, *beside], [*beside, 0.0], strict=True)]
    low = min(value - radius for value, radius in zip(diagonal, radii, strict=True))
    high = max(value + radius for value, radius in zip(diagonal, radii, strict=True))
    size = max(abs(low), abs(high))
    if size == 0:
        first = [1.0] + [0.0] * (len(diagonal) - 1)
        return (0.0, first), (0.0, first)
    smallest, largest = (_eigenvalue(diagonal, beside, place, low, high) for place in (1, len(diagonal)))
    shift = _NEARBY * size
    return (
        (smallest, _eigenvector(diagonal, beside, smallest - shift)),
        (largest, _eigenvector(diagonal, beside, largest + shift)),
    )


def _eigenvalue(diagonal: Sequence[float], beside: Sequence[float], place: int, low: float, high: float) -> float:
    """Return the eigenvalue below which there are `place - 1` others, by bisection."""
    for _ in range(_BISECTIONS):
        middle = low / 2 + high / 2
        if not low < middle < high:
            break
        if _count_below(diagonal, beside, middle) >= place:
            high = middle
        else:
            low = middle
    return low / 2 + high / 2


def _count_below(diagonal: Sequence[float], beside: Sequence[float], value: float) -> int:
    """Return how many eigenvalues are less than `value`: the negative pivots of the shifted matrix (Sturm)."""
    count, pivot = 0, 1.0
    for own, before in zip(diagonal, [0.0, *beside], strict=True):
        pivot = own - value - (before * before / pivot if before else 0.0)
        if pivot == 0:
            pivot = -math.ulp(value or 1.0)
        count += pivot < 0
    return count


def _eigenvector(diagonal: Sequence[float], beside: Sequence[float], shift: float) -> list[float]:
    """Return the eigenvector whose eigenvalue is next to `shift`, by inverse iteration."""
    vector = [1.0 / (1 + i) for i in range(len(diagonal))]
    for _ in range(3):
        vector = _solved(diagonal, beside, shift, vector)
        length = math.sqrt(math.fsum(x * x for x in vector))
        vector = [x / length for x in vector]
    return vector


def _solved(diagonal: Sequence[float], beside: Sequence[float], shift: float, right: Sequence[float]) -> list[float]:
    """Solve (matrix - shift) x = right by elimination. Outside the spectrum, the matrix needs no pivoting."""
    pivots, values = [diagonal[0] - shift], [right[0]]
    for i in range(1, len(diagonal)):
        factor = beside[i - 1] / pivots[-1]
        pivots.append(diagonal[i] - shift - factor * beside[i - 1])
        values.append(right[i] - factor * values[-1])
    found = [values[-1] / pivots[-1]]
    for i in range(len(diagonal) - 2, -1, -1):
        found.append((values[i] - beside[i] * found[-1]) / pivots[i])
    return found[::-1]
