"""Hyper-parameters that are schedules, functions of the number of steps, and the rules that numbers select."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from adamcore._arrays.structures import Group
from adamcore._checks.hyper import USUAL


def replaced(value: Any, replace: Callable[[Any, int], Any]) -> Any:
    """Return the value of a hyper-parameter with ``replace(schedule, i)`` in the place of each schedule.

    `i` is the place of the schedule in the tuple or list that `value` is, or -1.
    """
    if isinstance(value, (tuple, list)):
        if not any(callable(item) for item in value):
            return value
        return tuple(replace(item, i) if callable(item) else item for i, item in enumerate(value))
    return replace(value, -1) if callable(value) else value


def with_stand_ins(hyper: Group, rule_for: Callable[[Group], str], variant_keys: Iterable[str]) -> Group:
    """Return hyper-parameters with valid numbers in the place of schedules, without calling these.

    `variant_keys` select the rule. A schedule for one of them stands for a number that is not 0, unless `rule_for`
    refuses that.
    """
    scheduled = [key for key in variant_keys if callable(hyper[key])]
    numbers = {key: replaced(value, partial(_usual, key)) for key, value in hyper.items()}
    for values in itertools.product((0.5, 0.0), repeat=len(scheduled)):
        numbers.update(zip(scheduled, values, strict=True))
        try:
            rule_for(numbers)
        except ValueError:
            continue
        break
    return numbers


def rules_of(rule_for: Callable[[Group], str], keys: Iterable[str], defaults: Group) -> list[str]:
    """Return the names of all rules that groups can select, by trying each combination of values that matter.

    `keys` are the hyper-parameters that select the rule. They are flags, or numbers for which only 0 is special.
    """
    choices = {key: (False, True) if isinstance(defaults[key], bool) else (0.0, 0.5) for key in keys}
    found: dict[str, None] = {}
    for values in itertools.product(*choices.values()):
        with contextlib.suppress(ValueError):  # these values cannot be combined
            found[rule_for({**defaults, **dict(zip(choices, values, strict=True))})] = None
    return list(found)


def _usual(key: str, _: object, place: int) -> Any:
    return USUAL.get((key, place), 0.0)
