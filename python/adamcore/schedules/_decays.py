"""Values that fall, by steps or smoothly, without an end."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from adamcore.schedules._family import Family, family
from adamcore.schedules._readers import Nonnegative, OptionalReal, Positive, Real, Reals, Times

__all__ = ["Constant", "Exponential", "InverseSqrt", "InverseTime", "MultiStep", "Piecewise", "StepDecay"]


@family
@dataclass(frozen=True, repr=False, eq=False)
class Constant(Family):
    """The same value at every `t`; optax' ``constant_schedule``.

    Parameters
    ----------
    value : float
        The value.

    Examples
    --------
    >>> from adamcore import schedules
    >>> schedules.Constant(0.1)(1000)
    0.1
    """

    value: Real


@family
class StepDecay(Family):
    r"""Multiplied by `gamma` every so many steps: :math:`v \gamma^{\lfloor t / n \rfloor}`.

    It is PyTorch's ``StepLR``, and optax' ``exponential_decay`` with a staircase.

    Parameters
    ----------
    value : float
        The first value :math:`v`.
    every : float
        The number of steps :math:`n` > 0 from one change to the next.
    gamma : float
        The factor :math:`\gamma` >= 0.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.StepDecay(0.1, every=30, gamma=0.5)
    >>> s(29), s(30), s(60)
    (0.1, 0.05, 0.025)
    """

    value: float
    gamma: float

    def __init__(self, value: Real, *, every: Positive, gamma: Nonnegative = 0.1) -> None:
        self._take(value=value, every=every, gamma=gamma)


@family
@dataclass(frozen=True, repr=False, eq=False)
class MultiStep(Family):
    r"""Multiplied by `gamma` at each milestone: :math:`v \gamma^m`, where :math:`m` milestones are at most `t`.

    It is PyTorch's ``MultiStepLR``.

    Parameters
    ----------
    value : float
        The first value :math:`v`.
    milestones : sequence of float
        Steps >= 0 in ascending order. One that is given twice counts twice.
    gamma : float
        The factor :math:`\gamma` >= 0.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.MultiStep(0.1, [30, 80], gamma=0.5)
    >>> s(29), s(30), s(80)
    (0.1, 0.05, 0.025)
    """

    value: Real
    milestones: Times
    gamma: Nonnegative = 0.1


@family
class Exponential(Family):
    r"""Exponential decay: :math:`v \gamma^{\max(t - b, 0) / n}`, bounded by `end`.

    It is PyTorch's ``ExponentialLR`` and optax' ``exponential_decay``.

    Parameters
    ----------
    value : float
        The first value :math:`v`.
    gamma : float
        The factor :math:`\gamma` >= 0 of `every` steps. The value grows if it is more than 1.
    every : float
        The number of steps :math:`n` > 0.
    staircase : bool
        Round the exponent down, so that the value changes every `every` steps.
    begin : float
        The number of steps :math:`b` >= 0 for which the first value holds.
    end : float, optional
        The value does not fall below it if `gamma` is less than 1, and does not rise above it otherwise.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Exponential(0.1, 0.5, every=10, end=0.02)
    >>> s(0), s(10), s(1000)
    (0.1, 0.05, 0.02)
    """

    value: float
    gamma: float
    staircase: bool
    begin: float
    end: float | None

    def __init__(
        self,
        value: Real,
        gamma: Nonnegative,
        *,
        every: Positive = 1,
        staircase: bool = False,
        begin: Nonnegative = 0,
        end: OptionalReal = None,
    ) -> None:
        self._take(value=value, gamma=gamma, every=every, staircase=staircase, begin=begin, end=end)


@family
@dataclass(frozen=True, repr=False, eq=False)
class InverseSqrt(Family):
    r"""Decay by the square root of time: :math:`v / \sqrt{1 + t / \tau}`.

    After a `Warmup` of `timescale` steps it is fairseq's ``inverse_sqrt``, and that of Hugging Face Transformers.

    Parameters
    ----------
    value : float
        The first value :math:`v`.
    timescale : float
        The number of steps :math:`\tau` > 0 until :math:`v / \sqrt 2`.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.InverseSqrt(0.1, timescale=10)
    >>> s(0), s(30), s(240)
    (0.1, 0.05, 0.02)
    """

    value: Real
    _: KW_ONLY
    timescale: Positive


@family
class InverseTime(Family):
    r"""Decay by time: :math:`v / (1 + r t / n)`.

    It is Keras' ``InverseTimeDecay``, and thinc's ``decay``.

    Parameters
    ----------
    value : float
        The first value :math:`v`.
    rate : float
        The rate :math:`r` >= 0 of decay in `every` steps.
    every : float
        The number of steps :math:`n` > 0.
    staircase : bool
        Round :math:`t / n` down, so that the value changes every `every` steps.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.InverseTime(0.1, 1.0, every=100)
    >>> s(0), s(100), s(300)
    (0.1, 0.05, 0.025)
    """

    value: float
    rate: float
    staircase: bool

    def __init__(self, value: Real, rate: Nonnegative, *, every: Positive = 1, staircase: bool = False) -> None:
        self._take(value=value, rate=rate, every=every, staircase=staircase)


@family
@dataclass(frozen=True, repr=False, eq=False)
class Piecewise(Family):
    """One value after the other: ``values[i]``, where `i` boundaries are at most `t`.

    It is PyTorch's ``ConstantLR`` and optax' ``piecewise_constant_schedule``, with values in place of factors.

    Parameters
    ----------
    values : sequence of float
        One value more than there are boundaries.
    boundaries : sequence of float
        The steps >= 0 at which the following value begins, in ascending order.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Piecewise([0.1, 0.03, 0.01], [50, 80])
    >>> s(49), s(50), s(100)
    (0.1, 0.03, 0.01)
    """

    values: Reals
    boundaries: Times

    def _check(self, owner: str) -> None:
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"{owner}: values must have one element more than boundaries, got {len(self.values)} values and "
                f"{len(self.boundaries)} boundaries"
            )
