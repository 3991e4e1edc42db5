"""Every rule in float64 NumPy, from the formulas of its source, and one table of cases that all tests use."""

from __future__ import annotations

from typing import Any

from reference import (
    adafactor,
    adagrad,
    adam,
    adan,
    lamb,
    lars,
    lion,
    novograd,
    prodigy,
    rmsprop,
    schedule_free,
    sgd,
    stable_adamw,
)
from reference.case import Array, Case, State, magnitudes, random_state
from reference.optimizer import ReferenceOptimizer

__all__ = [
    "APART",
    "CASES",
    "CYCLED",
    "ELEMENTWISE",
    "FUNCTIONS",
    "MORE",
    "REAL",
    "Array",
    "Case",
    "ReferenceOptimizer",
    "State",
    "magnitudes",
    "random_state",
]

CASES = [
    *adam.CASES,
    *sgd.CASES,
    *rmsprop.CASES,
    *adagrad.CASES,
    *lamb.CASES,
    *lars.CASES,
    *novograd.CASES,
    *adafactor.CASES,
    *prodigy.CASES,
    *adan.CASES,
    *lion.CASES,
    *stable_adamw.CASES,
    *schedule_free.CASES,
]
"""The cases of each rule that every test runs."""

MORE = [
    *lamb.MORE,
    *lars.MORE,
    *novograd.MORE,
    *adafactor.MORE,
    *prodigy.MORE,
    *adan.MORE,
    *lion.MORE,
    *stable_adamw.MORE,
    *schedule_free.MORE,
]
"""Other hyper-parameters, for the tests of formulas."""

APART = [case for case in CASES if not case.is_joint]
"""Those whose tensors do not depend on each other: their bits are the same in optimizers of their own."""

ELEMENTWISE = [case for case in CASES if case.is_elementwise and not case.keeps_numbers]
"""Those whose elements depend neither on each other nor on numbers of their tensor: its shape does not matter."""

FUNCTIONS = APART
"""Those with functions on bare arrays: the others keep numbers for a whole optimizer."""

REAL = [case for case in CASES if case.has_lines]
"""Those that take no complex parameters."""

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
