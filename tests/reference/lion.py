"""Lion, and cautious updates."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import Array, Case, State, Tuning
from reference.sums import total


def cautious(direction: Array, g: Array) -> Array:
    """Return the direction where it agrees with the gradient, divided by the share of such elements."""
    agrees = direction * g > 0
    return direction * agrees / max(total(agrees.astype(np.float64)) / g.size, 1e-3)


def lion(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:  # noqa: ARG001
    """Algorithm 2 of Chen et al. (2023)."""
    beta1, beta2 = h["betas"]
    direction = np.sign(beta1 * s["exp_avg"] + (1 - beta1) * g)
    s["exp_avg"] = beta2 * s["exp_avg"] + (1 - beta2) * g
    if h["cautious"]:
        direction = cautious(direction, g)
    return p - h["lr"] * (direction + h["weight_decay"] * p)


LION = dict(lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, cautious=False)

TUNING = Tuning(dict(lr=0.01), dict(lr=1e-3), dict(lr=1e-3))


def case(name: str, **options: Any) -> Case:
    return Case(name, "Lion", lion, ("exp_avg",), LION, options, decay_in_gradient=False, tuning=TUNING)


CASES = [case("lion", weight_decay=0.1), case("lion-cautious", cautious=True, lr=1e-3, weight_decay=0.1)]

MORE = [
    case("lion-cautious-ascent", cautious=True, maximize=True, lr=0.02, betas=(0.5, 0.8), weight_decay=0.1),
]
