"""Norms and clipping, without an optimizer and in a step. Steps never modify gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from clips import KINDS, SHAPES, SIZES, gradients
from helpers import everything, everywhere, make
from reference import CASES, Case, magnitudes
from storage import BF16, DTYPES, F16, F32, F64, HALVES

INF, NAN = math.inf, math.nan


def wide_norm(arrays: list[np.ndarray]) -> float:
    return math.sqrt(math.fsum(float(x) ** 2 for a in arrays for x in a.astype(np.float64).ravel()))


def tree_norm(arrays: list[np.ndarray]) -> float:
    """The sum as cpp/include/adamcore/norm.hpp documents it: 32 lanes, leaves of 4096, then pairs."""

    def pairs(terms: list[float]) -> float:
        while len(terms) > 1:
            odd = [terms[-1]] if len(terms) % 2 else []
            terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)] + odd
        return terms[0] if terms else 0.0

    def leaf(x: np.ndarray) -> float:
        squares = np.zeros(-(-x.size // 32) * 32)
        squares[: x.size] = x**2
        lanes = np.zeros(32)
        for row in squares.reshape(-1, 32):
            lanes = lanes + row
        while lanes.size > 1:
            lanes = lanes[: lanes.size // 2] + lanes[lanes.size // 2 :]
        return float(lanes[0])

    flat = [a.astype(np.float64).ravel() for a in arrays if a.size]
    return math.sqrt(pairs([pairs([leaf(x[i : i + 4096]) for i in range(0, x.size, 4096)]) for x in flat]))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_norm(dtype: np.dtype, isa: str, rng: np.random.Generator) -> None:  # noqa: ARG001
    grads = gradients(rng, dtype)
    norm = ac.global_norm(grads)
    assert norm == pytest.approx(wide_norm(grads), rel=1e-14)
    assert norm == tree_norm(grads)
    for threads in (1, 2, 5, 16):
        ac.set_num_threads(threads)
        assert ac.global_norm({str(i): g for i, g in enumerate(grads)}) == norm
    assert ac.global_norm([None, *grads, None]) == norm
    for info in (
        ac.SGD([np.zeros(n, F32) for n in SIZES], clip_norm=1.0).step(grads),
        ac.SGD([{"params": [np.zeros(n, F32) for n in SIZES[k : k + 2]]} for k in (0, 2, 4)], clip_norm=1.0).step(
            grads
        ),
        ac.SGD([np.zeros(n, F32) for n in SIZES], nonfinite="raise").step(grads),
    ):
        assert info.grad_norm == norm


def test_norm_of_views_is_that_of_their_copies(rng: np.random.Generator) -> None:
    a = rng.standard_normal((37, 41, 13))
    for view in (
        a.T,
        a[::2, ::-1],
        a[:, 3:5, 1:],
        np.asfortranarray(a),
        a.transpose(1, 0, 2)[::-1],
        np.broadcast_to(a[0], a.shape),
    ):
        assert ac.global_norm(view) == ac.global_norm(np.ascontiguousarray(view))


@pytest.mark.parametrize(
    ("grads", "expected"),
    [
        ([np.full(4, 3e38, np.float32)], 2 * float(np.float32(3e38))),
        ([np.full(4, 65504, np.float16)], 131008.0),
        ([np.full(1, 1.7e308)], 1.7e308),
        ([np.full(4, 8e307), np.zeros(5)], 1.6e308),
        ([np.array([3e200]), np.array([4e200])], 5e200),
        ([np.array([3e-200, 4e-200])], 5e-200),
        ([np.array([3e-320]), np.array([4e-320])], 5e-320),
        ([np.array([5e-324])], 5e-324),
        ([np.array([3e-200]), np.array([4e200])], 4e200),
        ([np.array([1e-46, 1e-45], np.float32)], float(np.float32(1e-45))),
        ([np.full(5, 1.7e308)], INF),
        ([np.array([1.0, INF]), np.ones(3)], INF),
        ([np.array([1.0, -INF]), np.array([1e200])], INF),
        ([np.array([INF, NAN])], NAN),
        ([np.array([NAN], np.float16), np.array([INF])], NAN),
        ([np.zeros(7)], 0.0),
        ([], 0.0),
    ],
    ids=str,
)
def test_norms_at_the_ends_of_the_range(grads: list[np.ndarray], expected: float) -> None:
    assert ac.global_norm(grads) == pytest.approx(expected, rel=1e-14, nan_ok=True)
    if not math.isnan(expected) and all(np.all(np.isfinite(g.astype(np.float64))) for g in grads):
        params = [np.zeros(g.shape) for g in grads]
        if params:
            info = ac.SGD(params, lr=1.0, clip_norm=1.0, nonfinite="raise").step(grads)
            assert not info.skipped
            assert math.sqrt(sum(float(np.sum(p**2)) for p in params)) == pytest.approx(min(expected, 1.0), rel=2e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 1e9])
def test_clip_grad_norm(dtype: np.dtype, max_norm: float, rng: np.random.Generator) -> None:
    grads = gradients(rng, dtype)
    before = [g.copy() for g in grads]
    norm = ac.clip_grad_norm_(grads, max_norm)
    assert norm == ac.global_norm(before)
    factor = min(1.0, max_norm / (norm + 1e-6))
    scalar = np.float64 if dtype == F64 else np.float32
    for g, old in zip(grads, before, strict=True):
        assert np.array_equal(g, (old.astype(scalar) * scalar(factor)).astype(dtype))


def test_clip_grad_norm_of_views_and_what_it_leaves(rng: np.random.Generator) -> None:
    whole = rng.standard_normal((8, 10)).astype(np.float32)
    before = whole.copy()
    norm = ac.clip_grad_norm_([whole[::2, 1::3], whole[1::2].T], 0.5)
    chosen = np.zeros(whole.shape, bool)
    chosen[::2, 1::3] = chosen[1::2] = True
    assert norm == pytest.approx(np.linalg.norm(before[chosen]), rel=1e-6)
    assert np.array_equal(whole[~chosen], before[~chosen])
    assert np.allclose(whole[chosen], before[chosen] * (0.5 / norm), rtol=1e-5)


@pytest.mark.parametrize("bad", [INF, NAN])
def test_clip_grad_norm_leaves_what_is_not_finite(bad: float) -> None:
    g = np.array([1.0, bad, 3.0])
    before = g.tobytes()
    assert not math.isfinite(ac.clip_grad_norm_(g, 1.0))
    assert g.tobytes() == before
    with pytest.raises(ac.NonFiniteError, match="the norm of the gradients is"):
        ac.clip_grad_norm_(g, 1.0, error_if_nonfinite=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_clip_grad_value(dtype: np.dtype, rng: np.random.Generator) -> None:
    grads = gradients(rng, dtype)
    grads[1][:3] = INF, -INF, NAN
    expected = [np.clip(g.astype(np.float64), -0.5, 0.5) for g in grads]
    ac.clip_grad_value_(grads, 0.5)
    for g, e in zip(grads, expected, strict=True):
        assert np.array_equal(g.astype(np.float64), e, equal_nan=True)


def test_what_does_not_fit_is_refused_by_name() -> None:
    good = np.ones(3)
    frozen = np.ones(3)
    frozen.flags.writeable = False
    for call in (lambda g: ac.clip_grad_norm_(g, 1.0), lambda g: ac.clip_grad_value_(g, 1.0)):
        for bad, error, match in (
            ([good, frozen], ValueError, r"^grads\[1\]: the array is read-only"),
            ({"a": good, "b": [1.0]}, TypeError, r"^grads\['b'\]: expected a NumPy array"),
            ([good, good[1:]], ValueError, r"^grads\[1\]: shares memory with grads\[0\]"),
            (3.0, TypeError, "^grads: expected a NumPy array"),
            ({1, 2}, TypeError, "^grads: expected an ordered collection of arrays"),
        ):
            with pytest.raises(error, match=match):
                call(bad)
    assert np.all(good == 1)
    for value in (-1.0, NAN):
        with pytest.raises(ValueError, match="max_norm must be a number >= 0"):
            ac.clip_grad_norm_(good, value)
        with pytest.raises(ValueError, match="value must be a number >= 0"):
            ac.clip_grad_value_(good, value)
    with pytest.raises(TypeError, match="max_norm must be a number"):
        ac.clip_grad_norm_(good, None)


# --- in the sweep


def by_hand(kind: str, limit: float, params: list[np.ndarray], grads: list[np.ndarray]) -> list[np.ndarray]:
    """Gradients clipped in float64."""
    wide = [g.astype(np.float64) for g in grads]
    if kind == "clip_norm":
        factor = min(1.0, limit / (wide_norm(wide) + 1e-6))
        return [g * factor for g in wide]
    if kind == "clip_norm_per_tensor":
        return [g * min(1.0, limit / (wide_norm([g]) + 1e-6)) for g in wide]
    if kind == "clip_value":
        return [np.clip(g, -limit, limit) for g in wide]
    clipped = []
    for p, g in zip(params, wide, strict=True):
        axes = tuple(range(1, g.ndim)) if g.ndim > 1 else None
        norms = [np.sqrt(np.sum(a.astype(np.float64) ** 2, axis=axes, keepdims=True)) for a in (p, g)]
        most = np.maximum(norms[0], 1e-3) * limit
        clipped.append(np.where(norms[1] > most, g * (most / np.maximum(norms[1], 1e-6)), g))
    return clipped


@pytest.mark.parametrize(("kind", "limit"), KINDS)
@pytest.mark.parametrize("scale", [1.0, 128.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_clipping_in_the_sweep(
    kind: str, limit: float, scale: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    """SGD with a rate of 1 shows the gradient that the rule receives. Gradients are not modified."""
    params = [np.array(magnitudes(rng, s), np.float64) for s in SHAPES]
    params[0][2] = 0
    before = [p.copy() for p in params]
    grads = [np.asarray(magnitudes(rng, s)).astype(dtype) for s in SHAPES]
    frozen = [g.tobytes() for g in grads]
    optimizer = ac.SGD([{"params": params[:3]}, {"params": params[3:], "maximize": True}], lr=1.0, **{kind: limit})
    optimizer.step(grads, loss_scale=scale)
    expected = by_hand(kind, limit, before, [g.astype(np.float64) / scale for g in grads])
    for i, (p, old, e) in enumerate(zip(params, before, expected, strict=True)):
        np.testing.assert_allclose(p, old - e if i < 3 else old + e, rtol=1e-12, atol=1e-14)
    assert [g.tobytes() for g in grads] == frozen


@pytest.mark.parametrize(("kind", "limit"), KINDS)
def test_clipping_with_every_rule(case: Case, kind: str, limit: float, rng: np.random.Generator) -> None:
    p, q = ([np.full(s, 0.5) for s in SHAPES] for _ in range(2))
    a, b = make(case, p, **{kind: limit}), make(case, q)
    for _ in range(3):
        grads = [np.asarray(magnitudes(rng, s)) for s in SHAPES]
        clipped = by_hand(kind, limit, p, grads)
        a.step(grads)
        b.step([np.ascontiguousarray(g).reshape(s) for g, s in zip(clipped, SHAPES, strict=True)])
    for x, y in zip(p, q, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("kind", "limit"), KINDS)
@pytest.mark.parametrize("dtype", [F32, *HALVES], ids=str)
def test_bits_do_not_depend_on_isa_threads_or_layout(kind: str, limit: float, dtype: np.dtype) -> None:
    rng = np.random.default_rng(5)
    shapes = [(700, 300), (33, 5, 2), (1000,)]
    start = [magnitudes(rng, s).astype(dtype) for s in shapes]
    grads = [[magnitudes(rng, s).astype(dtype) for s in shapes] for _ in range(3)]

    def run(order: Any) -> dict[str, bytes]:
        params = [np.array(p, order=order) for p in start]
        optimizer = ac.AdamW(params, **{kind: limit})
        infos = [optimizer.step([np.array(g, order=order) for g in each]) for each in grads]
        found = {f"{name}.{slot}": a.tobytes("C") for name, s in optimizer.state.items() for slot, a in s.items()}
        return {**found, "params": b"".join(p.tobytes("C") for p in params), "infos": repr(infos).encode()}

    results = everywhere(run)
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("kind", ["clip_norm", "clip_norm_per_tensor", "clip_adaptive"])
def test_what_is_not_finite_is_not_clipped(kind: str) -> None:
    p = np.zeros((2, 2))
    info = ac.SGD(p, lr=1.0, **{kind: 0.1}).step(np.array([[3.0, INF], [4.0, NAN]]))
    assert math.isnan(info.grad_norm)
    assert np.array_equal(p, [[-3, -INF], [-4, NAN]], equal_nan=True)


def test_an_infinite_limit_measures_alone() -> None:
    p = np.zeros(2)
    assert ac.SGD(p, lr=1.0, clip_norm=INF).step(np.array([3.0, 4.0])).grad_norm == 5
    assert np.array_equal(p, [-3, -4])


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS])
def test_bad_limits(kind: str) -> None:
    for bad, error in ((0.0, ValueError), (-1.0, ValueError), (NAN, ValueError), ("x", TypeError)):
        with pytest.raises(error, match=f"SGD: {kind} must be a number > 0"):
            ac.SGD(np.ones(3), **{kind: bad})


def test_one_way_of_clipping() -> None:
    with pytest.raises(ValueError, match="clip_norm and clip_value cannot be combined"):
        ac.SGD(np.ones(3), clip_norm=1.0, clip_value=1.0)
    with pytest.raises(TypeError, match="unexpected argument 'clipnorm'"):
        ac.SGD(np.ones(3), clipnorm=1.0)


def test_clipping_and_skipping_together(rng: np.random.Generator) -> None:
    for dtype in (F16, BF16, F32):
        p = [magnitudes(rng, (300,)).astype(dtype), magnitudes(rng, (5000,)).astype(dtype)]
        for kind, limit in KINDS:
            optimizer = make(CASES[4], p, nonfinite="skip", **{kind: limit})
            before = everything(optimizer)
            g = [np.ones(300, dtype), np.ones(5000, dtype)]
            g[1][4500] = INF
            assert optimizer.step(g).skipped
            assert everything(optimizer) == before
