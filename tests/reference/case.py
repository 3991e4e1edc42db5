"""What a test needs to know of a rule: its reference in float64, its state, and options that make one variant of it.

A reference function takes a parameter, its gradient, its state by slot, the number of the update from 1, and the
hyper-parameters, among them `dtype`, in which the step is computed. It returns the new parameter; state is replaced in
the dict. Weight decay that belongs to the gradient, and `maximize`, are applied before it is called.

The reference of a rule that keeps numbers for the whole optimizer takes lists of all of them, and these numbers instead
of the number of the update.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import adamcore as ac
from reference.slots import Slot, is_vector, rule_for

Array = np.ndarray
State = dict[str, Array]
"""A tensor's state by slot, and the optimizer's numbers by name."""


def correction(beta: float, t: float) -> float:
    """Return 1 - beta^t."""
    return 1.0 if beta == 0 else -np.expm1(t * np.log(beta))


@dataclass(frozen=True)
class Tuning:
    """Options that solve the problems of test_convergence.py. In the first two the learning rate falls to 0."""

    quadratic: dict[str, Any]
    rosenbrock: dict[str, Any]
    digits: dict[str, Any]
    steps: int = 40_000
    """How many steps the second problem takes."""


ADAPTIVE = Tuning(dict(lr=0.05), dict(lr=0.05), dict(lr=0.01))
"""For rules whose steps do not depend on the scale of the gradients."""


@dataclass(frozen=True)
class Number:
    """A number of the whole optimizer: what it starts as, a value or an option's, and a value that training leaves."""

    start: str | float
    later: float


@dataclass(frozen=True)
class Case:
    """One optimizer with options that make one variant of its rule."""

    id: str
    optimizer: str
    reference: Callable[..., Any]
    slots: tuple[str, ...]
    presets: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    decay_in_gradient: bool = True
    initial: str | None = None
    """The option that sets the initial value of the state."""
    starts: dict[str, float] = field(default_factory=dict)
    """The initial values of slots that start neither from 0 nor as that option says."""
    averages: dict[str, str] = field(default_factory=dict)
    """Slots with averages of squares, and the slots with averages of the same numbers."""
    tuning: Tuning = ADAPTIVE
    vector_slots: tuple[str, ...] | None = None
    """The slots of tensors with fewer than two axes, if they have others."""
    numbers: dict[str, Number] = field(default_factory=dict)
    """The numbers of the optimizer, by name."""
    reads_stored_state: bool = False
    """Whether parameters change by state as it is stored, rounded to its type, and not as it was computed."""

    @property
    def hyper(self) -> dict[str, Any]:
        return {**self.presets, **self.options}

    @property
    def is_elementwise(self) -> bool:
        """Whether no element depends on another one of its tensor."""
        return self.rule((1, 1))["passes"] == 0

    @property
    def keeps_numbers(self) -> bool:
        """Whether a tensor's state has numbers of the whole tensor."""
        return any(slot.shape == "number" for slot in self.slots_of((1, 1)).values())

    @property
    def is_joint(self) -> bool:
        """Whether the tensors of an optimizer depend on each other."""
        return bool(self.numbers)

    @property
    def has_lines(self) -> bool:
        """Whether there is state for rows and columns of matrices, which have to be real."""
        return any(slot.shape in ("rows", "columns") for slot in self.slots_of((1, 1)).values())

    def rule(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return the description in C++ of the rule for tensors of a shape."""
        return rule_for(getattr(ac, self.optimizer)._rule(self.hyper), shape)

    def names(self, shape: tuple[int, ...]) -> tuple[str, ...]:
        """Return the names of the slots of tensors of a shape."""
        return self.slots if self.vector_slots is None or not is_vector(shape) else self.vector_slots

    def slots_of(self, shape: tuple[int, ...]) -> dict[str, Slot]:
        """Return the slots of tensors of a shape, as the rule describes them."""
        described = Slot.all_of(self.rule(shape))
        return {name: described[name] for name in self.names(shape)}

    def squares(self, shape: tuple[int, ...]) -> list[str]:
        """Return the names of the slots that are never negative."""
        return [name for name, slot in self.slots_of(shape).items() if slot.degree == 2]

    def initial_state(self, p: Array) -> State:
        start = self.hyper[self.initial] if self.initial else 0.0
        state = {name: slot.first(p, self.starts.get(name, start)) for name, slot in self.slots_of(p.shape).items()}
        starts = {name: number.start for name, number in self.numbers.items()}
        return {**state, **{k: np.array(self.hyper[v] if isinstance(v, str) else v) for k, v in starts.items()}}

    def step(self, p: Array, g: Array, state: State, t: int, *, dtype: Any = None, **changed: Any) -> Array:
        """Return the parameter after update `t`, in float64. `state` contains the state after it.

        `dtype` is the type that the step is computed in: by default that of the parameter.
        """
        dtype = dtype or (np.float64 if p.dtype == np.float64 else np.float32)
        return self.step_all([p], [g], [state], [t], [changed], dtype)[0]

    def step_all(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        states: Sequence[State],
        counts: Sequence[int],
        changed: Sequence[dict[str, Any]],
        dtype: Any,
    ) -> list[Array]:
        """Return all parameters of an optimizer after an update, each with hyper-parameters of its own.

        Every state has the optimizer's numbers.
        """
        hypers = [{**self.hyper, "dtype": dtype, **each} for each in changed]
        params = [np.asarray(p, np.float64) for p in params]
        grads = [
            np.asarray(g, np.float64) * (-1 if h.get("maximize") else 1) for g, h in zip(grads, hypers, strict=True)
        ]
        if self.decay_in_gradient:
            grads = [g + h["weight_decay"] * p for p, g, h in zip(params, grads, hypers, strict=True)]
        for p, state in zip(params, states, strict=True):
            state.update({name: np.asarray(state[name], np.float64) for name in self.names(p.shape)})
        if self.is_joint:
            numbers = {name: float(states[0][name]) for name in self.numbers}
            results = self.reference(params, grads, states, hypers, numbers)
            for state in states:
                state.update({name: np.array(number) for name, number in numbers.items()})
            return results
        tensors = zip(params, grads, states, counts, hypers, strict=True)
        return [self.reference(p, g, state, t, h) if p.size else p for p, g, state, t, h in tensors]


MOMENTS = ("exp_avg", "exp_avg_sq")
MOMENTS_MAX = (*MOMENTS, "max_exp_avg_sq")


def random_state(case: Case, rng: np.random.Generator, p: Array) -> State:
    """Random state such as training leaves behind: squares are not negative, and not less than the squares of means."""
    state: State = {}
    for name, slot in case.slots_of(p.shape).items():
        numbers = magnitudes(rng, slot.shape_for(p.shape))
        if slot.starts_as_param:
            numbers = p + 0.01 * numbers
        if slot.shape == "number":
            numbers = np.abs(numbers)
        dtype = np.float64 if slot.shape == "number" else p.dtype
        state[name] = np.asarray(numbers ** (2 if slot.degree == 2 else 1), dtype)
    for squares, numbers in case.averages.items():
        state[squares] = np.asarray(1.5 * state[numbers] ** 2 + state[squares], p.dtype)
    return {**state, **{name: np.array(number.later) for name, number in case.numbers.items()}}


def magnitudes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Non-zero normal numbers of several magnitudes, 1e-4 to 10."""
    return rng.standard_normal(shape) * 10.0 ** rng.integers(-4, 2, shape)
