"""Flattening of structures of arrays: every array with its name, and the tree that the arrays form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from adamcore._checks.hyper import hyper_parameters
from adamcore._core import holds_numbers, short_repr

_HOLD_WHAT_THEY_GIVE = (list, tuple, dict, MappingProxyType)
"""Containers that return the same objects at each access."""

_PAIR = 2


@dataclass
class FlatArrays:
    """Arrays with their names, and with what messages call each array (label) and its gradient (key).

    `tree` has the shape of the structure: an int, the position of an array; a list, for any sequence; a dict with the
    keys of a mapping; a tuple of (name, tree), for a sequence of such pairs.
    """

    arrays: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    tree: Any = None

    def add(self, array: object, place: _Place) -> int:
        """Add one array, and return its position."""
        self.arrays.append(array)
        self.names.append(place.name)
        self.labels.append(place.label)
        self.keys.append(place.key)
        return len(self.arrays) - 1


@dataclass
class _Place:
    """Where a value is in the user's structure: its name, and what messages call it and its gradient."""

    name: str
    label: str
    key: str

    def inside(self, key: object) -> _Place:
        """Return the place of an item. Names are joined by "."."""
        name = checked_name(str(key), f"{self.label}: the names of parameters")
        return _Place(f"{self.name}.{name}" if self.name else name, f"{self.label}[{key!r}]", f"{self.key}[{key!r}]")


def flatten(params: Any, first: int, label: str, *, in_group: bool) -> FlatArrays:
    """Flatten the parameters of one group: an array, a structure of arrays, or pairs of name and array.

    `first` is the number of parameters before these, and `label` is the user's name of `params`. Raises TypeError for a
    dict of hyper-parameters without "params", and for a container that returns copies of its arrays.
    """
    walk = _Walk(are_params=True, are_written=True)
    if is_array(params):
        walk.flat.tree = walk.flat.add(params, _Place(str(first), label, f"[{first}]" if in_group else ""))
    else:
        walk.flat.tree = walk.root(params, label, first)
    return walk.flat


def flatten_grads(grads: Any, *, written: bool) -> FlatArrays:
    """Flatten gradients. With `written`, raises TypeError for a container that returns copies of its arrays."""
    walk = _Walk(are_params=False, are_written=written)
    walk.flat.tree = walk.flat.add(grads, _Place("0", "grads", "")) if is_array(grads) else walk.root(grads, "grads", 0)
    return walk.flat


def is_array(value: object) -> bool:
    """Whether `value` is to be taken for one array, and not for a structure."""
    if isinstance(value, (list, tuple, Mapping, AbstractSet, str, bytes)):
        return False
    return holds_numbers(value) or not isinstance(value, Iterable)


def checked_name(name: object, label: str) -> str:
    """Return `name`, or raise an error that begins with `label` unless it can name a parameter."""
    if not isinstance(name, str):
        raise TypeError(f"{label} must be str, got {short_repr(name)}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{label} must be text that can be encoded in UTF-8, got {name!a}") from None
    return name


class _Walk:
    """One walk through a structure, which fills `flat`."""

    def __init__(self, *, are_params: bool, are_written: bool) -> None:
        self.flat = FlatArrays()
        self._settings = hyper_parameters() if are_params else set()
        self._are_written = are_written
        self._inside: set[int] = set()

    def root(self, value: Any, label: str, first: int) -> Any:
        """Walk a whole structure. The items of a sequence are numbered from `first`."""
        if isinstance(value, (AbstractSet, str, bytes)):
            raise TypeError(f"{label}: expected an ordered collection of arrays, got {type(value).__name__}")
        place = _Place("", label, "")
        if isinstance(value, Mapping):
            return self._mapping(value, place)
        items = value if isinstance(value, (list, tuple)) else list(value)
        if _are_pairs(items):
            return tuple((name, self._value(item, place.inside(name))) for name, item in items)
        places = [_Place(str(first + i), f"{label}[{i}]", f"[{first + i}]") for i in range(len(items))]
        return self._items(value, items, places)

    def _value(self, value: Any, place: _Place) -> Any:
        if isinstance(value, Mapping):
            return self._mapping(value, place)
        if isinstance(value, (list, tuple)) and not _are_numbers(value):
            return self._items(value, value, [place.inside(i) for i in range(len(value))])
        return self.flat.add(value, place)

    def _mapping(self, mapping: Mapping[Any, Any], place: _Place) -> dict[Any, Any]:
        items = list(mapping.items())
        _require_no_settings(items, self._settings, place.label)
        keys, places = [key for key, _ in items], [place.inside(key) for key, _ in items]
        return dict(zip(keys, self._items(mapping, [value for _, value in items], places), strict=True))

    def _items(self, container: Any, items: Any, places: list[_Place]) -> list[Any]:
        """Walk the items of a container."""
        if id(container) in self._inside and places:
            raise ValueError(f"{places[0].label}: the structure contains itself")
        self._inside.add(id(container))
        trees = [self._value(value, place) for value, place in zip(items, places, strict=True)]
        self._inside.discard(id(container))
        self._require_no_copies(container, items, places)
        return trees

    def _require_no_copies(self, container: Any, values: Any, places: list[_Place]) -> None:
        """Raise TypeError if a container returns other arrays at a second access, because these would be updated."""
        if not self._are_written or type(container) in _HOLD_WHAT_THEY_GIVE or isinstance(container, Iterator):
            return
        again = container.values() if isinstance(container, Mapping) else container
        for value, other, place in zip(values, again, places, strict=False):
            if value is not other and is_array(value) and not _is_same_memory(value, other):
                raise TypeError(
                    f"{place.label}: {type(container).__name__} returns a new copy at each access, so updates would be "
                    "lost; keep the arrays in a list or a dict, and pass that"
                )


def _are_pairs(items: Any) -> bool:
    """Whether all items are pairs of a name and a value, as ``named_parameters()`` yields."""
    return bool(items) and all(
        isinstance(item, tuple) and len(item) == _PAIR and isinstance(item[0], str) and not isinstance(item[1], str)
        for item in items
    )


def _require_no_settings(items: list[tuple[Any, Any]], known: set[str], label: str) -> None:
    """Raise TypeError if a dict of arrays contains hyper-parameters too: it is probably meant to be a group."""
    if not any(isinstance(key, str) and key in known and _is_setting(value) for key, value in items):
        return
    keys = short_repr([key if isinstance(key, str) else short_repr(key) for key, _ in items])
    if any(key == "params" for key, _ in items):
        raise TypeError(
            f"{label}: a group must be in a list of groups: [{{'params': ...}}, ...]; got a dict with {keys}"
        )
    raise TypeError(
        f"{label}: expected a group, a dict with the key 'params', got one with {keys}; did you mean 'params'?"
    )


def _are_numbers(items: Any) -> bool:
    """Whether a sequence consists of numbers: it is meant to be an array, or hyper-parameters such as betas."""
    return bool(items) and all(isinstance(item, (int, float, np.generic)) for item in items)


def _is_setting(value: Any) -> bool:
    """Whether `value` is a number or something else that no array is, as hyper-parameters are."""
    if isinstance(value, (list, tuple)):
        return _are_numbers(value)
    return value is None or isinstance(value, (int, float, str, np.generic)) or callable(value)


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
