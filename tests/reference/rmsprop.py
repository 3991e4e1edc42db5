"""RMSprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import Array, Case, State, Tuning


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


RMSPROP = dict(lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False)

RMSPROP_TUNING = Tuning(dict(lr=0.01), dict(lr=2e-3), dict(lr=0.01))

CASES = [
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
]
