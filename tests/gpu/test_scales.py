"""Multipliers of gradients that float32, or even double, cannot represent: the CPU's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from clips import HUGE, KINDS, LIMITS, LOSS_SCALES, RARE, numbers
from gpu.device import CUPY, Twins, bits_of
from helpers import make
from pairs import products
from reference import Case, magnitudes
from storage import DTYPES, F16, F32, F64, Storage, combinations

SIZES = (3, 70, 4097, 9001)


@products(dtype=DTYPES, kind=[kind for kind, _ in KINDS], loss_scale=LOSS_SCALES)
def test_clipping(dtype: Any, kind: str, loss_scale: float) -> None:
    for limit in LIMITS[dtype]:
        params = [np.zeros((n // 10, 10) if n % 10 == 0 else n, F64 if dtype == F64 else F32) for n in SIZES]
        grads = [numbers(dtype, n, HUGE[dtype], n).reshape(p.shape) for n, p in zip(SIZES, params, strict=True)]
        twins = Twins(CUPY, lambda p, m=limit: ac.SGD(p, lr=1.0, **{kind: m}), params)
        twins.check(twins.step(grads, loss_scale=loss_scale))


@pytest.mark.parametrize(("kind", "limit", "magnitude"), RARE)
def test_every_rule(case: Case, kind: str, limit: float, magnitude: float, rng: np.random.Generator) -> None:
    params = [magnitudes(rng, (n,)).astype(F32) for n in SIZES]
    twins = Twins(CUPY, lambda p: make(case, p, **{kind: limit}), params)
    for _ in range(2):
        twins.check(twins.step([(rng.uniform(-1, 1, n) * magnitude).astype(F32) for n in SIZES], loss_scale=3.0))


@pytest.mark.parametrize("storage", [s for s in combinations() if s.state == "float32"], ids=str)
def test_every_storage(storage: Storage) -> None:
    largest = min(HUGE[storage.grad], HUGE[F64 if storage.param == F64 else F32])
    params = [np.zeros(n, storage.param) for n in SIZES]
    for kind in ("clip_norm", "clip_adaptive"):
        options = {kind: 1e-300 if storage.param == F64 else 1e-41, "precision": storage.precision}
        twins = Twins(CUPY, lambda p, o=options: ac.SGD(p, lr=1.0, momentum=0.5, **o), params)
        twins.check(twins.step([numbers(storage.grad, n, largest, n) for n in SIZES]))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_clip_grad_norm(dtype: Any) -> None:
    for limit in (*LIMITS[dtype], 0.0):
        g = numbers(dtype, 9001, HUGE[dtype])
        there = CUPY.put(g)
        assert ac.clip_grad_norm_(there, limit) == ac.clip_grad_norm_(g, limit)
        assert bits_of(CUPY.get(there)) == bits_of(g)


def test_norms_beyond_float64() -> None:
    twins = Twins(CUPY, lambda p: ac.SGD(p, lr=1.0, clip_norm=1e-300), [np.zeros(400)])
    twins.check(twins.step([np.full(400, 1.7e308)]))


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e38])
def test_a_buffer_that_has_not_been_made_is_not_read(garbage: float) -> None:
    for storage, state in ((F32, F32), (F64, F64), (F16, F32)):
        g = np.linspace(-1, 1, 9001).astype(storage)
        p, zero = np.ones(9001, storage), np.zeros(9001, state)
        there, grad, buffer = CUPY.put(p), CUPY.put(g), CUPY.put(np.full(9001, garbage, state))
        for nesterov in (False, True):
            for t in (1, 2):
                ac.functional.sgd(p, g, zero, t=t, lr=0.1, momentum=0.9, nesterov=nesterov)
                ac.functional.sgd(there, grad, buffer, t=t, lr=0.1, momentum=0.9, nesterov=nesterov)
        assert bits_of(CUPY.get(there)) == bits_of(p)
        assert bits_of(CUPY.get(buffer)) == bits_of(zero)
