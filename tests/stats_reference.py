"""The columns of a step's statistics in float64 NumPy, from their definitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference import Case
from reference.case import correction

COLUMNS = (
    "grad_rms",
    "param_rms",
    "update_rms",
    "ratio",
    "grad_max",
    "zero",
    "lost",
    "cos",
    "second_rms",
    "effective_lr",
    "floor",
)
OF_GRADIENTS = ("grad_rms", "grad_max", "zero")


@dataclass
class Observed:
    """What a step has done to one parameter, as float64 arrays: gradients are unscaled, and not negated."""

    grad: np.ndarray
    before: np.ndarray
    after: np.ndarray
    state_before: Mapping[str, np.ndarray]
    state_after: Mapping[str, np.ndarray]
    lost: float = 0.0


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def moments_of(case: Case, shape: tuple[int, ...]) -> tuple[str | None, str | None]:
    """Return the slots of the first and of the second moment: the first and the last of their degree."""
    slots = {name: slot for name, slot in case.slots_of(shape).items() if slot.shape == "elements"}
    first = [name for name, slot in slots.items() if slot.degree == 1]
    second = [name for name, slot in slots.items() if slot.degree == 2]
    return (first or [None])[0], (second or [None])[-1]


def second_moment(case: Case, dtype: Any, t: int, numbers: Mapping[str, float]) -> tuple[float, ...]:
    """Return the rate, what the second moment is divided by, and eps, of parameters of `dtype`."""
    hyper, name = case.hyper, case.optimizer
    lr = hyper["lr"]
    if name == "Adagrad":
        return lr / (1 + (t - 1) * hyper["lr_decay"]), 1.0, hyper["eps"]
    if name == "Adafactor":
        own = 2.0**-52 if dtype == np.float64 else 2.0**-23
        least = own if hyper["eps"][0] is None else hyper["eps"][0]
        return min(lr, 1 / np.sqrt(t)), 1.0, least
    if name == "Prodigy":
        d, k = numbers["d"], numbers["k"] + 1
        bias = correction(hyper["betas"][1], k) if hyper["use_bias_correction"] else 1.0
        return d * lr, d * d * bias, hyper["eps"]
    if name == "ScheduleFreeAdamW":
        lr = lr * min(1.0, t / max(hyper["warmup_steps"], 1))
    if name == "RMSprop":
        return lr, 1.0, hyper["eps"]
    if name == "LAMB" and not hyper["bias_correction"]:
        return lr, 1.0, hyper["eps"]
    return lr, correction(hyper["betas"][-1], t), hyper["eps"]


def expected_columns(
    case: Case, seen: Observed, t: int, numbers: Mapping[str, float], dtype: Any = np.float32
) -> dict[str, float]:
    """Return the columns of a parameter of `dtype` that has been updated: update `t`, not the first.

    `numbers` are the optimizer's before the step.
    """
    g = seen.grad
    found = {
        "grad_rms": rms(g),
        "param_rms": rms(seen.before),
        "update_rms": rms(seen.after - seen.before),
        "grad_max": float(np.max(np.abs(g))),
        "zero": float(np.mean(g == 0)),
        "lost": seen.lost,
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        found["ratio"] = float(np.float64(found["update_rms"]) / found["param_rms"])
    found.update(dict.fromkeys(("cos", "second_rms", "effective_lr", "floor"), np.nan))
    first, second = moments_of(case, g.shape)
    if first:
        m = seen.state_before[first].astype(np.float64)
        sign = -1 if case.hyper.get("maximize") else 1
        with np.errstate(invalid="ignore"):
            found["cos"] = float(sign * np.sum(m * g) / np.sqrt(np.sum(m * m) * np.sum(g * g)))
    if second:
        rate, divisor, eps = second_moment(case, dtype, t, numbers)
        v = seen.state_after[second].astype(np.float64) / divisor
        found["second_rms"] = float(np.sqrt(np.mean(v)))
        found["effective_lr"] = float(rate / (found["second_rms"] + eps))
        found["floor"] = float(np.mean(np.sqrt(v) < 10 * eps))
    return found
