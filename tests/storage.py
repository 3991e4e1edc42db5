"""Half precision as the tests see it: types, ways of keeping weights, and roundings by other hands than adamcore's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import adamcore as ac

BF16 = np.dtype(ml_dtypes.bfloat16)
F16 = np.dtype(np.float16)
F32 = np.dtype(np.float32)
F64 = np.dtype(np.float64)
HALVES = [F16, BF16]
DTYPES = [F32, F16, BF16, F64]

PRECISIONS: dict[str, dict[str, Any]] = {
    "master": {},
    "remainder": {"master": "remainder"},
    "nearest": {"master": None},
    "stochastic": {"master": None, "rounding": "stochastic", "seed": 2**40 + 7},
    "compensated": {"master": None, "rounding": "compensated"},
}


@dataclass(frozen=True)
class Storage:
    """One combination of types and of what is kept of weights."""

    param: np.dtype
    grad: np.dtype
    state: str = "float32"
    weights: str = "master"

    def __str__(self) -> str:
        return f"{self.param}-{self.grad}-{self.state}-{self.weights}"

    @property
    def precision(self) -> ac.Precision:
        options = PRECISIONS[self.weights] if self.param in HALVES else {}
        return ac.Precision(**options, state=self.state)

    @property
    def state_dtype(self) -> np.dtype:
        if self.param == F64:
            return F64
        return {"float32": F32, "float16": F16, "bfloat16": BF16}[self.state]

    @property
    def compute_dtype(self) -> type:
        return np.float64 if self.param == F64 else np.float32


def combinations() -> list[Storage]:
    """Every combination of types that there is."""
    found = []
    for grad in DTYPES:
        found.append(Storage(F64, grad))
        for state in ("float32", "bfloat16", "float16"):
            found.append(Storage(F32, grad, state))
            for param in HALVES:
                ways = [way for way in PRECISIONS if way != "remainder" or param == BF16]
                found += [Storage(param, grad, state, way) for way in ways]
    return found


def bits_of(array: np.ndarray) -> np.ndarray:
    return array.view({2: np.uint16, 4: np.uint32, 8: np.uint64}[array.dtype.itemsize])


def toward(x: np.ndarray, dtype: np.dtype, sign: int) -> np.ndarray:
    """The neighbour of `x` in `dtype` below (-1) or above (+1) it, or `x` itself if it has one there; in float64."""
    near = x.astype(dtype)
    wide = near.astype(np.float64)
    beyond = np.nextafter(near, np.asarray(sign * np.inf, dtype)).astype(np.float64)
    return np.where(wide * sign >= x * sign, wide, beyond)


def weights_of(state: dict[str, np.ndarray], param: np.ndarray) -> np.ndarray:
    """The weights that an optimizer has kept beside or in a parameter, in float64, by what Precision says."""
    if "master" in state:
        return state["master"].astype(np.float64)
    if "remainder" in state:
        upper = bits_of(np.ascontiguousarray(param)).astype(np.int64) << 16
        lower = state["remainder"].astype(np.int64)
        ties = np.unpackbits(state["remainder_ties"], bitorder="little")[: param.size].reshape(param.shape)
        signed = np.where((lower >= 0x8000) & (ties == 0), lower - 0x10000, lower)
        return (upper + signed).astype(np.uint32).view(np.float32).astype(np.float64)
    wide = param.astype(np.float64)
    return wide + state["compensation"].astype(np.float64) if "compensation" in state else wide
