"""Up and down, once or again and again."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from adamcore.schedules._family import Family, family
from adamcore.schedules._readers import AtLeastOne, Nonnegative, OptionalPositive, OptionalReal, Positive, Real, Share

__all__ = ["CosineRestarts", "Cyclic", "OneCycle"]


@family
@dataclass(frozen=True, repr=False, eq=False)
class CosineRestarts(Family):
    r"""Half a cosine from `start` to `end` in each period, with warm restarts.

    It is PyTorch's ``CosineAnnealingWarmRestarts`` and optax' ``sgdr_schedule``.

    Parameters
    ----------
    start : float
        The value with which the first period begins.
    end : float
        The value that each period approaches.
    period : float
        The number of steps > 0 of the first period.
    mult : float
        Each period is `mult` >= 1 times as long as the one before it. Period :math:`n` begins at
        ``period * (mult**n - 1) / (mult - 1)``. This is exact if `period` and `mult` are integers (and ``mult**n`` is
        below 2**53), and rounded to about an ulp otherwise.
    decay : float
        Each period begins with `decay` >= 0 times the value of the one before it.

    References
    ----------
    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.CosineRestarts(0.1, period=10, mult=2)
    >>> s(0), s(5), s(10), s(20), s(30)
    (0.1, 0.05, 0.1, 0.05, 0.1)
    """

    start: Real
    end: Real = 0.0
    _: KW_ONLY
    period: Positive
    mult: AtLeastOne = 1
    decay: Nonnegative = 1.0


@family
@dataclass(frozen=True, repr=False, eq=False)
class Cyclic(Family):
    r"""Triangles from `low` to `high` and back; PyTorch's ``CyclicLR``.

    Momentum cycles the other way: ``Cyclic(0.9, 0.8, up=2000)``.

    Parameters
    ----------
    low : float
        The value with which each cycle begins and ends.
    high : float
        The value between them.
    up : float
        The number of steps > 0 from `low` to `high`.
    down : float, optional
        The number of steps > 0 from `high` to `low`; as many as `up` if it is None.
    mode : {"triangular", "triangular2", "exp_range"}
        The height of triangles: always the same; halved with each cycle; or multiplied by ``gamma**t``.
    gamma : float
        The factor >= 0 of ``mode="exp_range"``.

    References
    ----------
    Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Cyclic(0.0, 0.1, up=4, down=6, mode="triangular2")
    >>> s(0), s(4), s(10), s(14)
    (0.0, 0.1, 0.0, 0.05)
    """

    low: Real
    high: Real
    _: KW_ONLY
    up: Positive
    down: OptionalPositive = None
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: Nonnegative = 1.0


@family
@dataclass(frozen=True, repr=False, eq=False)
class OneCycle(Family):
    r"""From `start` up to `peak`, and down to `end`, which the last step uses; PyTorch's ``OneCycleLR``.

    It peaks at step ``pct_start * steps - 1`` and ends at step ``steps - 1``. The last value holds from then on.
    Momentum cycles the other way: ``OneCycle(0.85, steps=T, start=0.95, end=0.95)``.

    Parameters
    ----------
    peak : float
        The value at the peak.
    steps : float
        The number of steps > 0.
    start : float, optional
        The first value; ``peak / 25`` if it is None.
    end : float, optional
        The last value; ``start / 1e4`` if it is None.
    pct_start : float
        The share of `steps`, from 0 to 1, in which it rises.
    anneal : {"cos", "linear"}
        Half cosines, or straight lines.
    three_phase : bool
        Fall to `start` as fast as it rose, and then to `end`.

    References
    ----------
    Smith & Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2018.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.OneCycle(0.1, steps=100, anneal="linear")
    >>> s(0), s(29), s(64), round(s(99), 12)
    (0.004, 0.1, 0.0500002, 4e-07)
    """

    peak: Real
    _: KW_ONLY
    steps: Positive
    start: OptionalReal = None
    end: OptionalReal = None
    pct_start: Share = 0.3
    anneal: Literal["cos", "linear"] = "cos"
    three_phase: bool = False
