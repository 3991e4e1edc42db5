"""Threads affect only the speed: the bits are the same for any number of threads, and every time."""

from __future__ import annotations

from typing import Any

import numpy as np

import adamcore as ac
from helpers import everything
from storage import BF16, F16, F32, F64

REPETITIONS = 100
SIZES = [(0,), (1,), (37,), (64, 65), (300, 301), (3, 5, 7, 11), (40_003,), (5, 26_215)]
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "AdamW": {"amsgrad": True, "clip_norm": 0.5},
    "Adam": {"weight_decay": 0.01, "precision": ac.Precision(master=None, rounding="compensated")},
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "clip_value": 0.3},
    "RMSprop": {"centered": True, "momentum": 0.9, "clip_adaptive": 0.01},
    "Adagrad": {"precision": ac.Precision(master=None, rounding="stochastic")},
}


def layout(array: np.ndarray, number: int) -> np.ndarray:
    """The same numbers as they are, in Fortran order, reversed, or with gaps."""
    if number % 4 == 1:
        return np.asfortranarray(array)
    if number % 4 == 2:
        return array[::-1].copy()[::-1]
    if number % 4 == 3:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return array


def model(seed: int) -> list[np.ndarray]:
    """Every size in every type."""
    rng = np.random.default_rng(seed)
    arrays = []
    for number, shape in enumerate(SIZES):
        for place, dtype in enumerate((F32, F64, F16, BF16)):
            values = (rng.standard_normal(shape) * 0.3).astype(dtype)
            arrays.append(layout(values, number + place + seed))
    return arrays


def test_a_hundred_times_on_one_to_sixteen_threads() -> None:
    params, grads = model(0), model(1)
    starts = [p.copy() for p in params]

    def trained(kind: str, threads: int) -> dict[str, bytes]:
        for param, start in zip(params, starts, strict=True):
            param[...] = start
        ac.set_num_threads(threads)
        optimizer = getattr(ac, kind)(params, **OPTIMIZERS[kind])
        optimizer.step(grads)
        return everything(optimizer)

    expected = {kind: trained(kind, 1) for kind in OPTIMIZERS}
    for repetition in range(REPETITIONS):
        kind = list(OPTIMIZERS)[repetition % len(OPTIMIZERS)]
        threads = 1 + repetition * 7 % 16
        assert trained(kind, threads) == expected[kind], (kind, threads)
