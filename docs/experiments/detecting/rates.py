"""Rates that are too small or too large: shares and multiples of the best rate of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from detecting.runs import found, level, share, watch
from problems.layers import Layers

import adamcore as ac

STEPS, GRID_SEED = 400, 100
FACTORS = (1 / 30, 1 / 10, 1 / 3, 1.0, 30.0, 100.0)

PROBLEMS: dict[str, Any] = {
    "tanh 64, batch 64": Layers((64,)),
    "ReLU 64-32, batch 256": Layers((64, 32), "relu", batch=256),
    "tanh 4 x 32, batch 16": Layers((32,) * 4, batch=16),
    "autoencoder": import_module("problems.autoencoder"),
    "convnet": import_module("problems.convnet"),
}
RULES: dict[str, tuple[Any, Sequence[float]]] = {
    "AdamW": (ac.AdamW, (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)),
    "SGD": (partial(ac.SGD, momentum=0.9), (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)),
}


class Rated(NamedTuple):
    """What was found in a run: whether the rate is small, and whether it is large."""

    small: bool
    large: bool
    noticed: bool
    """Whether anything was found that a rate that is too large does: also a plateau, dead layers, or an explosion."""
    cosine: float
    """The median of steps 65 to 128."""


@cache
def best_rate(problem: str, rule: str) -> float:
    """Return the rate of the grid with the lowest losses at the end."""
    make, grid = RULES[rule]
    runs = {rate: watch(PROBLEMS[problem], partial(make, lr=rate), steps=STEPS, seed=GRID_SEED) for rate in grid}
    return min(grid, key=lambda rate: level(runs[rate]))


def examine(problem: str, rule: str, factor: float, seed: int) -> Rated:
    """Train with a multiple of the best rate."""
    rate = factor * best_rate(problem, rule)
    run = watch(PROBLEMS[problem], partial(RULES[rule][0], lr=rate), steps=STEPS, seed=seed)
    statistics = run.monitor.statistics
    cosines = statistics["cos"][(statistics["step"] > 64) & (statistics["step"] <= 128)]
    small, large, *others = (bool(found(run, k)) for k in ("lr_small", "lr_large", "plateau", "dead", "exploding"))
    known = cosines[np.isfinite(cosines)]
    return Rated(small, large, large or any(others), float(np.median(known)) if len(known) else float("nan"))


def show(seeds: int = 4) -> None:
    """Print the tables."""
    small = [factor for factor in FACTORS if factor <= 1]
    print("lr_small, and the median cosine of steps 65 to 128, at shares of the best rate")
    print(f"  {'':34}", *(f"{f'{factor:.3g}':10}" for factor in small), "30 and 100", sep=" ")
    large: list[str] = []
    for rule in RULES:
        for problem in PROBLEMS:
            each = {f: [examine(problem, rule, f, seed) for seed in range(seeds)] for f in FACTORS}
            cells = [f"{share(r.small for r in each[f])} {median(r.cosine for r in each[f]):5.2f}" for f in small]
            beyond = [r for f in FACTORS if f > 1 for r in each[f]]
            name = f"{problem}, {rule} {best_rate(problem, rule):g}"
            print(f"  {name:34}", *(f"{cell:10}" for cell in cells), share(r.small for r in beyond), flush=True)
            over = [
                f"{share(r.large for r in each[f]):6} {share(r.noticed for r in each[f]):8}" for f in FACTORS if f > 1
            ]
            large.append(f"  {name:34} {over[0]} {over[1]} {share(r.large for r in each[1.0])}")
    print(
        "\nat 30 and at 100 times the best rate: lr_large, and that or plateau, dead, exploding; lr_large at the best"
    )
    print(*large, sep="\n")
