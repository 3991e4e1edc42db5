"""What a schedule is."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from adamcore._core import Evaluator, short_repr
from adamcore.schedules._described import Described, add_known, known

ScheduleClass = TypeVar("ScheduleClass", bound="type[Schedule]")


class Schedule(Described):
    """The base class of schedules: numbers that depend on the clock.

    ``s(t)`` is the value that the update after `t` completed ones uses, so the first step uses ``s(0)``. It is a pure
    function: a schedule is immutable, and has no clock and no reference to an optimizer. `t` is an int or a float >= 0,
    or an array of them, for which ``s(t)`` is a float64 array with the same bits.

    Schedules are equal if their arguments are. ``repr(s)`` is an expression that makes an equal one. They can be
    multiplied and added, and have methods that change when they begin and how long they take.

    At most 100 schedules can be nested in each other. Long sums and products nest: ``a + b + c`` is a sum in a sum.
    `Join` takes a list of schedules that follow each other, which are not nested.

    Your own schedules are subclasses that define ``__call__(self, t)``, where `t` is a number. The arguments of their
    constructor must be attributes of the same names. `register` them, so that they can be saved.

    Raises
    ------
    TypeError
        If `t` is no number and no array of numbers, or if this class itself is called.
    ValueError
        If `t` is negative or not finite.

    Examples
    --------
    >>> from adamcore import schedules
    >>> s = schedules.Cosine(0.1, 0.02, steps=100)
    >>> s(50)
    0.06
    >>> 2 * s.shift(10)
    Product(2, Shift(Cosine(0.1, 0.02, steps=100), 10))
    >>> @schedules.register
    ... class Sawtooth(schedules.Schedule):
    ...     def __init__(self, value, *, period):
    ...         self.value, self.period = value, period
    ...     def __call__(self, t):
    ...         return self.value * (1 - t % self.period / self.period)
    >>> s = Sawtooth(1.0, period=4) * 2
    >>> s(1), schedules.Schedule.from_dict(s.to_dict()) == s
    (1.5, True)
    """

    __slots__ = ("_evaluator", "_formula")

    if TYPE_CHECKING:
        _formula: Evaluator  # what this class' __call__ evaluates
        _evaluator: Evaluator | None  # the same, if nothing else is called; None for other classes of users

    def _seal(self) -> None:
        is_own = type(self).__call__ is not Schedule.__call__
        if not is_own and not hasattr(self, "_formula"):
            raise TypeError(
                f"{type(self).__name__} is no schedule of its own: use one of adamcore.schedules, or a subclass that "
                "defines __call__(self, t)"
            )
        object.__setattr__(self, "_evaluator", None if is_own else self._formula)
        super()._seal()

    @overload
    def __call__(self, t: float, /) -> float: ...
    @overload
    def __call__(self, t: NDArray[Any], /) -> NDArray[np.float64]: ...
    def __call__(self, t: Any, /) -> Any:
        return self._formula(t)

    def __mul__(self, other: float | Schedule) -> Schedule:
        return _make("Product", self, other) if _is_operand(self, other) else NotImplemented

    def __rmul__(self, other: float) -> Schedule:
        return _make("Product", other, self) if _is_operand(self, other) else NotImplemented

    def __add__(self, other: float | Schedule) -> Schedule:
        return _make("Sum", self, other) if _is_operand(self, other) else NotImplemented

    def __radd__(self, other: float) -> Schedule:
        return _make("Sum", other, self) if _is_operand(self, other) else NotImplemented

    __array_ufunc__ = None  # so that NumPy's numbers leave * and + to this class

    def clip(self, low: float | None = None, high: float | None = None) -> Schedule:
        """Return this schedule with values from `low` to `high`; None is no limit.

        Examples
        --------
        >>> from adamcore import schedules
        >>> schedules.InverseSqrt(0.1, timescale=10).clip(low=0.05)(1000)
        0.05
        """
        return _make("Clip", self, low, high)

    def shift(self, n: float) -> Schedule:
        """Return this schedule `n` steps later: its first value holds until then.

        ``s.shift(opt.completed)`` begins now.

        Examples
        --------
        >>> from adamcore import schedules
        >>> s = schedules.Linear(0.1, steps=10).shift(100)
        >>> s(0), s(100), s(105)
        (0.1, 0.1, 0.05)
        """
        return _make("Shift", self, n)

    def stretch(self, k: float) -> Schedule:
        """Return this schedule `k` times as long: its value at ``t / k``.

        Examples
        --------
        >>> from adamcore import schedules
        >>> schedules.Linear(0.1, steps=10).stretch(100)(500)
        0.05
        """
        return _make("Stretch", self, k)

    def every(self, n: float) -> Schedule:
        """Return this schedule with a new value every `n` steps: its value at ``t // n``.

        It makes a schedule of epochs one of steps, if `n` is the number of steps in an epoch. (An argument named
        `every`, which some schedules have, is no attribute for this reason; `to_dict` has it.)

        Examples
        --------
        >>> from adamcore import schedules
        >>> s = schedules.Linear(1.0, steps=10).every(100)
        >>> s(99), s(100), s(500)
        (1.0, 0.9, 0.5)
        """
        return _make("Every", self, n)

    def then(self, schedule: float | Schedule, *, at: float) -> Schedule:
        """Return a schedule that is this one before step `at`, and then another one, which begins there.

        Examples
        --------
        >>> from adamcore import schedules
        >>> schedules.Constant(0.1).then(schedules.Linear(0.1, steps=10), at=50)(55)
        0.05
        """
        return _make("Join", [self, schedule], [at])

    def plot(self, steps: int, ax: Any = None) -> Any:
        """Draw the values of the first `steps` steps with Matplotlib.

        Parameters
        ----------
        steps : int
            How many steps are drawn, >= 1.
        ax : matplotlib.axes.Axes, optional
            Where to draw. The default is a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            Where it was drawn.

        Raises
        ------
        TypeError
            If `steps` is no int, or `ax` no axes.
        ModuleNotFoundError
            If Matplotlib is not installed: ``pip install "adamcore[plot]"``.
        """
        from adamcore.schedules._plot import plot  # noqa: PLC0415  (needed only here)

        return plot(self, steps, ax)

    if TYPE_CHECKING:

        @classmethod
        def from_dict(cls, saved: Mapping[str, Any]) -> Schedule: ...


def register(schedule: ScheduleClass) -> ScheduleClass:
    """Let schedules of your class be saved and loaded; a decorator.

    Parameters
    ----------
    schedule : type
        A subclass of `Schedule` that defines ``__call__(self, t)``. It is known by its name, which must be unlike those
        of other schedules. The arguments of its constructor must be attributes of the same names, and values that JSON
        has, or schedules.

    Returns
    -------
    type
        The class.

    Raises
    ------
    TypeError
        If it is no subclass of `Schedule`, it defines no ``__call__``, or its constructor takes ``*args`` or
        ``**kwargs``.
    ValueError
        If another class of this name is registered, it is named ``callable``, or an argument is named ``type`` or
        ``state``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from adamcore import schedules
    >>> @schedules.register
    ... @dataclass(frozen=True)
    ... class Halving(schedules.Schedule):
    ...     value: float
    ...     def __call__(self, t):
    ...         return self.value / 2**t
    >>> schedules.Schedule.from_dict({"type": "Halving", "value": 8.0})
    Halving(value=8.0)
    """
    if not (inspect.isclass(schedule) and issubclass(schedule, Schedule)) or schedule is Schedule:
        raise TypeError(f"register: a subclass of Schedule is needed, got {schedule!r}")
    if schedule.__call__ is Schedule.__call__ and not hasattr(schedule, "_kind"):
        raise TypeError(f"register: {schedule.__name__} must define __call__(self, t)")
    return add_known(schedule)


def _make(name: str, *arguments: Any) -> Schedule:
    """Make a schedule of a class that is defined above this module, which is why its name is looked up."""
    made: Schedule = known(name)(*arguments)
    return made


def _is_operand(schedule: Schedule, other: Any) -> bool:
    if isinstance(other, (str, bytes, list, tuple)):  # for which Python's message would be about sequences
        owner = type(schedule).__name__
        raise TypeError(f"{owner}: only numbers and schedules can be added and multiplied, got {short_repr(other)}")
    return isinstance(other, (Schedule, int, float, np.integer, np.floating)) and not isinstance(other, bool)
