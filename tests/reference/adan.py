"""Adan."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import Array, Case, State, correction
from reference.sums import difference, true


def adan(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    """Algorithm 1 of Xie et al. (2022), as in the authors' code, whose betas are the weights of what was before."""
    beta1, beta2, beta3 = h["betas"]
    change = difference(g, s["pre_grad"]) if t > 1 else np.zeros_like(g)
    s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
    s["exp_avg_diff"] = beta2 * s["exp_avg_diff"] + (1 - beta2) * change
    s["exp_avg_sq"] = beta3 * s["exp_avg_sq"] + (1 - beta3) * (g + beta2 * change) ** 2
    s["pre_grad"] = g
    numerator = s["exp_avg"] / correction(beta1, t) + beta2 * s["exp_avg_diff"] / correction(beta2, t)
    # Magnitudes of the numerator's terms are divided by the true root: theirs would be larger, and hide what cancels.
    root = true(np.sqrt(s["exp_avg_sq"]))
    step = h["lr"] * numerator / (root / np.sqrt(correction(beta3, t)) + h["eps"])
    decay = h["lr"] * h["weight_decay"]
    return p * (1 - decay) - step if h["no_prox"] else (p - step) / (1 + decay)


ADAN = dict(lr=1e-3, betas=(0.98, 0.92, 0.99), eps=1e-8, weight_decay=0.0, no_prox=False)


def case(name: str, **options: Any) -> Case:
    slots = ("exp_avg", "exp_avg_diff", "exp_avg_sq", "pre_grad")
    return Case(name, "Adan", adan, slots, ADAN, options, decay_in_gradient=False)


CASES = [case("adan", weight_decay=0.02)]

MORE = [
    case("adan-ascent", maximize=True, lr=0.1, betas=(0.5, 0.8, 0.9), eps=1e-4, weight_decay=0.5, no_prox=True),
]
