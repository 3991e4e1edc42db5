"""Values as JSON has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adamcore._core import short_repr


def to_plain(value: Any, described: type[Any], label: str) -> Any:
    """Return `value` as JSON, or raise an error that names `label`. Objects that are `described` have ``to_dict``."""
    if isinstance(value, described):
        return value.to_dict()
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{label} cannot be saved, because JSON has no {value}")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list, np.ndarray)):
        return [to_plain(element, described, label) for element in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        if "type" in value:
            raise ValueError(f"{label} cannot be saved: a dict with the key 'type' is a saved schedule")
        return {key: to_plain(element, described, label) for key, element in value.items()}
    raise TypeError(f"{label} cannot be saved as JSON: {short_repr(value)}")


def from_plain(value: Any, make: Callable[[Mapping[str, Any]], Any]) -> Any:
    """Return what was saved as `value`. `make` takes dicts that have a ``"type"``."""
    if isinstance(value, Mapping):
        if "type" in value:
            return make(value)
        return {key: from_plain(element, make) for key, element in value.items()}
    return [from_plain(element, make) for element in value] if isinstance(value, list) else value


def comparable(value: Any) -> Any:
    """Return `value` with tuples in the place of lists and arrays, since JSON has one kind of them."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (tuple, list)):
        return tuple(map(comparable, value))
    if isinstance(value, Mapping):
        return {key: comparable(element) for key, element in value.items()}
    return value


def hash_of(value: Any) -> int:
    """Return a hash of what `comparable` returned."""
    if isinstance(value, tuple):
        return hash(tuple(map(hash_of, value)))
    if isinstance(value, dict):
        return hash(frozenset((key, hash_of(element)) for key, element in value.items()))
    return hash(value)
