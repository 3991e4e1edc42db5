"""Checks of assignments to attributes of an optimizer. An error tells how to set a value that is not an attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from adamcore._checks.hyper import hyper_parameters
from adamcore._checks.suggestions import did_you_mean, is_like_one_of
from adamcore._parts.options import PRESETS

_READ_ONLY = {
    "param_groups": "write to the dicts in it, or call add_param_group",
    "state": "write into its arrays, state[name][slot][...] = x, or call load_state_dict",
    "steps": "load_state_dict sets step counts",
    "completed": "load_state_dict sets the number of completed steps",
    "numbers": "load_state_dict sets them",
    "defaults": "write to its keys",
    "options": "pass them when the optimizer is made",
}


_ELSEWHERE = {
    "loss_scale": "pass it to each step: opt.step(grads, loss_scale=x)",
    "params": "add_param_group adds parameters",
}
"""Names that are not attributes but occur elsewhere in the API, and how to set their values."""


class Guarded:
    """Assignments to attributes are checked; for the base class of optimizers."""

    if not TYPE_CHECKING:  # type checkers find wrong attributes without these

        def __setattr__(self, name: str, value: Any) -> None:
            require_writable(self, name)
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            require_writable(self, name)
            object.__delattr__(self, name)


def require_writable(optimizer: object, name: str) -> None:
    """Raise AttributeError if an attribute is read-only, or if assigning it would have no effect on the optimizer."""
    if name.startswith("_"):
        return
    owner = type(optimizer)
    if name in _READ_ONLY:
        if name in optimizer.__dict__ or hasattr(owner, name):
            raise AttributeError(f"{owner.__name__}: {name} cannot be replaced: {_READ_ONLY[name]}")
    elif hasattr(owner, name):
        return
    elif name in _ELSEWHERE:
        raise AttributeError(f"{owner.__name__}: the attribute {name!r} cannot be written to: {_ELSEWHERE[name]}")
    elif is_like_one_of(name, {*hyper_parameters(), *PRESETS}):
        _refuse(optimizer, name)


def _refuse(optimizer: object, name: str) -> NoReturn:
    owner = type(optimizer).__name__
    own = list(optimizer.__dict__.get("defaults", ()))
    if name in own:
        hint = f"; set it in the groups: for group in opt.param_groups: group[{name!r}] = x"
    elif name in PRESETS:
        hint = f"; pass it when the optimizer is made, {owner}(params, {name}=...); opt.options[{name!r}] returns it"
    else:
        known = [*own, *PRESETS]
        hint = f"; {owner} has {', '.join(known)}" if is_like_one_of(name, hyper_parameters()) else ""
        hint += did_you_mean(name, known)
    raise AttributeError(f"{owner}: the attribute {name!r} cannot be written to{hint}", name=name, obj=optimizer)
