"""The rules of an optimizer: a group's hyper-parameters select one of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable

from adamcore._arrays.structures import Group


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
