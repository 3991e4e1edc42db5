"""StableAdamW."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import MOMENTS, Array, Case, State, correction
from reference.sums import total


def stable_adamw(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    """Algorithm 2 of Wortsman et al. (2023), as in torch-optimi: the decay has the reduced rate."""
    beta1, beta2 = h["betas"]
    s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
    s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
    first, second = s["exp_avg"] / correction(beta1, t), s["exp_avg_sq"] / correction(beta2, t)
    relative = total(g**2 / np.maximum(second, h["eps"] ** 2)) / g.size
    rate = h["lr"] / max(1.0, np.sqrt(relative))
    return p * (1 - rate * h["weight_decay"]) - rate * first / (np.sqrt(second) + h["eps"])


PRESETS = dict(lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-2, eps=1e-6)


def case(name: str, **options: Any) -> Case:
    return Case(
        name,
        "StableAdamW",
        stable_adamw,
        MOMENTS,
        PRESETS,
        options,
        decay_in_gradient=False,
        reads_stored_state=True,
    )


CASES = [case("stable-adamw")]

MORE = [
    case("stable-adamw-ascent", maximize=True, lr=0.1, betas=(0.5, 0.999), eps=1e-3, weight_decay=0.5),
    case("stable-adamw-without-decay", weight_decay=0.0, betas=(0.0, 0.9)),
]
