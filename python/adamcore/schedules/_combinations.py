"""What the operators and methods of schedules return."""

from __future__ import annotations

from dataclasses import dataclass

from adamcore.schedules._family import Family, family
from adamcore.schedules._readers import Nonnegative, OptionalReal, Part, Positive

__all__ = ["Clip", "Every", "Product", "Shift", "Stretch", "Sum"]


@family
@dataclass(frozen=True, repr=False, eq=False)
class Product(Family):
    """The product of two schedules, ``a * b``.

    A product of factors is PyTorch's ``ChainedScheduler``.

    Parameters
    ----------
    a, b : Schedule or float
        The factors.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Constant(0.1) * schedules.Linear(1.0, steps=10)
    >>> s(5)
    0.05
    """

    a: Part
    b: Part


@family
@dataclass(frozen=True, repr=False, eq=False)
class Sum(Family):
    """The sum of two schedules, ``a + b``.

    Parameters
    ----------
    a, b : Schedule or float
        The terms.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = 0.25 + schedules.Linear(1.0, steps=10)
    >>> s(5)
    0.75
    """

    a: Part
    b: Part


@family
@dataclass(frozen=True, repr=False, eq=False)
class Clip(Family):
    """A schedule with values from `low` to `high`; `Schedule.clip` makes it.

    Parameters
    ----------
    schedule : Schedule or float
        What is clipped.
    low, high : float, optional
        The limits; None is no limit.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Clip(schedules.Linear(1.0, steps=10), 0.2, 0.8)
    >>> s(0), s(5), s(10)
    (0.8, 0.5, 0.2)
    """

    schedule: Part
    low: OptionalReal = None
    high: OptionalReal = None

    def _check(self, owner: str) -> None:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"{owner}: low must be at most high, got {self.low} and {self.high}")


@family
@dataclass(frozen=True, repr=False, eq=False)
class Shift(Family):
    """A schedule `n` steps later, whose first value holds until then; `Schedule.shift` makes it.

    Parameters
    ----------
    schedule : Schedule or float
        What is shifted.
    n : float
        The number of steps >= 0.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Shift(schedules.Linear(1.0, steps=10), 100)
    >>> s(50), s(105)
    (1.0, 0.5)
    """

    schedule: Part
    n: Nonnegative


@family
@dataclass(frozen=True, repr=False, eq=False)
class Stretch(Family):
    """A schedule that takes `k` times as long: its value at ``t / k``; `Schedule.stretch` makes it.

    Parameters
    ----------
    schedule : Schedule or float
        What is stretched.
    k : float
        The factor > 0.

    Examples
    --------
    >>> from adamcore import schedules
    >>> schedules.Stretch(schedules.Linear(1.0, steps=10), 2)(10)
    0.5
    """

    schedule: Part
    k: Positive


@family
@dataclass(frozen=True, repr=False, eq=False)
class Every(Family):
    """A schedule with a new value every `n` steps: its value at ``t // n``; `Schedule.every` makes it.

    Parameters
    ----------
    schedule : Schedule or float
        A schedule of epochs, for example.
    n : float
        The number of steps > 0, in an epoch, for example.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Every(schedules.Linear(1.0, steps=10), 100)
    >>> s(99), s(500)
    (1.0, 0.5)
    """

    schedule: Part
    n: Positive
