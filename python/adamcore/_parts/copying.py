"""Copies of optimizers: what `pickle` and `copy.deepcopy` take along, and how an optimizer is made from it.

The arrays, the containers in which the user passed them and schedules are copied with everything else that is copied.
So in the copy of a model that has parameters and an optimizer, the optimizer updates the parameters of the copy.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, NoReturn, SupportsIndex

from adamcore._arrays.flatten import FlatArrays
from adamcore._arrays.memory import on_host
from adamcore._arrays.structures import named_arrays
from adamcore._parts.averages import begin_native, saved_averages
from adamcore._parts.clock import rules_of, with_stand_ins
from adamcore._parts.groups import OWN_KEYS, Defaults, ParamGroup
from adamcore._parts.guards import take_guard
from adamcore._parts.native import bind_group, make_native
from adamcore._parts.sole_views import require_sole_views

_OWN_ATTRIBUTES = ("options", "defaults", "param_groups", "_memory", "_native")


class Copyable:
    """Pickling and deep copies, for the base class of optimizers."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        # The state comes after the object, so that arrays and schedules may refer to the optimizer.
        return copyreg.__newobj__, (type(self),), _state_of(self)  # type: ignore[attr-defined]

    def __setstate__(self, state: dict[str, Any]) -> None:
        _restore(self, state)

    def __copy__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be copied without its arrays, because both optimizers would update them; "
            "use copy.deepcopy"
        )


def _state_of(optimizer: Any) -> dict[str, Any]:
    """Return all that makes up an optimizer. Raises TypeError that names a parameter that cannot be copied."""
    owner = type(optimizer).__name__
    groups = optimizer.param_groups
    require_sole_views(owner, named_arrays(groups))
    state, completed, numbers, averages, window = optimizer._serializer().snapshot()
    own = object.__reduce_ex__(optimizer, 2)[2]
    attributes, slots = own if isinstance(own, tuple) else (own, {})
    return {
        "options": dict(optimizer.options),
        "defaults": dict(optimizer.defaults),
        "groups": [
            {
                "hyper": {key: value for key, value in group.items() if key not in ("params", "param_names")},
                "params": None if _is_in_place(group["params"], form) else list(group["params"]),
                "names": list(group["param_names"]),
                "form": form,
            }
            for group, form in zip(groups, optimizer._native.forms(), strict=True)
        ],
        "state": state,
        "completed": completed,
        "numbers": numbers,
        "averages": saved_averages(optimizer._averages, averages),
        "window": window,
        "attributes": {key: value for key, value in attributes.items() if key not in _OWN_ATTRIBUTES},
        "slots": slots or {},
    }


def _restore(optimizer: Any, saved: dict[str, Any]) -> None:
    """Make a blank optimizer one that goes on in the same way."""
    owner = type(optimizer).__name__
    rule_for, keys = optimizer._rule, optimizer._variant_keys
    defaults = _with_later_options(optimizer, saved["defaults"])
    own = optimizer.__dict__
    own["options"] = MappingProxyType(saved["options"])
    own["defaults"] = Defaults(owner, defaults, rule_for, keys)
    own["param_groups"] = []
    groups = saved["groups"]
    for group in groups:
        if group["params"] is None:
            group["params"] = list(_arrays_in(*group["form"][2:]))
    first = next((group for group in groups if group["params"]), None)
    array, label = (first["params"][0], first["form"][0][0]) if first else (None, "params")
    own["_memory"], own["_native"] = make_native(owner, own["options"], array, label)
    for group in groups:
        # A schedule may belong to an object that is not complete yet, so nothing calls it here.
        group["hyper"] = _with_later_options(optimizer, group["hyper"])
        hyper = with_stand_ins(group["hyper"], rule_for, keys)
        labels, grad_keys, tree, source = group["form"]
        flat = FlatArrays(group["params"], group["names"], labels, grad_keys, tree)
        made = ParamGroup(owner, flat.arrays, flat.names, hyper)
        bind_group(optimizer._native, optimizer.param_groups, made, flat, source, keys, rule_for, checked=False)
    averages = saved.get("averages", {})
    for name, options in averages.items():
        begin_native(optimizer._native, name, options)
    rules = [rule_for(group) for group in optimizer.param_groups]  # with stand-ins
    values: list[dict[str, Any]] = [{} for _ in groups]
    family = rules_of(rule_for, keys, defaults)
    numbers, window = saved.get("numbers", {}), saved.get("window")  # earlier versions had none
    restore = optimizer._native.restore
    progress = {name: (options["steps"], options["averaged"]) for name, options in averages.items()}
    restore(values, saved["state"], saved["completed"], numbers, on_host, rules, family, False, [], progress, window)  # noqa: FBT003
    for group, made in zip(groups, optimizer.param_groups, strict=True):
        made.update({key: value for key, value in group["hyper"].items() if key not in OWN_KEYS})
    take_guard(optimizer, own["options"])
    own.update(saved["attributes"])
    for name, value in saved["slots"].items():
        object.__setattr__(optimizer, name, value)


def _with_later_options(optimizer: Any, hyper: dict[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters with those that the version which wrote them did not have."""
    return {**hyper, **{key: value for key, value in optimizer._later_options.items() if key not in hyper}}


def _is_in_place(params: list[Any], form: Any) -> bool:
    """Whether the user's container has a group's arrays, so that they need not be written beside it.

    joblib writes an array anew wherever it meets it, but a container once.
    """
    tree, source = form[2:]
    if source is None:
        return False
    try:
        found = list(_arrays_in(tree, source))
    except (LookupError, TypeError, ValueError):
        return False
    return len(found) == len(params) and all(a is b for a, b in zip(found, params, strict=True))


def _arrays_in(tree: Any, container: Any) -> Iterator[Any]:
    """Yield the arrays of lists, tuples and dicts. Raises an error for another container or structure."""
    if isinstance(tree, int):
        yield container
        return
    if type(container) not in ((dict,) if isinstance(tree, dict) else (list, tuple)):
        raise TypeError(type(container))
    if isinstance(tree, dict):
        for key, item in tree.items():
            yield from _arrays_in(item, container[key])
    elif isinstance(tree, tuple):
        for (_, item), (_, value) in zip(tree, container, strict=False):
            yield from _arrays_in(item, value)
    else:
        for item, value in zip(tree, container, strict=False):
            yield from _arrays_in(item, value)
