"""Gradients, limits and loss scales that tests of clipping use, on the CPU and on a GPU."""

from __future__ import annotations

import numpy as np

from reference import magnitudes
from storage import BF16, F16, F32, F64

SIZES = [1, 300, 0, 4097, 220_001, 64]
KINDS = [("clip_norm", 0.7), ("clip_norm_per_tensor", 0.3), ("clip_value", 0.05), ("clip_adaptive", 0.01)]
SHAPES = [(5, 7), (300,), (), (0, 3), (17, 3, 3, 5), (1,), (70, 300)]

HUGE = {F64: 1e308, F32: 1e38, BF16: 1e38, F16: 6e4}
LIMITS = {
    F64: [1e-3, 1e-300, 3e-318, 5e-324, 1e10],
    F32: [1e-3, 1e-8, 1e-37, 3e-43, 1e-45, 1e10],
    BF16: [1e-3, 1e-8, 1e-37, 3e-43, 1e-45, 1e10],
    F16: [1e-3, 1e-8, 1e-37, 3e-43, 1e-45],
}
LOSS_SCALES = [1.0, 2.0**126, 2.0**-126, 3e37, 1.7e-38]
RARE = [
    ("clip_norm", 1e-8, 1e38),
    ("clip_norm_per_tensor", 1e-8, 1e38),
    ("clip_adaptive", 1e-9, 1e38),
    ("clip_norm", 1e-44, 1e30),
]


def gradients(rng: np.random.Generator, dtype: np.dtype = F32) -> list[np.ndarray]:
    return [magnitudes(rng, (n,)).astype(dtype) for n in SIZES]


def numbers(dtype: np.dtype, size: int, largest: float, seed: int = 3) -> np.ndarray:
    """Of many magnitudes below the largest, both signs."""
    rng = np.random.default_rng(seed)
    values = largest * rng.uniform(0.1, 1, size) * rng.choice([-1, 1], size)
    return (values * 2.0 ** -rng.integers(0, 12, size)).astype(dtype)
