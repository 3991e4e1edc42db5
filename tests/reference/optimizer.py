"""A case's optimizer in float64, for many tensors and steps."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from reference.case import Array, Case, State


class ReferenceOptimizer:
    """Parameters and their state in float64, which start as given. Steps are those of an optimizer of `dtype`."""

    def __init__(
        self,
        case: Case,
        params: Mapping[str, Array],
        dtype: Any,
        states: Mapping[str, State] | None = None,
        done: int = 0,
    ) -> None:
        self.case, self.dtype = case, dtype
        self.params = {name: np.array(p, np.float64) for name, p in params.items()}
        states = states or {name: case.initial_state(p) for name, p in params.items()}
        self.states = {name: {k: np.array(a, np.float64) for k, a in states[name].items()} for name in params}
        self.steps = dict.fromkeys(params, done)

    def step(self, grads: Mapping[str, Array | None], **changed: Any) -> None:
        names = [name for name in self.params if grads[name] is not None]
        if not names:
            return
        for name in names:
            self.steps[name] += 1
        arrays = ([table[name] for name in names] for table in (self.params, grads, self.states, self.steps))
        self.params.update(zip(names, self.case.step_all(*arrays, [changed] * len(names), self.dtype), strict=True))
        for state in self.states.values():  # numbers of the optimizer, where a tensor had no gradient
            state.update({number: self.states[name][number] for name in names for number in self.case.numbers})

    def absolute(self) -> ReferenceOptimizer:
        """Return the same with the magnitudes of all elements."""
        other = copy.deepcopy(self)
        other.params = {name: np.abs(p) for name, p in self.params.items()}
        for name, state in other.states.items():
            state.update({slot: np.abs(state[slot]) for slot in self.case.names(self.params[name].shape)})
        return other

    def disturb(self, rng: np.random.Generator, eps: float) -> None:
        """Change each element that a step stores by a part of it, up or down."""

        def disturbed(array: Array) -> Array:
            return array * (1 + eps * (2.0 * rng.integers(0, 2, array.shape) - 1))

        for name, p in self.params.items():
            self.params[name] = disturbed(p)
            slots = self.case.slots_of(p.shape)
            stored = [k for k, slot in slots.items() if slot.shape != "number" and k != "p0"]
            self.states[name].update({k: disturbed(self.states[name][k]) for k in stored})
