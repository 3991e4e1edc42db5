"""The numbers of a loss scaler, and their ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from adamcore._core import short_repr
from adamcore._numbers import LARGEST_INT, as_float, as_int

if TYPE_CHECKING:
    from typing_extensions import Self

    from adamcore.loss_scaler import LossScaler

Number = TypeVar("Number", int, float)

LARGEST = 2.0**126
"""Its inverse is a normal float32 number, and so is the inverse of that."""

SETTINGS = ("scale", "growth_factor", "backoff_factor", "growth_interval", "min_scale")
STATE = (*SETTINGS, "clean_steps")


class Setting(Generic[Number]):
    """An attribute of a scaler that is checked when it is written to."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type[LossScaler], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, scaler: None, owner: type[LossScaler]) -> Self: ...
    @overload
    def __get__(self, scaler: LossScaler, owner: type[LossScaler]) -> Number: ...
    def __get__(self, scaler: LossScaler | None, owner: type[LossScaler]) -> Self | Number:
        if scaler is None:
            return self
        number: Number = scaler._now[self._name]
        return number

    def __set__(self, scaler: LossScaler, value: Number) -> None:
        scaler._change(**{self._name: value})


def checked(given: dict[str, Any], names: Mapping[str, str] = {}) -> dict[str, Any]:
    """Return settings as numbers, held to their ranges; `names` are what messages call them."""
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


def _number(value: Any, name: str) -> float:
    number = as_float(value, f"LossScaler: {name}", "a number")
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"LossScaler: {name} must be a finite number > 0, got {short_repr(value)}")
    return number
