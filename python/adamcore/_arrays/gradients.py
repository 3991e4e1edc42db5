"""Gradients by the names of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adamcore._arrays.flatten import flatten_grads


def gradients_by_name(grads: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the gradients of parameters that have one, by name, from any structure that a step takes.

    Names that no parameter has are left out. Raises TypeError or ValueError for what is no structure of arrays.
    """
    flat = flatten_grads(grads, written=False)
    known = set(names)
    own: Sequence[str] = flat.names
    if len(own) == len(names) and not known.issuperset(own):  # one flat sequence for named parameters
        own = names
    return {name: grad for name, grad in zip(own, flat.arrays, strict=True) if grad is not None and name in known}
