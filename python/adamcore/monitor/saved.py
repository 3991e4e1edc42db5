"""How a monitor reads its saved state, of which nothing is taken for granted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from adamcore._checks.numbers import as_float, as_int
from adamcore._core import short_repr


class Saved:
    """A dict that has been saved. Its methods raise TypeError or ValueError, which name the key, for what cannot be."""

    def __init__(self, value: Any, keys: Iterable[str], label: str = "") -> None:
        self._label = label
        wanted = tuple(keys)
        if not isinstance(value, Mapping):
            raise TypeError(f"{label or 'it'} must be a dict with {', '.join(wanted)}, got {short_repr(value)}")
        if missing := [key for key in wanted if key not in value]:
            raise ValueError(f"{self._place(missing[0])} is missing")
        if surplus := [key for key in value if key not in wanted]:
            raise ValueError(f"{label}{': ' if label else ''}unknown key {short_repr(surplus[0])}")
        self._value = value

    def _place(self, key: str) -> str:
        return f"{self._label}: {key}" if self._label else key

    def __getitem__(self, key: str) -> Any:
        return self._value[key]

    def to_dict(self) -> dict[str, Any]:
        """Return the dict."""
        return dict(self._value)

    def inside(self, key: str, keys: Iterable[str]) -> Saved:
        """Return a dict within this one."""
        return Saved(self._value[key], keys, self._place(key))

    def items(self, key: str, most: int | None = None) -> list[Any]:
        """Return a list, which has at most so many items."""
        found = self._value[key]
        if not isinstance(found, (list, tuple)):
            raise TypeError(f"{self._place(key)} must be a list, got {short_repr(found)}")
        if most is not None and len(found) > most:
            raise ValueError(f"{self._place(key)} must have at most {most} items, got {len(found)}")
        return list(found)

    def rows(self, key: str, width: int, wanted: str) -> list[list[Any]]:
        """Return a list of lists of so many items each."""
        found = self.items(key)
        for row in found:
            if not isinstance(row, (list, tuple)) or len(row) != width:
                raise ValueError(f"{self._place(key)} must be lists of {wanted}, got {short_repr(row)}")
        return [list(row) for row in found]

    def count(self, key: str) -> int:
        """Return an int >= 0."""
        return as_int(self._value[key], self._place(key), "an int >= 0", 0)

    def counts(self, key: str, most: int | None = None) -> list[int]:
        """Return a list of ints >= 0."""
        return [as_int(item, self._place(key), "ints >= 0", 0) for item in self.items(key, most)]

    def counts_by_name(self, key: str) -> dict[str, int]:
        """Return a dict of ints >= 0."""
        found = self._value[key]
        if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
            raise TypeError(f"{self._place(key)} must be a dict of ints by name, got {short_repr(found)}")
        return {name: as_int(item, self._place(key), "ints >= 0", 0) for name, item in found.items()}

    def flag(self, key: str) -> bool:
        """Return True or False."""
        return _flag(self._value[key], self._place(key))

    def flags(self, key: str, most: int | None = None) -> list[bool]:
        """Return a list of True and False."""
        return [_flag(item, self._place(key)) for item in self.items(key, most)]

    def names(self, key: str) -> list[str]:
        """Return a list of texts."""
        found = self.items(key)
        if wrong := [item for item in found if not isinstance(item, str)]:
            raise TypeError(f"{self._place(key)} must be texts, got {short_repr(wrong[0])}")
        return found

    def text(self, key: str) -> str:
        """Return a text."""
        found = self._value[key]
        if not isinstance(found, str):
            raise TypeError(f"{self._place(key)} must be a text, got {short_repr(found)}")
        return found

    def number(self, key: str) -> float:
        """Return a finite number."""
        return _finite(self._value[key], self._place(key), "a finite number")

    def number_or_none(self, key: str) -> float | None:
        """Return a finite number, or None."""
        found = self._value[key]
        return None if found is None else _finite(found, self._place(key), "a finite number or None")

    def numbers(self, key: str, most: int | None = None) -> list[float]:
        """Return a list of finite numbers."""
        return numbers(self.items(key, most), self._place(key))

    def numbers_or_nones(self, key: str, most: int | None = None) -> list[float | None]:
        """Return a list of finite numbers and None."""
        return numbers_or_nones(self.items(key, most), self._place(key))


def numbers(values: Any, label: str) -> list[float]:
    """Return a list of finite numbers."""
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"{label} must be a list, got {short_repr(values)}")
    return [_finite(value, label, "finite numbers") for value in values]


def numbers_or_nones(values: Iterable[Any], label: str) -> list[float | None]:
    """Return a list of finite numbers and None."""
    wanted = "finite numbers or None"
    return [None if value is None else _finite(value, label, wanted) for value in values]


def known_or_none(values: Iterable[float]) -> list[float | None]:
    """Return numbers for JSON, which has neither NaN nor infinity: None for them."""
    return [value if math.isfinite(value) else None for value in values]


def nan_for_none(values: Iterable[float | None]) -> list[float]:
    """Return numbers, NaN for None."""
    return [math.nan if value is None else value for value in values]


def _finite(value: Any, label: str, wanted: str) -> float:
    number = as_float(value, label, wanted)
    if not math.isfinite(number):
        raise ValueError(f"{label} must be {wanted}, got {number}")
    return number


def _flag(value: Any, label: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{label} must be True or False, got {short_repr(value)}")
    return value
