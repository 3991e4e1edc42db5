"""Among which numbers `tune` searches."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from adamcore._checks.flags import FLAGS
from adamcore._checks.suggestions import did_you_mean
from adamcore._core import short_repr
from adamcore.training.tuning.ranges import Choice, Range, range_on_request, usual_ranges
from adamcore.training.tuning.rules import Rule

_DECAYS = ("beta1", "beta2", "beta3", "momentum", "alpha")
"""Numbers below 1 of which it counts how far from 1 they are."""
_WHOLE = ("warmup_steps",)
_PLAIN = (bool, int, float, str, type(None))


class Ranges:
    """Numbers each of which has a range, choices or a fixed value."""

    def __init__(self, rule: Rule, drawn: dict[str, Range | Choice], fixed: dict[str, Any]) -> None:
        self._rule, self.drawn, self._fixed = rule, drawn, fixed

    def draw(self, trial: Any) -> dict[str, Any]:
        """Return the arguments that a trial of Optuna's suggests."""
        return self._rule.arguments({**self._fixed, **{key: each.draw(trial, key) for key, each in self.drawn.items()}})

    def presets(self) -> dict[str, Any]:
        """Return what would be drawn for the defaults of the rule, as far as they are numbers, or the nearest to it."""
        found = {}
        for name, each in self.drawn.items():
            value = each.nearest(self._rule.presets.get(name))
            if value is not None:
                found[each.key(name)] = value
        return found

    def corners(self) -> list[dict[str, Any]]:
        """Return arguments with which every end of every range occurs."""
        ends = {name: each.ends() for name, each in self.drawn.items()}
        count = max(map(len, ends.values()))
        return [
            self._rule.arguments({**self._fixed, **{name: values[i % len(values)] for name, values in ends.items()}})
            for i in range(count)
        ]

    def edges(self, params: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
        """Return the numbers of a trial that are at an end of their range, and which end: "lowest" or "highest"."""
        found = {}
        for name, each in self.drawn.items():
            if isinstance(each, Range) and each.key(name) in params:
                drawn = params[each.key(name)]
                if (edge := each.edge(drawn)) is not None:
                    found[name] = (each.number(drawn), edge)
        return found

    def described(self) -> Any:
        """Return the space as plain data, by which two are compared."""
        fixed = {name: value if isinstance(value, _PLAIN) else repr(value) for name, value in self._fixed.items()}
        return {**{name: each.described() for name, each in self.drawn.items()}, **fixed}


class Function:
    """A function of a trial that returns the arguments, having asked the trial for each number."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def draw(self, trial: Any) -> dict[str, Any]:
        """Return the arguments that the function returns."""
        found = self._function(trial)
        if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
            raise TypeError(f"tune: space(trial) must return the rule's arguments as a dict, got {short_repr(found)}")
        return dict(found)

    def presets(self) -> dict[str, Any]:
        """Return nothing: what the function will ask for is not known before."""
        return {}

    def corners(self) -> list[dict[str, Any]]:
        """Return nothing: the ranges are not known."""
        return []

    def edges(self, _: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
        """Return nothing: the ranges are not known."""
        return {}

    def described(self) -> Any:
        """Return the function's name."""
        inner = self._function.func if isinstance(self._function, partial) else self._function
        return f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"


Space = Ranges | Function


def read_space(space: Any, rule: Rule) -> Space:
    """Return the space that was passed: the usual one, changed as a dict says, or a function."""
    if callable(space):
        return Function(space)
    if space is not None and not isinstance(space, Mapping):
        raise TypeError(
            'tune: space must be a dict such as {"lr": (1e-4, 1.0), "eps": True}, a function of an Optuna trial or '
            f"None, got {short_repr(space)}"
        )
    drawn: dict[str, Range | Choice] = dict(usual_ranges(rule))
    fixed: dict[str, Any] = {}
    for name, given in (space or {}).items():
        _require_known(name, rule)
        found = None if given is None else _read_one(name, given, rule)
        if isinstance(found, (Range, Choice)):
            drawn[name] = found
            continue
        drawn.pop(name, None)
        if given is not None:
            fixed[name] = found
    _require_all(rule, {*drawn, *fixed})
    if not drawn:
        raise ValueError(
            f"tune: space: there is no number of {rule.name} to choose; name one, such as {{'lr': (1e-4, 1.0)}}"
        )
    return Ranges(rule, drawn, fixed)


def _require_known(name: Any, rule: Rule) -> None:
    if not isinstance(name, str):
        raise TypeError(f"tune: space: the names of numbers must be str, got {short_repr(name)}")
    if name in rule.tuples:
        parts = rule.tuples[name]
        raise ValueError(f"tune: space: name the numbers of {name} one by one: {', '.join(map(repr, parts))}")
    if name not in rule.presets and not rule.takes_any:
        hint = did_you_mean(name, rule.presets)
        raise ValueError(f"tune: space: {rule.name} has no number {name!r}{hint}; it has {', '.join(rule.presets)}")


def _require_all(rule: Rule, named: set[str]) -> None:
    """Raise ValueError if the rule needs an argument that it will not be given."""
    missing = [name for name, preset in rule.presets.items() if preset is inspect.Parameter.empty and name not in named]
    if missing:
        raise ValueError(
            f"tune: space: {rule.name} needs {missing[0]!r}, which has no default; say among which numbers to search"
        )


def _read_one(name: str, given: Any, rule: Rule) -> Any:
    """Return a range or choices, or else the value at which a number is held."""
    label = f"tune: space: {name}"
    if (given is True and name not in FLAGS) or given == "default":
        found = range_on_request(rule, name)
        if found is None:
            raise ValueError(f"{label} has no default range; give one, such as (1e-4, 1.0)")
        return found
    if isinstance(given, tuple):
        return _read_range(name, given, label)
    if isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        return _read_choice(given, label)
    if isinstance(given, np.generic):
        given = given.item()
    if isinstance(given, float) and not math.isfinite(given):
        raise ValueError(f"{label} must be finite, got {given}")
    if isinstance(given, str) or not (isinstance(given, (bool, int, float)) or callable(given)):
        kinds = "a range (low, high), a list of choices, True for the default range, a number, or None"
        raise TypeError(f"{label} must be {kinds}, got {short_repr(given)}")
    return given


def _read_range(name: str, given: tuple[Any, ...], label: str) -> Range:
    message = f"{label} must be a range (low, high) of finite numbers with low < high, got {short_repr(given)}"
    if any(isinstance(end, bool) or not isinstance(end, (int, float, np.number)) for end in given):
        raise TypeError(message)
    if len(given) != 2 or not all(map(math.isfinite, given)) or not given[0] < given[1]:
        raise ValueError(message)
    low, high = map(float, given)
    if name in _WHOLE:
        if not (low.is_integer() and high.is_integer()):
            raise ValueError(f"{label} must be a range of whole numbers, got {short_repr(given)}")
        return Range(int(low), int(high), "whole")
    if name in _DECAYS and low >= 0 and high < 1:
        # 1 - 0.99 is 0.010000000000000009
        return Range(float(f"{1 - high:.14g}"), float(f"{1 - low:.14g}"), "from one")
    return Range(low, high, "log" if low > 0 else "linear")


def _read_choice(given: Sequence[Any], label: str) -> Choice:
    values = tuple(value.item() if isinstance(value, np.generic) else value for value in given)
    for value in values:
        if not isinstance(value, _PLAIN) or (isinstance(value, float) and not math.isfinite(value)):
            raise TypeError(
                f"{label}: choices must be finite numbers, texts, True, False or None, got {short_repr(value)}"
            )
    if len(values) < 2 or len(set(values)) < len(values):
        raise ValueError(f"{label} must have two different choices or more, got {short_repr(list(values))}")
    return Choice(values)
