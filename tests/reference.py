"""Every rule in float64 NumPy, from the formulas of the papers, and one table of cases that all tests use.

A reference function takes a parameter, its gradient, its state by slot and the number of the update from 1, and returns
the new parameter; state is replaced in the dict. Weight decay that belongs to the gradient, and `maximize`, are applied
before it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import adamcore as ac
from adamcore import _core

Array = np.ndarray
State = dict[str, Array]


def adam_step(g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    """Algorithm 1 of Kingma & Ba, with AMSGrad's maximum before the bias correction."""
    beta1, beta2 = h["betas"]
    s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
    s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
    second = s["exp_avg_sq"]
    if h["amsgrad"]:
        second = s["max_exp_avg_sq"] = np.maximum(s["max_exp_avg_sq"], second)
    m_hat = s["exp_avg"] / -np.expm1(t * np.log(beta1))
    v_hat = second / -np.expm1(t * np.log(beta2))
    return h["lr"] * m_hat / (np.sqrt(v_hat) + h["eps"])


def adam(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    return p - adam_step(g, s, t, h)


def adamw(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    return p * (1 - h["lr"] * h["weight_decay"]) - adam_step(g, s, t, h)


def sgd(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    direction = g
    if h["momentum"] != 0:
        s["momentum_buffer"] = g if t == 1 else h["momentum"] * s["momentum_buffer"] + (1 - h["dampening"]) * g
        direction = g + h["momentum"] * s["momentum_buffer"] if h["nesterov"] else s["momentum_buffer"]
    return p - h["lr"] * direction


def rmsprop(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:  # noqa: ARG001
    s["square_avg"] = h["alpha"] * s["square_avg"] + (1 - h["alpha"]) * g**2
    spread = s["square_avg"]
    if h["centered"]:
        s["grad_avg"] = h["alpha"] * s["grad_avg"] + (1 - h["alpha"]) * g
        spread = np.maximum(spread - s["grad_avg"] ** 2, 0)
    direction = g / (np.sqrt(spread) + h["eps"])
    if h["momentum"] != 0:
        direction = s["momentum_buffer"] = h["momentum"] * s["momentum_buffer"] + direction
    return p - h["lr"] * direction


def adagrad(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    s["sum"] = s["sum"] + g**2
    return p - h["lr"] / (1 + (t - 1) * h["lr_decay"]) * g / (np.sqrt(s["sum"]) + h["eps"])


@dataclass(frozen=True)
class Tuning:
    """Options that solve the problems of test_convergence.py. In the first two the learning rate falls to 0."""

    quadratic: dict[str, float]
    rosenbrock: dict[str, float]
    digits: dict[str, float]


ADAPTIVE = Tuning(dict(lr=0.05), dict(lr=0.05), dict(lr=0.01))
"""For rules whose steps do not depend on the scale of the gradients."""


@dataclass(frozen=True)
class Case:
    """One optimizer with options that make one variant of its rule."""

    id: str
    optimizer: str
    reference: Callable[[Array, Array, State, int, dict[str, Any]], Array]
    slots: tuple[str, ...]
    presets: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    decay_in_gradient: bool = True
    initial: str | None = None
    """The option that sets the initial value of the state."""
    averages: dict[str, str] = field(default_factory=dict)
    """Slots with averages of squares, and the slots with averages of the same numbers."""
    tuning: Tuning = ADAPTIVE

    @property
    def rule(self) -> dict[str, Any]:
        """The description of the rule in C++."""
        return _core.rules()[getattr(ac, self.optimizer)._rule(self.hyper)]

    @property
    def hyper(self) -> dict[str, Any]:
        return {**self.presets, **self.options}

    def initial_state(self, p: Array) -> State:
        start = self.hyper[self.initial] if self.initial else 0.0
        return {slot: np.full_like(p, start, dtype=np.float64) for slot in self.slots}

    def step(self, p: Array, g: Array, state: State, t: int, **changed: Any) -> Array:
        """Return the parameter after update `t`, in float64. `state` contains the state after it."""
        h = {**self.hyper, **changed}
        p = np.asarray(p, np.float64)
        g = np.asarray(g, np.float64) * (-1 if h.get("maximize") else 1)
        for slot in self.slots:
            state[slot] = np.asarray(state[slot], np.float64)
        if self.decay_in_gradient:
            g = g + h["weight_decay"] * p
        return self.reference(p, g, state, t, h)


ADAM = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False)
ADAMW = {**ADAM, "weight_decay": 1e-2}
SGD = dict(lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False)
RMSPROP = dict(lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False)
ADAGRAD = dict(lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10)

SGD_TUNING = Tuning(dict(lr=0.02), dict(lr=1e-3), dict(lr=0.3))
MOMENTUM_TUNING = Tuning(dict(lr=0.02), dict(lr=1e-4), dict(lr=0.3))
RMSPROP_TUNING = Tuning(dict(lr=0.01), dict(lr=2e-3), dict(lr=0.01))
ADAGRAD_TUNING = Tuning(dict(lr=0.5), dict(lr=0.5), dict(lr=0.1))
DECAY_TUNING = Tuning(dict(lr=0.5), dict(lr=0.5, lr_decay=1e-4), dict(lr=1.0))

MOMENTS = ("exp_avg", "exp_avg_sq")
MOMENTS_MAX = (*MOMENTS, "max_exp_avg_sq")

CASES = [
    Case("adam", "Adam", adam, MOMENTS, ADAM),
    Case("adam-l2", "Adam", adam, MOMENTS, ADAM, dict(lr=3e-3, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1)),
    Case("adam-amsgrad", "Adam", adam, MOMENTS_MAX, ADAM, dict(amsgrad=True)),
    Case("adamw", "AdamW", adamw, MOMENTS, ADAMW, decay_in_gradient=False),
    Case("adamw-ascent", "AdamW", adamw, MOMENTS, ADAMW, dict(maximize=True, lr=0.1), decay_in_gradient=False),
    Case("adamw-amsgrad", "AdamW", adamw, MOMENTS_MAX, ADAMW, dict(amsgrad=True, lr=1e-4), decay_in_gradient=False),
    Case("sgd", "SGD", sgd, (), SGD, dict(lr=0.1, weight_decay=0.01), tuning=SGD_TUNING),
    Case(
        "sgd-momentum",
        "SGD",
        sgd,
        ("momentum_buffer",),
        SGD,
        dict(momentum=0.9, dampening=0.3, weight_decay=0.01),
        tuning=MOMENTUM_TUNING,
    ),
    Case(
        "sgd-nesterov",
        "SGD",
        sgd,
        ("momentum_buffer",),
        SGD,
        dict(momentum=0.9, nesterov=True),
        tuning=MOMENTUM_TUNING,
    ),
    Case("rmsprop", "RMSprop", rmsprop, ("square_avg",), RMSPROP, dict(weight_decay=0.01), tuning=RMSPROP_TUNING),
    Case(
        "rmsprop-momentum",
        "RMSprop",
        rmsprop,
        ("square_avg", "momentum_buffer"),
        RMSPROP,
        dict(momentum=0.9),
        tuning=RMSPROP_TUNING,
    ),
    Case(
        "rmsprop-centered",
        "RMSprop",
        rmsprop,
        ("square_avg", "grad_avg"),
        RMSPROP,
        dict(centered=True),
        averages={"square_avg": "grad_avg"},
        tuning=RMSPROP_TUNING,
    ),
    Case(
        "rmsprop-centered-momentum",
        "RMSprop",
        rmsprop,
        ("square_avg", "momentum_buffer", "grad_avg"),
        RMSPROP,
        dict(centered=True, momentum=0.5, maximize=True),
        averages={"square_avg": "grad_avg"},
        tuning=RMSPROP_TUNING,
    ),
    Case(
        "adagrad",
        "Adagrad",
        adagrad,
        ("sum",),
        ADAGRAD,
        initial="initial_accumulator_value",
        tuning=ADAGRAD_TUNING,
    ),
    Case(
        "adagrad-decay",
        "Adagrad",
        adagrad,
        ("sum",),
        ADAGRAD,
        dict(lr_decay=0.1, weight_decay=0.01, initial_accumulator_value=0.5),
        initial="initial_accumulator_value",
        tuning=DECAY_TUNING,
    ),
]


def random_state(case: Case, rng: np.random.Generator, p: Array) -> State:
    """Random state such as training leaves behind: squares are not negative, and not less than the squares of means."""
    state = {}
    for slot in case.slots:
        power = 2 if slot in case.rule["nonnegative"] else 1
        state[slot] = (magnitudes(rng, p.shape) ** power).astype(p.dtype)
    for squares, numbers in case.averages.items():
        state[squares] = (1.5 * state[numbers] ** 2 + state[squares]).astype(p.dtype)
    return state


def magnitudes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Non-zero normal numbers of several magnitudes, 1e-4 to 10."""
    return rng.standard_normal(shape) * 10.0 ** rng.integers(-4, 2, shape)


CYCLED: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"momentum": 0.8}),
    ("SGD", {"momentum": 0.8, "dampening": 0.25, "weight_decay": 0.125}),
    ("SGD", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.125}),
    ("RMSprop", {"momentum": 0.8}),
    ("RMSprop", {"momentum": 0.8, "centered": True}),
    ("Adam", {}),
    ("AdamW", {"amsgrad": True}),
]
"""Optimizers with options, whose momentum or first beta PyTorch's schedulers cycle."""
