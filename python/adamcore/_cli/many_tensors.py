"""A step on many small tensors, where a loop in Python takes most of the time."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np

import adamcore as ac
from adamcore._cli import textbook
from adamcore._cli.network import Params
from adamcore._cli.training import Stepper

TENSORS, SIZE = 5000, 100
_ROUNDS = 9


class Times(NamedTuple):
    """Seconds of one step, medians of rounds in turns, and whether both did the same to the weights."""

    core: float
    textbook: float
    difference: float

    @property
    def factor(self) -> float:
        """How many times longer the textbook's step took."""
        return self.textbook / self.core


def measure(seed: int) -> Times:
    """Time steps of AdamW on 5000 tensors of 100 float32 numbers, adamcore's and the textbook's in turns."""
    rng = np.random.default_rng(seed)

    def draw() -> Params:
        return {f"tensor{i}": rng.standard_normal(SIZE, np.float32) for i in range(TENSORS)}

    ours, grads = draw(), draw()
    theirs = {name: p.copy() for name, p in ours.items()}
    optimizers: tuple[Stepper, Stepper] = ac.AdamW(ours), textbook.AdamW(theirs)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for optimizer, times in zip(optimizers, seconds, strict=True):
            began = perf_counter()
            optimizer.step(grads)
            times.append(perf_counter() - began)
    apart = max(float(abs(ours[name] - theirs[name]).max()) for name in ours)
    return Times(median(seconds[0]), median(seconds[1]), apart)
