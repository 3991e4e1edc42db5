"""LARS, as timm has it."""

from __future__ import annotations

from typing import Any

from reference.case import Array, Case, State, Tuning
from reference.sums import norm


def lars(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    """SGD on gradients that are scaled as You, Gitman & Ginsburg (2017) say, or as LARC does with `trust_clip`."""
    decay, ratio = h["weight_decay"], 1.0
    if decay != 0 or h["always_adapt"]:
        weights, gradient = norm(p), norm(g)
        if weights > 0 and gradient > 0:
            ratio = h["trust_coeff"] * weights / (gradient + decay * weights + h["eps"])
        if h["trust_clip"]:
            ratio = min(ratio / h["lr"], 1.0) if h["lr"] > 0 else 1.0
    g = (g + decay * p) * ratio
    direction = g
    if h["momentum"] != 0:
        s["momentum_buffer"] = g if t == 1 else h["momentum"] * s["momentum_buffer"] + (1 - h["dampening"]) * g
        direction = g + h["momentum"] * s["momentum_buffer"] if h["nesterov"] else s["momentum_buffer"]
    return p - h["lr"] * direction


LARS = dict(
    lr=1.0,
    momentum=0.0,
    dampening=0.0,
    weight_decay=0.0,
    nesterov=False,
    trust_coeff=0.001,
    eps=1e-8,
    trust_clip=False,
    always_adapt=False,
)

TUNING = Tuning(dict(lr=1.0, always_adapt=True, trust_coeff=0.02), dict(lr=2e-3), dict(lr=10.0), steps=15_000)
MOMENTUM_TUNING = Tuning(dict(lr=1.0, always_adapt=True), dict(lr=2e-4), dict(lr=0.3), steps=15_000)
NESTEROV_TUNING = Tuning(dict(lr=1.0), dict(lr=0.01), dict(lr=0.3), steps=10_000)


def case(name: str, tuning: Tuning = TUNING, **options: Any) -> Case:
    slots = ("momentum_buffer",) if options.get("momentum") else ()
    return Case(name, "LARS", lars, slots, LARS, options, decay_in_gradient=False, tuning=tuning)


CASES = [
    case("lars", weight_decay=0.01),
    case(
        "lars-momentum",
        MOMENTUM_TUNING,
        lr=0.1,
        momentum=0.9,
        dampening=0.3,
        weight_decay=0.01,
        trust_coeff=0.02,
        maximize=True,
    ),
    case("lars-nesterov", NESTEROV_TUNING, lr=0.1, momentum=0.9, nesterov=True, always_adapt=True, trust_clip=True),
]

MORE = [
    case("lars-without-decay", momentum=0.5),
    case("lars-adapts", always_adapt=True, eps=1e-3, trust_coeff=0.1, lr=0.3),
    case("lars-clipped", weight_decay=0.1, trust_clip=True, trust_coeff=0.5, lr=0.01, momentum=0.9, dampening=0.1),
    case("lars-nesterov-decay", momentum=0.7, nesterov=True, weight_decay=1e-3),
]
