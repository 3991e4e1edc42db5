"""Schedules of several phases: warm-ups, cool-downs, and one schedule after the other."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from adamcore.schedules._family import Family, family
from adamcore.schedules._readers import Nonnegative, OptionalReal, Part, Parts, Positive, Real, Times

__all__ = ["WSD", "Cooldown", "Join", "Warmup"]

Shape = Literal["sqrt", "linear", "cosine", "square"]


@family
@dataclass(frozen=True, repr=False, eq=False)
class Warmup(Family):
    r"""A warm-up before another schedule, which begins when the warm-up is complete.

    With :math:`p` = ``schedule(0)`` and :math:`W` = `steps`, the value is :math:`p (t + 1) / W` while :math:`t < W`, or
    :math:`x + (p - x) t / W` with ``start=x``; then ``schedule(t - steps)``.

    With ``start=0.0`` it is that of optax' ``warmup_cosine_decay_schedule``, and with another `start` that of PyTorch's
    ``LinearLR`` in a ``SequentialLR``. Both waste the first step if `start` is 0, which the default does not.

    Parameters
    ----------
    schedule : Schedule or float
        What follows.
    steps : float
        The number of steps :math:`W` > 0.
    start : float, optional
        The value of the first step. If it is None, the first step uses :math:`p / W` and step :math:`W - 1` is at the
        peak.
    shape : {"linear", "sqrt", "cosine", "square"}
        How the value rises with the share :math:`r` of the warm-up that is done: as :math:`r`, :math:`\sqrt r`,
        :math:`(1 - \cos \pi r) / 2` or :math:`r^2`.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Warmup(schedules.Cosine(0.1, steps=80), steps=20)
    >>> s(0), s(19), s(20), s(60)
    (0.005, 0.1, 0.1, 0.05)
    """

    schedule: Part
    _: KW_ONLY
    steps: Positive
    start: OptionalReal = None
    shape: Shape = "linear"


@family
@dataclass(frozen=True, repr=False, eq=False)
class WSD(Family):
    r"""Warm-up, stable phase, and decay to `end` over the last `decay` steps.

    The first step uses ``peak / warmup``, and step ``steps`` would be the first one to use `end`.

    Parameters
    ----------
    peak : float
        The value of the stable phase.
    steps : float
        The number of all steps > 0.
    warmup : float
        The number of steps >= 0 in which the value rises, linearly.
    decay : float
        The number of steps >= 0 in which it falls.
    end : float
        The value at the end.
    shape : {"sqrt", "linear", "cosine", "square"}
        How the value falls with the share :math:`r` of the decay that is done: as :math:`1 - \sqrt r`, :math:`1 - r`,
        :math:`(1 + \cos \pi r) / 2` or :math:`1 - r^2`.

    References
    ----------
    Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training Strategies", 2024.
    Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024 (the shapes).

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.WSD(0.1, steps=100, warmup=10, decay=20)
    >>> s(0), s(9), s(80), s(85), s(100)
    (0.01, 0.1, 0.1, 0.05, 0.0)
    """

    peak: Real
    _: KW_ONLY
    steps: Positive
    warmup: Nonnegative
    decay: Nonnegative
    end: Real = 0.0
    shape: Shape = "sqrt"

    def _check(self, owner: str) -> None:
        if self.warmup + self.decay > self.steps:
            raise ValueError(
                f"{owner}: warmup + decay must be at most steps, got {self.warmup} + {self.decay} and {self.steps}"
            )


@family
@dataclass(frozen=True, repr=False, eq=False)
class Cooldown(Family):
    r"""Another schedule, which from step `at` on falls to `end`.

    It anneals a run that has no planned end: ``group["lr"] = Cooldown(group["lr"], at=opt.completed, steps=2000)``.

    Parameters
    ----------
    schedule : Schedule or float
        What comes before. The fall begins at ``schedule(at)``.
    at : float
        The step >= 0 with which the fall begins.
    steps : float
        The number of steps > 0 in which the value falls.
    end : float
        The value at the end, which holds from then on.
    shape : {"sqrt", "linear", "cosine", "square"}
        How the value falls with the share :math:`r` that is done: as :math:`1 - \sqrt r`, :math:`1 - r`,
        :math:`(1 + \cos \pi r) / 2` or :math:`1 - r^2`.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Cooldown(0.1, at=500, steps=100)
    >>> s(500), s(525), s(600)
    (0.1, 0.05, 0.0)
    """

    schedule: Part
    _: KW_ONLY
    at: Nonnegative
    steps: Positive
    end: Real = 0.0
    shape: Shape = "sqrt"


@family
@dataclass(frozen=True, repr=False, eq=False)
class Join(Family):
    """One schedule after the other, each with a clock that begins with it.

    The value is ``schedules[i](t - boundaries[i - 1])``, where `i` boundaries are at most `t`. It is PyTorch's
    ``SequentialLR`` and optax' ``join_schedules``.

    Parameters
    ----------
    schedules : sequence of Schedule or float
        One schedule more than there are boundaries.
    boundaries : sequence of float
        The steps >= 0 with which the following schedule begins, in ascending order.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Join([0.1, schedules.Linear(0.1, steps=10)], [50])
    >>> s(49), s(50), s(55)
    (0.1, 0.1, 0.05)
    """

    schedules: Parts
    boundaries: Times

    def _check(self, owner: str) -> None:
        if len(self.schedules) != len(self.boundaries) + 1:
            raise ValueError(
                f"{owner}: schedules must have one element more than boundaries, got {len(self.schedules)} schedules "
                f"and {len(self.boundaries)} boundaries"
            )
