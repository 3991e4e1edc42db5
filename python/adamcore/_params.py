"""The structures in which users pass parameters, made flat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Group = dict[str, Any]


@dataclass
class FlatParams:
    """The arrays of one group: their names, and how the user knows each array and its gradient."""

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


def split_groups(params: object) -> list[Group] | None:
    """Return the groups if `params` is a sequence of them, else None."""
    if not isinstance(params, Sequence) or not params or not any(isinstance(p, Mapping) for p in params):
        return None
    for i, group in enumerate(params):
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(f"params[{i}]: expected a group, a dict with the key 'params', got {_kind(group)}")
    return [dict(group) for group in params]


def flatten(params: Any, first: int, label: str, *, in_group: bool) -> FlatParams:
    """Flatten one array, a sequence of arrays or a mapping from name to array.

    `first` is the number of parameters before these, `label` what the user calls `params`.
    """
    flat = FlatParams()
    if isinstance(params, Mapping):
        for name, array in params.items():
            if not isinstance(name, str):
                raise TypeError(f"{label}: the names of parameters must be str, got {name!r}")
            flat.add(array, name, f"{label}[{name!r}]", f"[{name!r}]")
    elif _is_sequence(params):
        for i, array in enumerate(params):
            flat.add(array, str(first + i), f"{label}[{i}]", f"[{first + i}]")
    elif isinstance(params, (AbstractSet, str, bytes)):
        raise TypeError(f"{label}: expected arrays in an order, got {_kind(params)}")
    else:
        flat.add(params, str(first), label, f"[{first}]" if in_group else "")
    return flat


def _is_sequence(params: object) -> bool:
    if isinstance(params, (np.ndarray, AbstractSet, str, bytes)):
        return False
    # The last one comes last: PyTorch raises RuntimeError there for CUDA tensors that require gradients.
    return isinstance(params, Iterable) and not any(
        hasattr(params, protocol) for protocol in ("__array_interface__", "__dlpack__", "__cuda_array_interface__")
    )


def _kind(value: object) -> str:
    return type(value).__name__
