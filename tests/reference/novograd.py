"""NovoGrad, as NVIDIA and timm have it."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import Array, Case, State, Tuning
from reference.sums import total


def novograd(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:  # noqa: ARG001
    """Algorithm 1 of Ginsburg et al. (2019), with decay inside the moment."""
    beta1, beta2 = h["betas"]
    square = total(g**2)
    s["exp_avg_sq"] = square if s["exp_avg_sq"] == 0 else beta2 * s["exp_avg_sq"] + (1 - beta2) * square
    second = s["exp_avg_sq"]
    if h["amsgrad"]:
        s["max_exp_avg_sq"] = np.maximum(s["max_exp_avg_sq"], second)
        second = s["max_exp_avg_sq"]
    direction = g / (np.sqrt(second) + h["eps"]) + h["weight_decay"] * p
    s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1 if h["grad_averaging"] else 1) * direction
    return p - h["lr"] * s["exp_avg"]


NOVOGRAD = dict(lr=1e-3, betas=(0.95, 0.98), eps=1e-8, weight_decay=0.0, grad_averaging=False, amsgrad=False)

TUNING = Tuning(dict(lr=0.02), dict(lr=1e-3), dict(lr=0.05), steps=10_000)
AMSGRAD_TUNING = Tuning(dict(lr=0.5), dict(lr=1.0), dict(lr=0.05), steps=10_000)


def case(name: str, tuning: Tuning = TUNING, **options: Any) -> Case:
    slots = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if options.get("amsgrad") else ("exp_avg", "exp_avg_sq")
    return Case(name, "NovoGrad", novograd, slots, NOVOGRAD, options, decay_in_gradient=False, tuning=tuning)


CASES = [
    case("novograd", weight_decay=0.01),
    case("novograd-amsgrad", AMSGRAD_TUNING, amsgrad=True, grad_averaging=True, lr=0.01, maximize=True),
]

MORE = [
    case("novograd-without-decay"),
    case("novograd-averaged", grad_averaging=True, weight_decay=0.1, betas=(0.9, 0.5), eps=1e-3),
    case("novograd-amsgrad-decay", amsgrad=True, weight_decay=1e-3, betas=(0.0, 0.9)),
]
