"""Gradients by the names of their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adamcore._arrays.flatten import flatten_grads
from adamcore._core import short_repr


def gradients_by_name(grads: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the gradients of parameters that have one, by name, from any structure that a step takes.

    Names that no parameter has are left out. Raises TypeError or ValueError for what is no structure of arrays.
    """
    known = set(names)
    return {name: grad for name, grad in _named(grads, names).items() if grad is not None and name in known}


def whole_gradients_by_name(grads: Any, names: Sequence[str], owner: str) -> dict[str, Any]:
    """Return the same of a structure that has all parameters and no others, with None for those without gradient.

    Raises ValueError, which begins with `owner`, if a parameter is missing, or one is unknown.
    """
    found = _named(grads, names)
    known = set(names)
    if unknown := [name for name in found if name not in known]:
        raise ValueError(f"{owner}: the gradients have {short_repr(unknown[0])}, and there is no such parameter")
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{owner}: there is no gradient for {missing[0]!r} (None stands for one of zeros)")
    return gradients_by_name(grads, names)


def _named(grads: Any, names: Sequence[str]) -> dict[str, Any]:
    flat = flatten_grads(grads, written=False)
    own: Sequence[str] = flat.names
    is_mapping = isinstance(grads, Mapping)
    if len(own) == len(names) and not is_mapping and not set(names).issuperset(own):
        own = names  # one flat sequence for named parameters
    return dict(zip(own, flat.arrays, strict=True))
