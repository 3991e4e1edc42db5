"""Prodigy, as its authors' package has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.case import Array, Case, Number, State, Tuning, correction
from reference.sums import total


def prodigy(
    params: list[Array],
    grads: list[Array],
    states: list[State],
    hypers: list[dict[str, Any]],
    numbers: dict[str, float],
) -> list[Array]:
    """Algorithm 4 of Mishchenko & Defazio (2024): one update of all tensors, with `numbers` of the optimizer.

    A group with a learning rate of 0 rests: nothing of it changes. (In the authors' package its parameters still decay,
    at the rate of the others.)
    """
    taking_part = [k for k, h in enumerate(hypers) if h["lr"] != 0]
    if not taking_part:
        return params
    h = hypers[taking_part[0]]
    (beta1, beta2), d = h["betas"], numbers["d"]
    beta3 = np.sqrt(beta2) if h["beta3"] is None else h["beta3"]
    k = numbers["k"] + 1
    rate = d * h["lr"] * (np.sqrt(correction(beta2, k)) / correction(beta1, k) if h["use_bias_correction"] else 1)
    numerator, denominator = 0.0, 0.0
    for i in taking_part:
        p, g, s, h = params[i], grads[i], states[i], hypers[i]
        if not h["decouple"]:
            g = g + h["weight_decay"] * p
        s["exp_avg"] = beta1 * s["exp_avg"] + d * (1 - beta1) * g
        s["exp_avg_sq"] = beta2 * s["exp_avg_sq"] + d**2 * (1 - beta2) * g**2
        s["s"] = beta3 * s["s"] + d / h["d0"] * (d if h["safeguard_warmup"] else rate) * g
        numerator += d / h["d0"] * rate * total(g * (s["p0"] - p))
        denominator += total(np.abs(s["s"]))
    if denominator == 0:
        return params
    numbers["d_numerator"] = beta3 * numbers["d_numerator"] + numerator
    estimate = h["d_coef"] * numbers["d_numerator"] / denominator
    if d == h["d0"]:
        d = max(d, estimate)
    numbers["d_max"] = max(numbers["d_max"], estimate)
    numbers["d"] = d = min(numbers["d_max"], d * h["growth_rate"])
    numbers["k"] = k
    results = list(params)
    for i in taking_part:
        p, s, h = params[i], states[i], hypers[i]
        decay = h["weight_decay"] * rate if h["decouple"] else 0.0
        results[i] = p * (1 - decay) - rate * s["exp_avg"] / (np.sqrt(s["exp_avg_sq"]) + d * h["eps"])
    return results


PRODIGY = dict(
    lr=1.0,
    betas=(0.9, 0.999),
    beta3=None,
    eps=1e-8,
    weight_decay=0.0,
    decouple=True,
    use_bias_correction=False,
    safeguard_warmup=False,
    d0=1e-6,
    d_coef=1.0,
    growth_rate=float("inf"),
)

TUNING = Tuning(dict(lr=1.0), dict(lr=1.0), dict(lr=1.0, weight_decay=0.0), steps=10_000)

NUMBERS = {
    "d": Number("d0", later=3e-3),
    "d_max": Number("d0", later=4e-3),
    "d_numerator": Number(0.0, later=0.5),
    "k": Number(0.0, later=6.0),
}


def case(name: str, **options: Any) -> Case:
    return Case(
        name,
        "Prodigy",
        prodigy,
        ("exp_avg", "exp_avg_sq", "s", "p0"),
        PRODIGY,
        options,
        decay_in_gradient=False,
        numbers=NUMBERS,
        reads_stored_state=True,
        tuning=TUNING,
    )


CASES = [
    case("prodigy", weight_decay=0.1, decouple=False, use_bias_correction=True),
]

MORE = [
    case("prodigy-defaults"),
    case("prodigy-ascent", maximize=True, betas=(0.8, 0.99), d0=1e-4, d_coef=2.0, growth_rate=1.05, weight_decay=0.1),
    case("prodigy-decay", weight_decay=0.1, d0=1e-3, lr=0.5),
    case("prodigy-warmup", safeguard_warmup=True, lr=0.3, use_bias_correction=True),
    case("prodigy-slow", growth_rate=1.02, d0=1e-5, beta3=0.9),
]
