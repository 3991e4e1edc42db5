"""The gradient's multiplier is accurate if gradient and result are representable. References are exact."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from clips import HUGE, LIMITS, LOSS_SCALES, RARE, numbers
from helpers import everything, everywhere, make
from reference import Case, magnitudes
from storage import BF16, DTYPES, F16, F32, F64, combinations

EPS = Fraction(1e-6)
DIGITS = {F64: (53, -1074), F32: (24, -149), F16: (11, -24), BF16: (8, -133)}


def exact(a: np.ndarray) -> list[Fraction]:
    return [Fraction(float(x)) for x in a.astype(np.float64).ravel()]


def root(x: Fraction) -> Fraction:
    """The square root within 2^-120 of itself."""
    bits = x.numerator.bit_length() - x.denominator.bit_length()
    half_shift = max(0, 130 - bits // 2)
    return Fraction(math.isqrt((x.numerator << 2 * half_shift) // x.denominator), 1 << half_shift)


def norm(values: list[Fraction]) -> Fraction:
    return root(sum((v * v for v in values), Fraction(0)))


def ulp(x: Fraction, dtype: np.dtype) -> Fraction:
    digits, least = DIGITS[dtype]
    if x == 0:
        return Fraction(2) ** least
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    if abs(x) < Fraction(2) ** exponent:
        exponent -= 1
    return Fraction(2) ** max(exponent - digits + 1, least)


def require_close(found: np.ndarray, expected: list[Fraction], dtype: np.dtype, most: int = 2) -> None:
    for value, wanted in zip(exact(found), expected, strict=True):
        assert abs(value - wanted) <= most * ulp(wanted, dtype), (float(value), float(wanted))


def by_clip(kind: str, grads: list[list[Fraction]], scale: Fraction, limit: float) -> list[list[Fraction]]:
    scaled = [[v / scale for v in g] for g in grads]
    most = Fraction(limit)
    if kind == "clip_norm":
        whole = norm([v for g in scaled for v in g])
        factors = [min(Fraction(1), most / (whole + EPS))] * len(grads)
    elif kind == "clip_norm_per_tensor":
        factors = [min(Fraction(1), most / (norm(g) + EPS)) for g in scaled]
    else:  # of parameters that are zero
        bound = most * Fraction(1e-3)
        factors = [bound / max(norm(g), EPS) if norm(g) > bound else Fraction(1) for g in scaled]
    return [[v * f for v in g] for g, f in zip(scaled, factors, strict=True)]


@pytest.mark.parametrize("loss_scale", LOSS_SCALES)
@pytest.mark.parametrize("kind", ["clip_norm", "clip_norm_per_tensor", "clip_adaptive"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_clipped_gradients_keep_their_digits(dtype: np.dtype, kind: str, loss_scale: float) -> None:
    """SGD with a rate of 1 from zero shows the gradient that the rule sees.

    A factor is a double of half a dozen roundings, which float32 does not see.
    """
    kept, most = (F64, 4) if dtype == F64 else (F32, 2)
    maximize = loss_scale > 1
    for limit in LIMITS[dtype]:
        for largest in (HUGE[dtype], 1.0):
            grads = [numbers(dtype, n, largest, n) for n in (3, 40, 90)]
            params = [np.zeros(g.size, kept) for g in grads]
            ac.SGD(params, lr=1.0, maximize=maximize, **{kind: limit}).step(grads, loss_scale=loss_scale)
            expected = by_clip(kind, [exact(g) for g in grads], Fraction(loss_scale), limit)
            largest_number = Fraction(float(np.finfo(kept).max))
            for p, wanted in zip(params, expected, strict=True):
                if max(abs(w) for w in wanted) > largest_number:
                    continue  # only scales below 1 make such
                require_close(p if maximize else -p, wanted, kept, most)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_unscaling_keeps_digits(dtype: np.dtype) -> None:
    kept = F64 if dtype == F64 else F32
    for loss_scale in LOSS_SCALES:
        tiny = float(np.nextafter(dtype.type(0), dtype.type(1)))
        for largest in (1.0, 100 * tiny, HUGE[dtype]):
            g = numbers(dtype, 100, largest)
            expected = [v / Fraction(loss_scale) for v in exact(g)]
            if max(map(abs, expected)) > Fraction(float(np.finfo(kept).max)):
                continue
            p = np.zeros(100, kept)
            ac.SGD(p, lr=1.0).step(g, loss_scale=loss_scale)
            require_close(-p, expected, kept)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_clip_grad_norm_keeps_digits(dtype: np.dtype) -> None:
    for limit in (*LIMITS[dtype], 0.0):
        g = [numbers(dtype, n, HUGE[dtype], n) for n in (3, 70, 300)]
        strided = np.zeros((300, 2), dtype)
        strided[:, 1] = g[2]
        before = [exact(x) for x in g]
        ac.clip_grad_norm_([g[0], g[1], strided[:, 1]], limit)
        expected = by_clip("clip_norm", before, Fraction(1), limit)
        for found, wanted in zip([g[0], g[1], strided[:, 1]], expected, strict=True):
            require_close(found, wanted, dtype)
        assert not strided[:, 0].any()


def test_of_float64_gradients_the_norm_may_be_beyond_float64() -> None:
    g = np.full(400, 1.7e308)
    p = np.zeros(400)
    info = ac.SGD(p, lr=1.0, clip_norm=1e-300).step(g)
    assert info.grad_norm == math.inf
    require_close(-p, [Fraction(1e-300) / 20] * 400, F64)


def test_l2_decay_adds_to_what_is_clipped() -> None:
    g, w = np.full(4, 1e38, np.float32), np.full(4, 3e-9, np.float32)
    p = w.copy()
    ac.SGD(p, lr=1.0, clip_norm=1e-8, weight_decay=0.25).step(g)
    wanted = Fraction(1e-8) / 2 + Fraction(float(w[0])) / 4
    require_close(w - p, [wanted] * 4, F32)


@pytest.mark.parametrize(("kind", "limit", "magnitude"), RARE)
def test_bits_do_not_depend_on_isa_threads_or_layout(case: Case, kind: str, limit: float, magnitude: float) -> None:
    rng = np.random.default_rng(5)
    shapes = [(700, 200), (33, 5, 2), (1000,)]
    start = [magnitudes(rng, s).astype(F32) for s in shapes]
    grads = [(rng.uniform(-1, 1, s) * magnitude).astype(F32) for s in shapes]

    def run(order: Any) -> dict[str, bytes]:
        params = [np.array(p, order=order) for p in start]
        optimizer = make(case, params, **{kind: limit})
        for _ in range(2):
            optimizer.step([np.array(g, order=order) for g in grads], loss_scale=3.0)
        found = {f"{name}.{slot}": a.tobytes("C") for name, s in optimizer.state.items() for slot, a in s.items()}
        return {**found, "params": b"".join(p.tobytes("C") for p in params)}

    results = everywhere(run)
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("storage", [s for s in combinations() if s.state == "float32"], ids=str)
def test_every_storage_goes_with_small_factors(storage: Any) -> None:
    """A gradient clipped by a tiny factor gives the same step as its clipped values."""
    wide = F64 if storage.param == F64 else F32
    g = numbers(storage.grad, 300, min(HUGE[storage.grad], HUGE[wide]))
    limit = 1e-300 if storage.grad == wide == F64 else 1e-41
    p, q = (np.zeros(300, storage.param) for _ in range(2))
    as_read = g.astype(wide)
    ac.clip_grad_norm_(as_read, limit)
    options: dict[str, Any] = {"lr": 1.0, "momentum": 0.5, "precision": storage.precision}
    a, b = ac.SGD(p, clip_norm=limit, **options), ac.SGD(q, **options)
    a.step(g)
    b.step(as_read)
    assert everything(a) == everything(b)
