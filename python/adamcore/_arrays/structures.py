"""The structures in which users pass parameters: groups, and in each of them arrays with their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from adamcore._arrays.flatten import FlatArrays, checked_name, flatten
from adamcore._checks.suggestions import did_you_mean
from adamcore._core import short_repr

Group = dict[str, Any]


def _split_groups(params: object) -> list[Group] | None:
    """Return the groups if `params` is a sequence whose first item is one, else None."""
    if not isinstance(params, Sequence) or not params:
        return None
    if not isinstance(params[0], Mapping) or "params" not in params[0]:
        return None
    for i, group in enumerate(params):
        require_group(group, f"params[{i}]", "a group, a dict with the key 'params'")
    return [dict(group) for group in params]


class Flattened(list[tuple[Group, FlatArrays, Any]]):
    """Groups that have been flattened already, in the place of a user's parameters."""


def flatten_groups(params: Any) -> list[tuple[Group, FlatArrays, Any]]:
    """Return each group's options, its arrays, and the container in which they were passed."""
    if isinstance(params, Flattened):
        return params
    groups = _split_groups(params)
    if groups is None:
        return [({}, flatten(params, 0, "params", in_group=False), params)]
    flats: list[tuple[Group, FlatArrays, Any]] = []
    count = 0
    for i, group in enumerate(groups):
        flat, source = flatten_group(group, count, f"params[{i}]")
        count += len(flat.names)
        flats.append((options_of(group), flat, source))
    return flats


def flatten_group(group: Mapping[str, Any], first: int, label: str) -> tuple[FlatArrays, Any]:
    """Return a group's arrays, and the container in which they were passed. `first` parameters are before these."""
    source, names = group["params"], group.get("param_names")
    flat = flatten(source, first, f"{label}['params']", in_group=True)
    if names is not None:
        _rename(flat, names, f"{label}['param_names']", f"{label}['params']")
    return flat, source


def options_of(group: Mapping[str, Any]) -> Group:
    """Return what a group has besides its arrays and their names."""
    return {key: value for key, value in group.items() if key not in ("params", "param_names")}


def named_arrays(groups: Iterable[Group]) -> Iterator[tuple[str, Any]]:
    """Yield the name and the array of each parameter, in order."""
    for group in groups:
        yield from zip(group["param_names"], group["params"], strict=True)


def require_group(group: object, label: str, wanted: str = "a dict with the key 'params'") -> None:
    """Raise TypeError unless `group` is a mapping with the key "params"."""
    if not isinstance(group, Mapping):
        raise TypeError(f"{label}: expected {wanted}, got {type(group).__name__}")
    if "params" not in group:
        hint = next((h for h in (did_you_mean(key, ["params"]) for key in group) if h), "")
        keys = short_repr([key if isinstance(key, str) else short_repr(key) for key in group])
        raise TypeError(f"{label}: expected {wanted}, got one with {keys}{hint}")


def _rename(flat: FlatArrays, names: Any, place: str, label: str) -> None:
    """Give the arrays of a sequence the names in "param_names". A structure with names of its own keeps them."""
    given = _checked_names(names, place)
    if isinstance(flat.tree, (dict, tuple)):
        if given != flat.names:
            raise ValueError(f"{place}: the names are not those of {label}; leave 'param_names' out")
        return
    if len(given) != len(flat.names):
        raise ValueError(f"{place}: got {_count(len(given), 'name')} for {_count(len(flat.names), 'array')}")
    flat.labels = [f"{of} ({name!r})" for of, name in zip(flat.labels, given, strict=True)]
    flat.names = given


def _checked_names(names: Any, label: str) -> list[str]:
    if isinstance(names, (str, bytes, AbstractSet, Mapping)) or not isinstance(names, Iterable):
        raise TypeError(f"{label}: expected a list of str, got {short_repr(names)}")
    given = [checked_name(name, f"{label}: the names of parameters") for name in names]
    if len(set(given)) < len(given):
        repeated = next(name for name, count in Counter(given).items() if count > 1)
        raise ValueError(f"{label}: the name {repeated!r} appears twice")
    return given


def _count(n: int, of: str) -> str:
    return f"{n} {of}" if n == 1 else f"{n} {of}s"
