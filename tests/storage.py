"""Half precision in tests: types, ways of storing weights, and roundings that are independent of adamcore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import adamcore as ac
from reference.slots import Slot

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
    """One combination of types and of what is stored for weights."""

    param: np.dtype
    grad: np.dtype
    state: str = "float32"
    weights: str = "master"
    state_rounding: str = "stochastic"

    def __str__(self) -> str:
        rounding = "" if self.state_rounding == "stochastic" else f"-{self.state_rounding}"
        return f"{self.param}-{self.grad}-{self.state}-{self.weights}{rounding}"

    @property
    def precision(self) -> ac.Precision:
        options = PRECISIONS[self.weights] if self.param in HALVES else {}
        return ac.Precision(**options, state=self.state, state_rounding=self.state_rounding)

    @property
    def state_dtype(self) -> np.dtype:
        if self.param == F64:
            return F64
        return {"float32": F32, "float16": F16, "bfloat16": BF16}[self.state]

    def slot_dtype(self, slot: Slot) -> np.dtype:
        """The type of a state array."""
        if slot.shape == "number":
            return F64
        return np.dtype(self.compute_dtype) if slot.is_full else self.state_dtype

    @property
    def compute_dtype(self) -> type:
        return np.float64 if self.param == F64 else np.float32


def combinations() -> list[Storage]:
    """Every possible combination of types."""
    found = []
    for grad in DTYPES:
        found.append(Storage(F64, grad))
        for state in ("float32", "bfloat16", "float16"):
            found.append(Storage(F32, grad, state))
            if state != "float32":
                found.append(Storage(F32, grad, state, state_rounding="nearest"))
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


def philox(key: tuple[int, int], counter: list[np.ndarray]) -> list[np.ndarray]:
    """Philox4x32-7 (Salmon et al. 2011) of counters, four words each."""
    a, b, c, d = (word.astype(np.uint64) for word in counter)
    low, keys = np.uint64(0xFFFFFFFF), list(key)
    for _ in range(7):
        first, second = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b = (second >> np.uint64(32)) ^ b ^ np.uint64(keys[0]), second & low
        c, d = (first >> np.uint64(32)) ^ d ^ np.uint64(keys[1]), first & low
        keys = [(keys[0] + 0x9E3779B9) % 2**32, (keys[1] + 0xBB67AE85) % 2**32]
    return [a, b, c, d]


def state_numbers(count: int, seed: int, step: int, name: str, slot: int) -> np.ndarray:
    """The random numbers of a state array: one word for each block of 256, plus multiples of the golden ratio."""
    number = 2166136261
    for byte in name.encode():
        number = (number ^ byte) * 16777619 % 2**32
    element = np.arange(count, dtype=np.uint64)
    block = element // np.uint64(256)
    others = [number, step % 2**32, 0x8000 | step >> 32 << 16]
    words = philox((seed % 2**32, seed >> 32), [block, *(np.full_like(block, word) for word in others)])
    return ((words[slot] + element * np.uint64(0x9E3779B1)) % np.uint64(2**32)).astype(np.uint32)


def encode_state(x: np.ndarray, dtype: np.dtype, random: np.ndarray) -> np.ndarray:
    """Float32 numbers and a part of `dtype`'s last place, cut off; to nearest beyond the largest number. In float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = x.astype(dtype)
        largest, digits, least = (65504.0, 10, -14) if dtype == F16 else (2.0**128 - 2.0**120, 7, -126)
        finite = np.abs(x) <= largest
        wide = np.where(finite, x, 0).astype(np.float64)
        unit = np.ldexp(1.0, np.maximum(np.frexp(wide)[1] - 1, least) - digits)
        part = (random >> np.uint32(8)).astype(np.float64) * 2.0**-24
        if dtype != F16:
            part = (random >> np.uint32(16)).astype(np.float64) * 2.0**-16
        # float64 holds the sum exactly, but for fractions below 2^-29, which decide nothing.
        whole = np.floor(np.abs(wide) / unit)
        up = np.abs(wide) / unit - whole + part >= 1
        rounded = np.copysign((whole + up) * unit, x).astype(dtype)
    return np.where(finite, rounded, nearest)


def stored_state(
    x: np.ndarray, dtype: np.dtype, is_square: bool, rounding: str, seed: int, step: int, name: str, slot: int
) -> np.ndarray:
    """State as Precision specifies its storage. `x` is what a step has computed in float32."""
    if is_square:
        smallest = np.float32(2.0**-24 if dtype == F16 else 2.0**-133)
        x = np.where((x > 0) & (x < smallest), smallest, x)
    if rounding == "nearest":
        with np.errstate(over="ignore", invalid="ignore"):
            return x.astype(dtype)
    return encode_state(x, dtype, state_numbers(x.size, seed, step, name, slot))


def weights_of(state: dict[str, np.ndarray], param: np.ndarray) -> np.ndarray:
    """The weights that an optimizer has stored beside or in a parameter, in float64, according to Precision."""
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


def computed_weights_of(optimizer: ac.Optimizer, name: str, param: np.ndarray) -> np.ndarray:
    """The same of one of an optimizer's parameters, in the type in which steps are computed."""
    return weights_of(optimizer.state[name], param).astype(np.float64 if param.dtype == F64 else np.float32)
