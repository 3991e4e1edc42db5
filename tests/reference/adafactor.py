"""Adafactor, as PyTorch has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import Array, Case, State, Tuning
from reference.sums import rms, total


def adafactor(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    """Algorithms 4 and 5 of Shazeer & Stern (2018), with decay apart. Matrices are the last two axes."""
    least = np.finfo(h["dtype"]).eps if h["eps"][0] is None else h["eps"][0]
    fresh = float(t) ** h["beta2_decay"]
    rate = max(h["eps"][1], rms(p)) * min(h["lr"], 1 / np.sqrt(t))
    if g.ndim < 2:
        s["variance"] = (1 - fresh) * s["variance"] + fresh * g**2
        variance = s["variance"]
    else:
        rows, columns = g.shape[-2:]
        s["row_var"] = (1 - fresh) * s["row_var"] + fresh * total(g**2, -1) / columns
        s["col_var"] = (1 - fresh) * s["col_var"] + fresh * total(g**2, -2) / rows
        variance = s["row_var"] / np.maximum(total(s["row_var"], -2) / rows, least) * s["col_var"]
    direction = g / np.sqrt(np.maximum(variance, least**2))
    return p * (1 - h["lr"] * h["weight_decay"]) - rate / max(1, rms(direction) / h["d"]) * direction


ADAFACTOR = dict(lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0)

TUNING = Tuning(dict(lr=0.05), dict(lr=0.02), dict(lr=0.1), steps=10_000)


def case(name: str, **options: Any) -> Case:
    return Case(
        name,
        "Adafactor",
        adafactor,
        ("row_var", "col_var"),
        ADAFACTOR,
        options,
        decay_in_gradient=False,
        vector_slots=("variance",),
        reads_stored_state=True,
        tuning=TUNING,
    )


CASES = [
    case("adafactor"),
]

MORE = [
    case("adafactor-ascent", maximize=True, lr=0.1, weight_decay=0.1, eps=(1e-4, 0.1), d=1.5, beta2_decay=-0.5),
    case("adafactor-d", d=2.0, lr=1.0),
    case("adafactor-decay", weight_decay=0.3, eps=(1e-30, 1e-3)),
    case("adafactor-first", beta2_decay=0.0, eps=(None, 0.0)),
]
