"""Sums over arrays, which a second run of a reference can take from the first.

The ulp bounds of tests need the magnitudes of the terms of a formula. They come from a run of the formula on absolute
values. A norm in this formula is no term, though: it stays what it was for the true values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_recorded: list[np.ndarray] | None = None
_replayed: Iterator[np.ndarray] | None = None


def true(x: np.ndarray) -> np.ndarray:
    """Return x, or in a run on magnitudes what it was for the true values."""
    if _replayed is not None:
        return next(_replayed)
    if _recorded is not None:
        _recorded.append(x)
    return x


def total(x: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return the sum of all elements, or along one axis, which then has length 1. Magnitudes do not change it."""
    # NumPy adds up columns row after row, which would lose digits in float64.
    return true(np.sum(x, axis=axis, keepdims=axis is not None, dtype=np.longdouble).astype(np.float64))


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a - b, or the sum of its terms in a run on magnitudes."""
    return a - b if _replayed is None else a + b


def norm(x: np.ndarray) -> np.ndarray:
    return np.sqrt(total(x**2))


def rms(x: np.ndarray) -> np.ndarray:
    return norm(x) / np.sqrt(x.size)


@contextmanager
def recorded() -> Iterator[list[np.ndarray]]:
    """Record the sums inside, in their order."""
    global _recorded  # noqa: PLW0603
    _recorded = []
    try:
        yield _recorded
    finally:
        _recorded = None


@contextmanager
def replayed(sums: list[np.ndarray]) -> Iterator[None]:
    """Give back recorded sums inside, whatever is to be summed."""
    global _replayed  # noqa: PLW0603
    _replayed = iter(sums)
    try:
        yield
        assert next(_replayed, None) is None
    finally:
        _replayed = None
