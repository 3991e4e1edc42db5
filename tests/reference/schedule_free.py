"""Schedule-free AdamW."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import Array, Case, State, Tuning, correction
from reference.sums import difference


def schedule_free_adamw(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    """Algorithm 1 of Defazio et al. (2024), as in the authors' package: `p` is y."""
    beta1, beta2 = h["betas"]
    rate = h["lr"] * min(1.0, t / h["warmup_steps"]) if h["warmup_steps"] else h["lr"]
    s["lr_max"] = np.maximum(s["lr_max"], rate)
    weight = t ** h["r"] * s["lr_max"] ** h["weight_lr_power"]
    s["weight_sum"] = s["weight_sum"] + weight
    share = weight / s["weight_sum"] if s["weight_sum"] else 0.0
    s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
    direction = g / (np.sqrt(s["exp_avg_sq"] / correction(beta2, t)) + h["eps"]) + h["weight_decay"] * p
    moved = p - (share * difference(p, s["z"]) + rate * (1 - beta1 * (1 - share)) * direction)
    s["z"] = s["z"] - rate * direction
    return moved


PRESETS = dict(lr=0.0025, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, warmup_steps=0, r=0.0, weight_lr_power=2.0)

TUNING = Tuning(dict(lr=0.2), dict(lr=0.5), dict(lr=0.02), steps=10_000)


def case(name: str, **options: Any) -> Case:
    return Case(
        name,
        "ScheduleFreeAdamW",
        schedule_free_adamw,
        ("z", "exp_avg_sq", "lr_max", "weight_sum"),
        PRESETS,
        options,
        decay_in_gradient=False,
        starts={"lr_max": -1.0},
        tuning=TUNING,
    )


CASES = [case("schedule-free-adamw", weight_decay=0.02, warmup_steps=4)]

MORE = [
    case("schedule-free-adamw-ascent", maximize=True, lr=0.1, betas=(0.5, 0.9), eps=1e-3, r=1.5, weight_lr_power=0.5),
    case("schedule-free-adamw-without-weights", weight_decay=0.1, weight_lr_power=0.0, betas=(0.98, 0.0)),
]
