"""Half precision: loops of overflows, and updates that are lost; and the same where nothing is wrong."""

from __future__ import annotations

from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
from detecting.halves import Half
from detecting.runs import found, level, share, watch
from problems.layers import Layers

import adamcore as ac

DIGITS = Layers((64,))
STEPS = 400
TINY = 1e-30

SCALERS: dict[str, tuple[dict[str, float], float, bool]] = {
    "the scale doubles after 2 steps": ({"growth_interval": 2}, 0.0, True),
    "the scale doubles after 3 steps": ({"growth_interval": 3}, 0.0, True),
    "a fifth of the batches blow up": ({"min_scale": TINY}, 0.2, True),
    "a LossScaler as it is": ({}, 0.0, False),
    "it begins at 2**20": ({"init_scale": 2.0**20}, 0.0, False),
    "the scale doubles after 20 steps": ({"growth_interval": 20}, 0.0, False),
    "1% of the batches blow up": ({"min_scale": TINY}, 0.01, False),
}
"""Arguments of the scaler, the share of gradients that are not finite at any scale, and whether something is wrong."""

PRECISIONS: dict[str, tuple[ac.Precision, bool]] = {
    "bfloat16 alone": (ac.Precision(master=None), True),
    "stochastic rounding": (ac.Precision(master=None, rounding="stochastic"), False),
    "compensated rounding": (ac.Precision(master=None, rounding="compensated"), False),
    "master in float32": (ac.Precision(master="float32"), False),
    "remainders": (ac.Precision(master="remainder"), False),
}
"""Precisions, and whether updates are lost."""
RATE = 2e-4


def overflows(name: str, seed: int) -> tuple[bool, int, float]:
    """Return whether a loop of overflows was found, how many steps were skipped, and the last losses."""
    options, blows, _ = SCALERS[name]
    scaler = ac.LossScaler(**options)
    problem = Half(DIGITS, np.float16, blows)
    run = watch(problem, partial(ac.AdamW, lr=3e-3), steps=STEPS, seed=seed, scaler=scaler)
    return bool(found(run, "overflow_loop")), int(run.history["skipped"].sum()), level(run)


def lost(name: str, seed: int) -> tuple[bool, float]:
    """Return whether lost updates were found in a weight matrix, and the last losses."""
    make = partial(ac.AdamW, lr=RATE, precision=PRECISIONS[name][0])
    run = watch(Half(DIGITS, ml_dtypes.bfloat16), make, steps=STEPS, seed=seed)
    return bool(found(run, "lost")), level(run)


def show(seeds: int = 8) -> None:
    """Print the tables."""
    print("overflow_loop:                     wrong  found  skipped  loss")
    for name, (_, _, is_wrong) in SCALERS.items():
        each = [overflows(name, seed) for seed in range(seeds)]
        skipped, loss = (float(np.median(values)) for values in list(zip(*each, strict=True))[1:])
        print(f"  {name:32} {_yes(is_wrong)}    {share(f for f, *_ in each)}    {skipped:<8.0f} {loss:.2f}", flush=True)
    print(f"\nlost, with a rate of {RATE:g}:         wrong  found  loss")
    for name, (_, is_wrong) in PRECISIONS.items():
        of = [lost(name, seed) for seed in range(seeds)]
        loss = float(np.median([loss for _, loss in of]))
        print(f"  {name:32} {_yes(is_wrong)}    {share(found for found, _ in of)}    {loss:.2f}", flush=True)


def _yes(value: Any) -> str:
    return "yes" if value else "no "
