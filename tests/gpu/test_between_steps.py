"""What changes state or weights between steps does so on the device as on the CPU, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, Library, Twins
from helpers import make
from pairs import products
from reference import CASES, Case, magnitudes
from storage import BF16, F16, F32, F64

SHAPES = [(1037,), (1,), (0,), (), (33, 5), (4097,)]
STORAGE = [
    (F32, ac.Precision()),
    (F64, ac.Precision()),
    (BF16, ac.Precision()),
    (F16, ac.Precision(state="float16")),
    (BF16, ac.Precision(master="remainder", state="bfloat16")),
    (BF16, ac.Precision(master=None)),
    (F16, ac.Precision(master=None, rounding="compensated")),
    (BF16, ac.Precision(master=None, rounding="stochastic", seed=3)),
]


def draw(rng: np.random.Generator, dtype: Any) -> list[Any]:
    return [np.array(magnitudes(rng, shape)).astype(dtype) for shape in SHAPES]


def step(twins: Twins, rng: np.random.Generator, dtype: Any) -> None:
    grads = draw(rng, dtype)
    grads[4] = None
    twins.check(twins.step(grads))


ROWS = [(case, STORAGE[4]) for case in CASES] + [(CASES[7], stored) for stored in STORAGE if stored is not STORAGE[4]]
"""Every rule, and every storage."""


@pytest.mark.parametrize(("case", "stored"), ROWS, ids=str)
def test_moments(case: Case, stored: Any, rng: np.random.Generator) -> None:
    dtype, precision = stored
    twins = Twins(CUPY, lambda p: make(case, p, precision=precision), draw(rng, dtype))
    for _ in range(2):
        step(twins, rng, dtype)
    for c, names in ((1.0 / 3, None), (1e-9, ["0", "4", "5"]), (2.0, "0")):
        for optimizer in (twins.cpu, twins.gpu):
            optimizer.rescale_state(c, names)
        twins.check()
    step(twins, rng, dtype)
    for names in (["1", "5"], None):
        for optimizer in (twins.cpu, twins.gpu):
            optimizer.reset_state(names)
        twins.check()
        assert dict(twins.gpu.steps) == dict(twins.cpu.steps)
        assert twins.gpu.completed == twins.cpu.completed
        step(twins, rng, dtype)


@products(stored=STORAGE)
def test_modes_of_schedule_free_rules(stored: Any, library: Library, rng: np.random.Generator) -> None:
    dtype, precision = stored

    def build(params: list[Any]) -> ac.Optimizer:
        groups = [{"params": params[:2]}, {"params": params[2:], "betas": (0.5, 0.99)}]
        return ac.ScheduleFreeAdamW(groups, lr=0.1, precision=precision)

    twins = Twins(library, build, draw(rng, dtype))
    for _ in range(2):
        step(twins, rng, dtype)
        for call in ("eval", "eval", "train", "train"):
            for optimizer in (twins.cpu, twins.gpu):
                getattr(optimizer, call)()
            twins.check()
    twins.gpu.eval()  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="call train"):
        twins.gpu.step([library.put(g) for g in draw(rng, dtype)])
