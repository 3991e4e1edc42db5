"""Flattening of the structures in which users pass parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from adamcore._checks.suggestions import did_you_mean
from adamcore._core import holds_numbers, short_repr

Group = dict[str, Any]

_HOLD_WHAT_THEY_GIVE = (list, tuple, dict, MappingProxyType)
"""Containers that return the same objects at each access."""


@dataclass
class FlatParams:
    """The arrays of one group with their names, and with what messages call each array (label) and gradient (key)."""

    arrays: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def add(self, array: object, name: str, label: str, key: str) -> None:
        """Add one array."""
        self.arrays.append(array)
        self.names.append(name)
        self.labels.append(label)
        self.keys.append(key)

    def rename(self, names: Any, label: str) -> None:
        """Rename the arrays. Raises ValueError unless there is one name for each array."""
        given = _checked_names(names, label)
        if len(given) != len(self.names):
            raise ValueError(f"{label}: got {_count(len(given), 'name')} for {_count(len(self.names), 'array')}")
        self.labels = [f"{of} ({name!r})" for of, name in zip(self.labels, given, strict=True)]
        self.names = given


def _split_groups(params: object) -> list[Group] | None:
    """Return the groups if `params` is a sequence of them, else None."""
    if not isinstance(params, Sequence) or not params or not any(isinstance(p, Mapping) for p in params):
        return None
    for i, group in enumerate(params):
        require_group(group, f"params[{i}]", "a group, a dict with the key 'params'")
    return [dict(group) for group in params]


def flatten_groups(params: Any) -> list[tuple[Group, FlatParams, Any]]:
    """Return each group's options, its arrays, and the container in which they were passed."""
    groups = _split_groups(params)
    if groups is None:
        return [({}, flatten(params, 0, "params", in_group=False), params)]
    flats: list[tuple[Group, FlatParams, Any]] = []
    count = 0
    for i, group in enumerate(groups):
        source, names = group.pop("params"), group.pop("param_names", None)
        flat = flatten(source, count, f"params[{i}]['params']", in_group=True, names=names)
        count += len(flat.names)
        flats.append((group, flat, source))
    return flats


def require_group(group: object, label: str, wanted: str = "a dict with the key 'params'") -> None:
    """Raise TypeError unless `group` is a mapping with the key "params"."""
    if not isinstance(group, Mapping):
        raise TypeError(f"{label}: expected {wanted}, got {type(group).__name__}")
    if "params" not in group:
        hint = next((h for h in (did_you_mean(key, ["params"]) for key in group) if h), "")
        keys = short_repr([key if isinstance(key, str) else short_repr(key) for key in group])
        raise TypeError(f"{label}: expected {wanted}, got one with {keys}{hint}")


def flatten(
    params: Any, first: int, label: str, *, in_group: bool, names: Any = None, written: bool = True
) -> FlatParams:
    """Flatten one array, a sequence of arrays or a mapping from name to array.

    `first` is the number of parameters before these, `label` is the user's name of `params`, and `names` are a group's
    "param_names". If the arrays will be `written` to, raises TypeError for a container that returns copies.
    """
    flat = FlatParams()
    if isinstance(params, Mapping):
        for name, array in params.items():
            checked = _checked_name(name, f"{label}: the names of parameters")
            flat.add(array, checked, f"{label}[{name!r}]", f"[{name!r}]")
            if label == "params" and name == "params" and isinstance(array, (Mapping, list, tuple)):
                raise TypeError(
                    f"params['params']: expected an array, got {type(array).__name__}; if this is a group, put it "
                    "into a list: [{'params': ...}]"
                )
    elif isinstance(params, (AbstractSet, str, bytes)):
        raise TypeError(f"{label}: expected an ordered collection of arrays, got {type(params).__name__}")
    elif not isinstance(params, (list, tuple)) and (holds_numbers(params) or not isinstance(params, Iterable)):
        flat.add(params, str(first), label, f"[{first}]" if in_group else "")
    else:
        for i, array in enumerate(params):
            flat.add(array, str(first + i), f"{label}[{i}]", f"[{first + i}]")
    if written:
        _require_no_copies(params, flat)
    if names is not None:
        _rename(flat, params, names, label)
    return flat


def _rename(flat: FlatParams, params: object, names: Any, label: str) -> None:
    place = label.removesuffix("['params']") + "['param_names']"
    if not isinstance(params, Mapping):
        flat.rename(names, place)
    elif _checked_names(names, place) != flat.names:
        raise ValueError(f"{place}: the names are not those of {label}; leave 'param_names' out")


def _require_no_copies(params: object, flat: FlatParams) -> None:
    """Raise TypeError if a container returns other arrays at a second access, since its own would not be updated."""
    if type(params) in _HOLD_WHAT_THEY_GIVE or isinstance(params, (np.ndarray, Iterator)) or len(flat.arrays) == 0:
        return
    if flat.arrays[0] is params:
        return
    again = params.values() if isinstance(params, Mapping) else params
    if isinstance(again, Iterable):
        for array, other, place in zip(flat.arrays, again, flat.labels, strict=False):
            if array is not other and not _is_same_memory(array, other):
                raise TypeError(
                    f"{place}: {type(params).__name__} returns a new copy at each access, so updates would be lost; "
                    "keep the arrays in a list or a dict, and pass that"
                )


def _is_same_memory(a: Any, b: Any) -> bool:
    if not (holds_numbers(a) and holds_numbers(b)):
        return True  # not arrays; a later check raises the error
    pointers = _pointer(a), _pointer(b)
    return pointers[0] is not None and pointers[0] == pointers[1]


def _pointer(array: Any) -> int | None:
    if isinstance(array, np.ndarray):
        return int(array.__array_interface__["data"][0]) if array.size else 0
    if callable(getattr(array, "data_ptr", None)):
        return int(array.data_ptr())
    fields = getattr(array, "__cuda_array_interface__", None)
    return int(fields["data"][0]) if fields else None


def _checked_names(names: Any, label: str) -> list[str]:
    if isinstance(names, (str, bytes, AbstractSet, Mapping)) or not isinstance(names, Iterable):
        raise TypeError(f"{label}: expected a list of str, got {short_repr(names)}")
    given = [_checked_name(name, f"{label}: the names of parameters") for name in names]
    if len(set(given)) < len(given):
        repeated = next(name for name, count in Counter(given).items() if count > 1)
        raise ValueError(f"{label}: the name {repeated!r} appears twice")
    return given


def _checked_name(name: object, label: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{label} must be str, got {short_repr(name)}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{label} must be text that can be encoded in UTF-8, got {name!a}") from None
    return name


def _count(n: int, of: str) -> str:
    return f"{n} {of}" if n == 1 else f"{n} {of}s"
