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
        return {key: to_plain(element, described, label) for key, element in value.items()}
    raise TypeError(f"{label} cannot be saved as JSON: {short_repr(value)}")


def from_plain(value: Any, make: Callable[[Mapping[str, Any]], Any]) -> Any:
    """Return what was saved as `value`. `make` takes dicts that have a ``"type"``."""
    if isinstance(value, Mapping):
        if "type" in value:
            return make(value)
        return {key: from_plain(element, make) for key, element in value.items()}
    return [from_plain(element, make) for element in value] if isinstance(value, list) else value
