"""Adagrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import Array, Case, State, Tuning


def adagrad(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    s["sum"] = s["sum"] + g**2
    return p - h["lr"] / (1 + (t - 1) * h["lr_decay"]) * g / (np.sqrt(s["sum"]) + h["eps"])


ADAGRAD = dict(lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10)

ADAGRAD_TUNING = Tuning(dict(lr=0.5), dict(lr=0.5), dict(lr=0.1))
DECAY_TUNING = Tuning(dict(lr=0.5), dict(lr=0.5, lr_decay=1e-4), dict(lr=1.0))

CASES = [
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
