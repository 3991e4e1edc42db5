"""LAMB, as timm and apex have it."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import MOMENTS, Array, Case, State, Tuning, correction
from reference.sums import norm


def lamb(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    """Algorithm 2 of You et al. (2020), with decay in the direction."""
    (beta1, beta2), decay = h["betas"], h["weight_decay"]
    s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1 if h["grad_averaging"] else 1) * g
    s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
    c1, c2 = (correction(beta1, t), correction(beta2, t)) if h["bias_correction"] else (1.0, 1.0)
    direction = (s["exp_avg"] / c1) / (np.sqrt(s["exp_avg_sq"]) / np.sqrt(c2) + h["eps"]) + decay * p
    ratio = 1.0
    if decay != 0 or h["always_adapt"]:
        weights, size = norm(p), norm(direction)
        if weights > 0 and size > 0:
            ratio = weights / size
        if h["trust_clip"]:
            ratio = min(ratio, 1.0)
    return p - h["lr"] * ratio * direction


LAMB = dict(
    lr=1e-3,
    bias_correction=True,
    betas=(0.9, 0.999),
    eps=1e-6,
    weight_decay=0.01,
    grad_averaging=True,
    trust_clip=False,
    always_adapt=False,
)

TUNING = Tuning(dict(lr=0.02, always_adapt=True), dict(lr=0.02), dict(lr=0.03), steps=10_000)


def case(name: str, **options: Any) -> Case:
    return Case(
        name, "LAMB", lamb, MOMENTS, LAMB, options, decay_in_gradient=False, tuning=TUNING, reads_stored_state=True
    )


CASES = [
    case("lamb"),
]

MORE = [
    case("lamb-ascent", maximize=True, lr=0.02, betas=(0.8, 0.99), eps=1e-8, trust_clip=True, grad_averaging=False),
    case("lamb-without-decay", weight_decay=0.0),
    case("lamb-always-adapts", weight_decay=0.0, always_adapt=True, lr=0.1),
    case("lamb-without-correction", bias_correction=False, weight_decay=0.1),
    case("lamb-without-averaging", grad_averaging=False, trust_clip=True, always_adapt=True, betas=(0.0, 0.99)),
]
