"""What `compare` compares: rules, each with one rate or several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from adamcore._core import short_repr
from adamcore.optimizer import Optimizer

Factory = Callable[[Any], Optimizer]
"""Makes an optimizer of parameters."""


class Candidate(NamedTuple):
    """A rule with one choice of its numbers."""

    rule: str
    place: int
    """Its place among the candidates of the rule."""
    factory: Factory


def read_rules(rules: Any) -> dict[str, list[Candidate]]:
    """Return the candidates of each rule, in the order in which they were passed."""
    wanted = 'a dict such as {"AdamW": functools.partial(ac.AdamW, lr=1e-3), ...}'
    if not isinstance(rules, Mapping) or not rules:
        raise TypeError(f"compare: rules must be {wanted}, got {short_repr(rules)}")
    found = {}
    for name, given in rules.items():
        if not isinstance(name, str):
            raise TypeError(f"compare: the names of rules must be str, got {short_repr(name)}")
        factories = [given] if callable(given) else _several(given, name)
        found[name] = [Candidate(name, place, factory) for place, factory in enumerate(factories)]
    return found


def _several(given: Any, name: str) -> list[Factory]:
    factories = list(given.values()) if isinstance(given, Mapping) else given
    if not isinstance(factories, Sequence) or not factories or not all(map(callable, factories)):
        raise TypeError(
            f"compare: rules[{name!r}] must be a function that makes an optimizer of parameters, or a list of such "
            f"functions, got {short_repr(given)}"
        )
    return list(factories)
