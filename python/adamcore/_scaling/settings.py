"""The numbers of a loss scaler, their ranges, and how steps change them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from adamcore._checks.numbers import LARGEST_INT, as_float, as_int
from adamcore._core import product, short_repr

if TYPE_CHECKING:
    from typing_extensions import Self

Number = TypeVar("Number", int, float)

LARGEST = 2.0**126
"""The largest scale: it and its inverse are both normal float32 numbers."""

SETTINGS = ("scale", "growth_factor", "backoff_factor", "growth_interval", "min_scale")
STATE = (*SETTINGS, "clean_steps")


class Setting(Generic[Number]):
    """An attribute of a scaler that is checked when it is assigned."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type[object], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, scaler: None, owner: type[object]) -> Self: ...
    @overload
    def __get__(self, scaler: object, owner: type[object]) -> Number: ...
    def __get__(self, scaler: Any, owner: type[object]) -> Self | Number:
        if scaler is None:
            return self
        number: Number = scaler._now[self._name]
        return number

    def __set__(self, scaler: Any, value: Number) -> None:
        scaler._change(**{self._name: value})


def checked(given: dict[str, Any], names: Mapping[str, str] = {}) -> dict[str, Any]:
    """Return the settings as numbers. Raises an error if one is out of range; `names` are the names in messages."""
    name_of = {key: names.get(key, key) for key in given}
    numbers: dict[str, Any] = {
        key: _number(value, name_of[key]) for key, value in given.items() if key != "growth_interval"
    }
    interval = f"at least 1, an int, and at most {LARGEST_INT}"
    numbers["growth_interval"] = as_int(given["growth_interval"], "LossScaler: growth_interval", interval, 1)
    if numbers["min_scale"] < 1 / LARGEST:
        raise ValueError(f"LossScaler: min_scale must be at least 2**-126, got {numbers['min_scale']!r}")
    if not numbers["growth_factor"] > 1:
        raise ValueError(f"LossScaler: growth_factor must be > 1, got {numbers['growth_factor']!r}")
    if not numbers["backoff_factor"] < 1:
        raise ValueError(f"LossScaler: backoff_factor must be < 1, got {numbers['backoff_factor']!r}")
    scale, name = numbers["scale"], name_of["scale"]
    if scale > LARGEST:
        raise ValueError(f"LossScaler: {name} must be at most 2**126, got {scale!r}")
    if scale < numbers["min_scale"]:
        raise ValueError(f"LossScaler: {name} must be at least min_scale={numbers['min_scale']!r}, got {scale!r}")
    return {key: numbers[key] for key in SETTINGS}


def checked_state(state_dict: Any) -> dict[str, Any]:
    """Return the numbers of a state dict. Raises an error if one is missing or out of range."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"LossScaler: state_dict must be a dict, got {short_repr(state_dict)}")
    if missing := [key for key in STATE if key not in state_dict]:
        raise ValueError(f"LossScaler: state_dict: {missing[0]!r} is missing")
    if unknown := [key for key in state_dict if key not in STATE]:
        raise ValueError(f"LossScaler: state_dict: {unknown[0]!r} is unknown; the known keys are {', '.join(STATE)}")
    settings = checked({key: state_dict[key] for key in SETTINGS})
    clean_steps = as_int(state_dict["clean_steps"], "LossScaler: state_dict: clean_steps", "at least 0, an int", 0)
    return {**settings, "clean_steps": clean_steps}


def checked_overflow(value: Any) -> bool:
    """Return a library's idea of True or False as a bool."""
    if type(value) is bool:
        return value
    has_parts = isinstance(value, Sized) and getattr(value, "shape", None) != ()
    if has_parts or value is None:  # such as the StepInfo itself
        raise TypeError(f"LossScaler: overflow must be True or False, got {short_repr(value)}")
    return bool(value)


def count_step(numbers: dict[str, Any], *, overflow: bool) -> bool:
    """Update a scaler's numbers after a step. Returns False, and keeps the scale, if the scale cannot shrink more."""
    if not overflow:
        numbers["clean_steps"] += 1
        if numbers["clean_steps"] >= numbers["growth_interval"]:
            numbers["clean_steps"] = 0
            numbers["scale"] = min(product(numbers["scale"], numbers["growth_factor"]), LARGEST)
        return True
    numbers["clean_steps"] = 0
    if numbers["scale"] <= numbers["min_scale"]:
        return False
    numbers["scale"] = max(product(numbers["scale"], numbers["backoff_factor"]), numbers["min_scale"])
    return True


def _number(value: Any, name: str) -> float:
    number = as_float(value, f"LossScaler: {name}", "a number")
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"LossScaler: {name} must be a finite number > 0, got {short_repr(value)}")
    return number
