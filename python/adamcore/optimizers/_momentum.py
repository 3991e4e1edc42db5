"""How rules with and without momentum are selected, for SGD and rules that end in its step."""

from __future__ import annotations

from collections.abc import Callable

from adamcore._arrays.structures import Group

MOMENTUM_KEYS = ("momentum", "dampening", "nesterov")
"""The hyper-parameters that select the rule."""


def rule_with_momentum(owner: str, rule: str, group: Group) -> str:
    """Return the name of `rule` without momentum, with it, or with Nesterov's."""
    if group["momentum"] == 0:
        return rule
    if not group["nesterov"]:
        return f"{rule}_momentum"
    if group["dampening"] != 0:
        _refuse_nesterov(owner)
    return f"{rule}_nesterov"


def require_momentum(owner: str, group: Group) -> None:
    """Raise ValueError for Nesterov's momentum where there is none."""
    if group["nesterov"] and group["momentum"] == 0:
        _refuse_nesterov(owner)


def rule_of_function(owner: str, rule: str) -> Callable[[Group], str]:
    """Return what selects the rule where there is no momentum that could come later."""

    def rule_for(hyper: Group) -> str:
        require_momentum(owner, hyper)
        return rule_with_momentum(owner, rule, hyper)

    return rule_for


def _refuse_nesterov(owner: str) -> None:
    raise ValueError(f"{owner}: nesterov needs momentum > 0 and dampening 0")
