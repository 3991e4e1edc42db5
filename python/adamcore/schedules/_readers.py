"""Readers of arguments: each returns a value as schedules keep it, or raises an error that says what is wanted.

Numbers become int or float, and sequences tuples, so that schedules can be compared, hashed and stored as JSON. A class
declares its arguments with the types below, and `readers_of` finds their readers.
"""

from __future__ import annotations

import inspect
import itertools
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np

from adamcore._checks.numbers import as_float
from adamcore._core import short_repr
from adamcore.schedules._base import Schedule

Reader = Callable[[Any, str], Any]
"""Takes a value, and what the argument is called in messages."""


def _number(wanted: str, is_right: Callable[[float], bool]) -> Reader:
    def read(value: Any, label: str) -> float:
        x = as_float(value, label, wanted)
        if not math.isfinite(x) or not is_right(x):
            raise ValueError(f"{label} must be {wanted}, got {short_repr(value)}")
        return int(value) if isinstance(value, (int, np.integer)) else x

    return read


def _optional(read: Reader) -> Reader:
    return lambda value, label: None if value is None else read(value, label)


def _sequence(wanted: str, read: Reader) -> Reader:
    def read_all(values: Any, label: str) -> tuple[Any, ...]:
        if isinstance(values, (str, bytes, Mapping, Schedule)):
            raise TypeError(f"{label} must be a list of {wanted}, got {short_repr(values)}")
        try:
            elements = list(values)
        except TypeError:
            raise TypeError(f"{label} must be a list of {wanted}, got {short_repr(values)}") from None
        return tuple(read(element, f"{label}[{i}]") for i, element in enumerate(elements))

    return read_all


def _sorted(read: Reader) -> Reader:
    def read_sorted(values: Any, label: str) -> tuple[float, ...]:
        numbers: tuple[float, ...] = read(values, label)
        for a, b in itertools.pairwise(numbers):
            if a > b:
                raise ValueError(f"{label} must be in ascending order, got {b} after {a}")
        return numbers

    return read_sorted


def _read_point(value: Any, label: str) -> tuple[float, float]:
    point: tuple[float, ...] = _sequence("two numbers", _read_real)(value, label)
    if len(point) != 2:
        raise ValueError(f"{label} must be a pair (t, value), got {short_repr(value)}")
    return (_read_nonnegative(point[0], f"{label}[0]"), point[1])


def _read_points(values: Any, label: str) -> tuple[tuple[float, float], ...]:
    points: tuple[tuple[float, float], ...] = _sequence("pairs (t, value)", _read_point)(values, label)
    if not points:
        raise ValueError(f"{label} must have at least one pair (t, value)")
    for (a, _), (b, _) in itertools.pairwise(points):
        if a >= b:
            raise ValueError(f"{label} must be in ascending order of t, got t = {b} after {a}")
    return points


def _read_flag(value: Any, label: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{label} must be True or False, got {short_repr(value)}")
    return bool(value)


def _read_part(value: Any, label: str) -> float | Schedule:
    if isinstance(value, Schedule):
        return value
    if callable(value):
        raise TypeError(
            f"{label} must be a Schedule or a number, got {short_repr(value)}: make it a subclass of "
            "adamcore.schedules.Schedule"
        )
    number: float = _number("a Schedule or a finite number", lambda _: True)(value, label)
    return number


def _choice(*known: str) -> Reader:
    wanted = "one of " + ", ".join(map(repr, known))

    def read(value: Any, label: str) -> str:
        if not isinstance(value, str):
            raise TypeError(f"{label} must be {wanted}, got {short_repr(value)}")
        if value not in known:
            raise ValueError(f"{label} must be {wanted}, got {short_repr(value)}")
        return str(value)

    return read


_read_real = _number("a finite number", lambda _: True)
_read_nonnegative = _number("a number >= 0", lambda x: x >= 0)

Real = Annotated[float, _read_real]
OptionalReal = Annotated[float | None, _optional(_read_real)]
Positive = Annotated[float, _number("a number > 0", lambda x: x > 0)]
OptionalPositive = Annotated[float | None, _optional(_number("a number > 0", lambda x: x > 0))]
Nonnegative = Annotated[float, _read_nonnegative]
AtLeastOne = Annotated[float, _number("a number >= 1", lambda x: x >= 1)]
Share = Annotated[float, _number("a number from 0 to 1", lambda x: 0 <= x <= 1)]
Reals = Annotated[Sequence[float], _sequence("numbers", _read_real)]
Times = Annotated[Sequence[float], _sorted(_sequence("numbers", _read_nonnegative))]
Points = Annotated[Sequence[tuple[float, float]], _read_points]
Part = Annotated[float | Schedule, _read_part]
Parts = Annotated[Sequence[float | Schedule], _sequence("schedules", _read_part)]


def readers_of(init: Callable[..., None]) -> dict[str, Reader]:
    """Return the readers of a constructor's arguments: each has one of these types, or a Literal, or is a bool."""
    hints = inspect.get_annotations(init, eval_str=True)
    return {name: _reader_of(hint) for name, hint in hints.items() if name != "return"}


def _reader_of(hint: Any) -> Reader:
    if typing.get_origin(hint) is typing.Literal:
        return _choice(*typing.get_args(hint))
    return _read_flag if hint is bool else typing.cast("Reader", hint.__metadata__[0])
