"""State arrays as C++ describes them: their shapes, types, and what they start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from adamcore import _core


def is_vector(shape: tuple[int, ...]) -> bool:
    """Whether tensors of a shape have no rows and columns."""
    return len(shape) < 2 or shape[-1] == 0


def rule_for(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the description of the rule, or of the one that it names for vectors."""
    rules = _core.rules()
    found = rules[name]["for_vectors"] if is_vector(shape) else name
    return {**rules[found], "name": found}


class StoredState(dict[str, np.ndarray]):
    """State after a step, as it is stored: a reference reads it, and does not change it."""

    def __setitem__(self, slot: str, array: np.ndarray) -> None:
        pass


@dataclass(frozen=True)
class Slot:
    """A state array of a rule."""

    degree: int
    """1: averages of gradients, 2: of their squares, 0: neither."""
    shape: str
    """elements, rows, columns or number"""
    starts_as_param: bool
    is_full: bool
    """Whether its type is that in which steps are computed, whatever the precision of other state is."""

    @classmethod
    def all_of(cls, rule: dict[str, Any]) -> dict[str, Slot]:
        """Return a rule's slots by name."""
        return {
            name: cls(slot["degree"], slot["shape"], slot["start"] == "param", slot["is_full"])
            for name, slot in rule["state"].items()
        }

    def shape_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the array for a tensor of a shape. If this has no elements, neither has the array."""
        if 0 in shape and self.shape != "number":
            return shape
        return {
            "elements": lambda: shape,
            "rows": lambda: (*shape[:-1], 1),
            "columns": lambda: (*shape[:-2], 1, shape[-1]),
            "number": tuple,
        }[self.shape]()

    def first(self, p: np.ndarray, start: float) -> np.ndarray:
        """Return the array at first, in float64."""
        if self.starts_as_param:
            return np.array(p, np.float64)
        return np.full(self.shape_for(p.shape), start, np.float64)
