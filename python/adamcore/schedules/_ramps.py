"""From one value to another in a number of steps."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from adamcore.schedules._family import Family, family
from adamcore.schedules._readers import Nonnegative, Points, Positive, Real

__all__ = ["Cosine", "Interpolate", "Linear", "Polynomial"]


@family
@dataclass(frozen=True, repr=False, eq=False)
class Linear(Family):
    r"""A straight line: :math:`a + (z - a) u`, where :math:`u = \min(\max(t - b, 0), T) / T`.

    It is PyTorch's ``LinearLR`` (with values in place of factors) and optax' ``linear_schedule``.

    Parameters
    ----------
    start : float
        The first value :math:`a`.
    end : float
        The last value :math:`z`, which holds from then on.
    steps : float
        The number of steps :math:`T` > 0 from one to the other.
    begin : float
        The number of steps :math:`b` >= 0 for which the first value holds.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Linear(0.5, 0.25, steps=100)
    >>> s(0), s(50), s(100), s(1000)
    (0.5, 0.375, 0.25, 0.25)
    """

    start: Real
    end: Real = 0.0
    _: KW_ONLY
    steps: Positive
    begin: Nonnegative = 0


@family
@dataclass(frozen=True, repr=False, eq=False)
class Polynomial(Family):
    r"""A polynomial: :math:`z + (a - z) (1 - u)^p`, where :math:`u = \min(\max(t - b, 0), T) / T`.

    It is PyTorch's ``PolynomialLR`` and optax' ``polynomial_schedule``.

    Parameters
    ----------
    start : float
        The first value :math:`a`.
    end : float
        The last value :math:`z`, which holds from then on.
    steps : float
        The number of steps :math:`T` > 0 from one to the other.
    power : float
        The power :math:`p` >= 0.
    begin : float
        The number of steps :math:`b` >= 0 for which the first value holds.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Polynomial(0.1, steps=100, power=2.0)
    >>> s(0), s(50), s(100)
    (0.1, 0.025, 0.0)
    """

    start: Real
    end: Real = 0.0
    _: KW_ONLY
    steps: Positive
    power: Nonnegative = 1.0
    begin: Nonnegative = 0


@family
@dataclass(frozen=True, repr=False, eq=False)
class Cosine(Family):
    r"""Half a cosine: :math:`z + (a - z) ((1 + \cos \pi u) / 2)^p`, where :math:`u = t / T`.

    It is PyTorch's ``CosineAnnealingLR``, and optax' ``cosine_decay_schedule`` with ``alpha=end/start`` and
    ``exponent=power``.

    Parameters
    ----------
    start : float
        The first value :math:`a`.
    end : float
        The last value :math:`z`.
    steps : float
        The number of steps :math:`T` > 0 from one to the other.
    power : float
        The power :math:`p` >= 0.
    after : {"hold", "mirror"}
        What follows step `steps`: `end`, or the way back to `start`, which PyTorch's class takes, and so on.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Cosine(0.1, 0.02, steps=100)
    >>> s(0), s(50), s(100), s(150)
    (0.1, 0.06, 0.02, 0.02)
    """

    start: Real
    end: Real = 0.0
    _: KW_ONLY
    steps: Positive
    power: Nonnegative = 1.0
    after: Literal["hold", "mirror"] = "hold"


@family
@dataclass(frozen=True, repr=False, eq=False)
class Interpolate(Family):
    """Through points (`t`, value), by straight lines or half cosines.

    It is optax' ``piecewise_interpolate_schedule``, with values in place of factors, and so its one-cycle schedules.

    Parameters
    ----------
    points : sequence of (float, float)
        Pairs of `t` and the value there, in ascending order of `t`. The first value holds before them, and the last one
        after them.
    shape : {"linear", "cosine"}
        The way from one point to the next.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Interpolate([(0, 0.0), (10, 0.1), (100, 0.0)])
    >>> s(5), s(10), s(55)
    (0.05, 0.1, 0.05)
    """

    points: Points
    shape: Literal["linear", "cosine"] = "linear"
