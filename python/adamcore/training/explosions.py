"""Runs whose numbers become too large: what problems raise then, and how it is told from their mistakes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from textwrap import shorten
from typing import Any

FAILURES = (ArithmeticError, AssertionError, RuntimeError, RuntimeWarning, ValueError)
"""What problems raise if numbers are not finite or too large."""
_WILD = 100.0
"""Parameters and losses that are so many times what they were at the beginning are not those of a run that is well."""


def largest(arrays: Iterable[Any]) -> float:
    """Return the largest absolute value of all arrays, or infinity if there is a value that is not finite."""
    found = 0.0
    for array in arrays:
        if math.prod(array.shape):
            size = float(abs(array.detach() if hasattr(array, "detach") else array).max())
            found = max(found, size if math.isfinite(size) else math.inf)
    return found


def explain(error: Exception, losses: Sequence[float], arrays: Iterable[Any], size: float) -> str:
    """Return what has been raised in a run that has exploded, or raise the error if it is another one.

    `arrays` are the parameters, whose largest value was `size` at the beginning.
    """
    has_exploded = bool(losses) and not abs(losses[-1]) <= _WILD * abs(losses[0])
    is_overflow = bool(losses) and isinstance(error, (FloatingPointError, OverflowError))
    if not (is_overflow or has_exploded or largest(arrays) > _WILD * max(size, 1)):
        raise error
    return shorten(f"{type(error).__name__}: {error}".removesuffix(": "), 100)
