"""Overfitting: few rows and many epochs, and runs whose held-out loss still falls."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from statistics import median
from typing import Any, NamedTuple

from detecting.runs import found, metrics, rise, watch
from problems.layers import Layers

import adamcore as ac

CLEAR, LEAST = 0.1, 0.02

TANH, RELU, NOISY = (
    Layers((64,), rows=100, batch=25),
    Layers((64, 64), "relu", rows=100, batch=25),
    Layers((64,), rows=100, batch=25, labels=0.2),
)
ADAMW, SGD = partial(ac.AdamW, lr=3e-3), partial(ac.SGD, lr=0.1, momentum=0.9)
RUNS: dict[str, tuple[Any, Any, int, int]] = {
    "100 rows, 20% wrong, tanh 64": (NOISY, ADAMW, 150, 4),
    "100 rows, 20% wrong, tanh 64, SGD": (NOISY, SGD, 150, 4),
    "100 rows, ReLU 64-64": (RELU, ADAMW, 150, 4),
    "100 rows, tanh 64": (TANH, ADAMW, 150, 4),
    "1438 rows, tanh 64": (Layers((64,)), partial(ac.AdamW, lr=1e-3), 60, 23),
    "1438 rows, ReLU 64": (Layers((64,), "relu"), ADAMW, 60, 23),
    "autoencoder": (import_module("problems.autoencoder"), ADAMW, 40, 45),
}
"""The problem, the rule, the number of epochs, and the steps of an epoch."""


class Fitted(NamedTuple):
    """By how much the held-out loss rose above its best at the end, whether that was found, and the epochs."""

    rise: float
    found: bool
    found_at: float
    best_at: int


def examine(name: str, seed: int) -> Fitted:
    """Train, and validate after each epoch."""
    problem, make, epochs, per_epoch = RUNS[name]
    run = watch(problem, make, steps=epochs * per_epoch, seed=seed, validate_every=per_epoch)
    losses, findings = metrics(run), found(run, "overfitting")
    at = findings[0].step / per_epoch if findings else float("nan")
    return Fitted(rise(losses), bool(findings), at, int(losses.argmin()) + 1)


def show(seeds: int = 8) -> None:
    """Print the table."""
    print("overfitting:                         rise   best epoch  rise > 10%: found  2 to 10%  below 2%  at epoch")
    for name in RUNS:
        each = [examine(name, seed) for seed in range(seeds)]
        ranges = ((CLEAR, 1e9), (LEAST, CLEAR), (-1.0, LEAST))
        within = [[fit.found for fit in each if low < fit.rise <= high] for low, high in ranges]
        cells = [f"{sum(of)}/{len(of)}" for of in within]
        times = [fit.found_at for fit in each if fit.found]
        at = f"{median(times):.0f}" if times else "-"
        epoch = f"{median(fit.best_at for fit in each):.0f}"
        size = f"{median(fit.rise for fit in each):.0%}"
        print(f"  {name:34} {size:6} {epoch:11} {cells[0]:18} {cells[1]:9} {cells[2]:9} {at}", flush=True)
