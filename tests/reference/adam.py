"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import MOMENTS, MOMENTS_MAX, Array, Case, State, correction
from reference.lion import cautious


def adam_step(g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    """Algorithm 1 of Kingma & Ba, with AMSGrad's maximum before the bias correction."""
    beta1, beta2 = h["betas"]
    s["exp_avg"] = beta1 * s["exp_avg"] + (1 - beta1) * g
    s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + (1 - beta2) * g**2
    second = s["exp_avg_sq"]
    if h["amsgrad"]:
        s["max_exp_avg_sq"] = np.maximum(s["max_exp_avg_sq"], second)
        second = s["max_exp_avg_sq"]
    m_hat = s["exp_avg"] / correction(beta1, t)
    v_hat = second / correction(beta2, t)
    direction = m_hat / (np.sqrt(v_hat) + h["eps"])
    return h["lr"] * (cautious(direction, g) if h.get("cautious") else direction)


def adam(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    return p - adam_step(g, s, t, h)


def adamw(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    return p * (1 - h["lr"] * h["weight_decay"]) - adam_step(g, s, t, h)


ADAM = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False)
ADAMW = {**ADAM, "weight_decay": 1e-2, "cautious": False}

CASES = [
    Case("adam", "Adam", adam, MOMENTS, ADAM),
    Case("adam-l2", "Adam", adam, MOMENTS, ADAM, dict(lr=3e-3, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1)),
    Case("adam-amsgrad", "Adam", adam, MOMENTS_MAX, ADAM, dict(amsgrad=True)),
    Case("adamw", "AdamW", adamw, MOMENTS, ADAMW, decay_in_gradient=False),
    Case("adamw-ascent", "AdamW", adamw, MOMENTS, ADAMW, dict(maximize=True, lr=0.1), decay_in_gradient=False),
    Case("adamw-amsgrad", "AdamW", adamw, MOMENTS_MAX, ADAMW, dict(amsgrad=True, lr=1e-4), decay_in_gradient=False),
    Case(
        "adamw-cautious",
        "AdamW",
        adamw,
        MOMENTS,
        ADAMW,
        dict(cautious=True),
        decay_in_gradient=False,
        reads_stored_state=True,
    ),
    Case(
        "adamw-amsgrad-cautious",
        "AdamW",
        adamw,
        MOMENTS_MAX,
        ADAMW,
        dict(amsgrad=True, cautious=True, weight_decay=0.1),
        decay_in_gradient=False,
        reads_stored_state=True,
    ),
]
