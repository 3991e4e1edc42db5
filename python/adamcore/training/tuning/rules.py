"""What `tune` tunes: a rule, and which numbers it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from adamcore import optimizers
from adamcore._checks.suggestions import did_you_mean
from adamcore._core import short_repr
from adamcore.optimizer import Optimizer

TUPLES = {"betas": "beta", "eps": "eps"}
"""Arguments that are tuples in some rules, and what their elements are called, with numbers from 1."""
_NO_NUMBERS = ("nonfinite", "precision")


class Rule(NamedTuple):
    """A rule whose numbers are chosen."""

    name: str
    """What users read, such as "SGD(nesterov=True)"."""
    make: Callable[..., Any]
    """Makes an optimizer of parameters and numbers."""
    family: str
    """The class of the optimizer, or "" if it is not known."""
    presets: dict[str, Any]
    """Its numbers by name, those of tuples one by one, with their defaults; `inspect.Parameter.empty` if none."""
    bound: frozenset[str]
    """Those that the user has bound to values already."""
    tuples: dict[str, tuple[str, ...]]
    """The numbers that make a tuple, by the name of that."""
    takes_any: bool
    """Whether it takes numbers of any name."""

    def arguments(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return numbers as arguments: those of tuples together, and with defaults where one is not given."""
        found: dict[str, Any] = {}
        for name, value in numbers.items():
            whole = next((key for key, parts in self.tuples.items() if name in parts), None)
            if whole is None:
                found[name] = value
            elif whole not in found:
                found[whole] = tuple(numbers.get(part, self.presets.get(part)) for part in self.tuples[whole])
        return found


def read_rule(rule: Any) -> Rule:
    """Return the rule that was passed: a class of optimizers, its name, or a function of parameters and numbers."""
    wanted = "tune: rule must be an optimizer class such as ac.AdamW, its name, or a function (params, **numbers)"
    if isinstance(rule, str):
        rule = _by_name(rule)
    if isinstance(rule, Optimizer):
        raise TypeError(f"{wanted}; got an optimizer that exists: pass ac.{type(rule).__name__}")
    if not callable(rule) or (isinstance(rule, type) and not issubclass(rule, Optimizer)):
        raise TypeError(f"{wanted}, got {short_repr(rule)}")
    bound = rule.keywords if isinstance(rule, partial) else {}
    inner = rule.func if isinstance(rule, partial) else rule
    if isinstance(rule, partial) and rule.args:
        raise TypeError(f"tune: rule: {short_repr(rule)} has bound an argument by place; bind arguments by name only")
    presets, tuples, takes_any = _numbers_of(rule)
    shown = ", ".join(f"{key}={short_repr(value)}" for key, value in bound.items())
    name = str(getattr(inner, "__name__", type(inner).__name__))
    return Rule(
        name=f"{name}({shown})" if shown else name,
        make=rule,
        family=name if isinstance(inner, type) else "",
        presets=presets,
        bound=frozenset(part for key in bound for part in tuples.get(key, (key,))),
        tuples=tuples,
        takes_any=takes_any,
    )


def _by_name(name: str) -> Any:
    classes = {name: each for name, each in vars(optimizers).items() if isinstance(each, type)}
    known = {each.lower(): each for each in classes}
    if name.lower() not in known:
        hint = did_you_mean(name.lower(), known)
        raise ValueError(f"tune: rule: there is no rule {name!r}{hint}; there are {', '.join(known.values())}")
    return classes[known[name.lower()]]


def _numbers_of(rule: Any) -> tuple[dict[str, Any], dict[str, tuple[str, ...]], bool]:
    """Return the numbers that a rule takes with their defaults, which are parts of tuples, and if there may be more."""
    try:
        parameters = list(inspect.signature(rule).parameters.values())
    except ValueError:  # a function of C
        return {}, {}, True
    presets: dict[str, Any] = {}
    tuples: dict[str, tuple[str, ...]] = {}
    for place, parameter in enumerate(parameters):
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            continue
        name, preset = parameter.name, parameter.default
        is_params = place == 0 and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if is_params or name in _NO_NUMBERS:
            continue
        if name in TUPLES and isinstance(preset, tuple):
            tuples[name] = tuple(f"{TUPLES[name]}{i}" for i in range(1, len(preset) + 1))
            presets.update(zip(tuples[name], preset, strict=True))
        else:
            presets[name] = preset
    return presets, tuples, any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
