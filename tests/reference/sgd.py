"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from reference.case import Array, Case, State, Tuning


def sgd(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    direction = g
    if h["momentum"] != 0:
        s["momentum_buffer"] = g if t == 1 else h["momentum"] * s["momentum_buffer"] + (1 - h["dampening"]) * g
        direction = g + h["momentum"] * s["momentum_buffer"] if h["nesterov"] else s["momentum_buffer"]
    return p - h["lr"] * direction


SGD = dict(lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False)

SGD_TUNING = Tuning(dict(lr=0.02), dict(lr=1e-3), dict(lr=0.3))
MOMENTUM_TUNING = Tuning(dict(lr=0.02), dict(lr=1e-4), dict(lr=0.3))

CASES = [
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
]
