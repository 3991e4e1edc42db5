"""Norms and clipping on the device: the CPU's bits, in a step and without one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from clips import KINDS, SHAPES, gradients
from gpu.device import CUPY, Library, Twins, bits_of
from helpers import make
from pairs import products
from reference import CASES, Case, magnitudes
from storage import BF16, DTYPES, F16, F32, HALVES

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_global_norm(library: Library, dtype: Any, rng: np.random.Generator) -> None:
    grads = gradients(rng, dtype)
    there = [library.put(g) for g in grads]
    expected = ac.global_norm(grads)
    assert ac.global_norm(there) == expected
    assert ac.global_norm({str(i): g for i, g in enumerate(there)}) == expected
    assert ac.global_norm([None, *there, None]) == expected
    assert [ac.global_norm(g) for g in there] == [ac.global_norm(g) for g in grads]


@pytest.mark.parametrize("size", [1, 31, 32, 33, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1_000_003])
def test_the_tree_of_a_norm(size: int, rng: np.random.Generator) -> None:
    """Leaves that are full or not, levels that are even or odd; also misaligned."""
    for dtype in DTYPES:
        g = magnitudes(rng, (size,)).astype(dtype)
        assert ac.global_norm(CUPY.put(g)) == ac.global_norm(g)
        assert ac.global_norm(CUPY.shifted(g, 3)) == ac.global_norm(g)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 255, 1000])
def test_the_tree_over_tensors(count: int, rng: np.random.Generator) -> None:
    grads = [magnitudes(rng, (int(n),)).astype(F32) for n in rng.integers(0, 300, count)]
    there = [CUPY.put(g) for g in grads]
    there[::5] = [None] * len(there[::5])
    assert ac.global_norm(there) == ac.global_norm([None if there[i] is None else g for i, g in enumerate(grads)])


@pytest.mark.parametrize(
    "grads",
    [
        [np.full(4, 3e38, np.float32)],
        [np.full(4, 65504, np.float16)],
        [np.full(1, 1.7e308)],
        [np.full(4, 8e307), np.zeros(5)],
        [np.array([3e200]), np.array([4e200])],
        [np.array([3e-200, 4e-200])],
        [np.array([3e-320]), np.array([4e-320])],
        [np.array([5e-324])],
        [np.array([3e-200]), np.array([4e200])],
        [np.array([1e-46, 1e-45], np.float32)],
        [np.full(5, 1.7e308)],
        [np.array([1.0, INF]), np.ones(3)],
        [np.array([1.0, -INF]), np.array([1e200])],
        [np.array([INF, NAN])],
        [np.array([NAN], np.float16), np.array([INF])],
        [np.zeros(7)],
        [np.concatenate([np.full(5000, 1e200), np.full(5000, 1e-200)])],
    ],
    ids=str,
)
def test_the_ends_of_the_range(grads: list[np.ndarray]) -> None:
    """Sums that overflow or underflow in double are computed again with a scale, as on the CPU."""
    there = [CUPY.put(g) for g in grads]
    assert repr(ac.global_norm(there)) == repr(ac.global_norm(grads))
    twins = Twins(CUPY, lambda p: ac.SGD(p, lr=1.0, clip_norm=1.0), [np.zeros(g.shape) for g in grads])
    twins.check(twins.step(grads))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("max_norm", [0.0, 1e-3, 1.0, 1e9])
def test_clip_grad_norm(library: Library, dtype: Any, max_norm: float, rng: np.random.Generator) -> None:
    grads = gradients(rng, dtype)
    there = [library.put(g) for g in grads]
    assert ac.clip_grad_norm_(there, max_norm) == ac.clip_grad_norm_(grads, max_norm)
    assert [bits_of(library.get(g)) for g in there] == [bits_of(g) for g in grads]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_clip_grad_value(library: Library, dtype: Any, rng: np.random.Generator) -> None:
    grads = gradients(rng, dtype)
    grads[1][:3] = INF, -INF, NAN
    there = [library.put(g) for g in grads]
    ac.clip_grad_value_(grads, 0.5)
    ac.clip_grad_value_(there, 0.5)
    assert [bits_of(library.get(g)) for g in there] == [bits_of(g) for g in grads]


@pytest.mark.parametrize("bad", [INF, NAN])
def test_clip_grad_norm_leaves_what_is_not_finite(library: Library, bad: float) -> None:
    g = np.array([1.0, bad, 3.0])
    there = library.put(g)
    assert not math.isfinite(ac.clip_grad_norm_(there, 1.0))
    assert bits_of(library.get(there)) == bits_of(g)
    with pytest.raises(ac.NonFiniteError, match="the norm of the gradients is"):
        ac.clip_grad_norm_(there, 1.0, error_if_nonfinite=True)


@products(clip=KINDS, scale=[1.0, 128.0, 3.0], dtype=DTYPES)
def test_clipping_in_the_sweep(
    clip: tuple[str, float], scale: float, dtype: Any, library: Library, rng: np.random.Generator
) -> None:
    params = [np.array(magnitudes(rng, s)).astype(F32) for s in SHAPES]
    params[0][2] = 0  # a unit of zeros
    options = dict([clip])

    def build(p: list[Any]) -> ac.Optimizer:
        return ac.SGD([{"params": p[:3]}, {"params": p[3:], "maximize": True}], lr=1.0, **options)

    twins = Twins(library, build, params)
    for _ in range(2):
        twins.check(twins.step([np.array(magnitudes(rng, s)).astype(dtype) for s in SHAPES], loss_scale=scale))


@products(case=CASES, clip=KINDS, dtype=[F32, *HALVES])
def test_clipping_with_every_rule(case: Case, clip: tuple[str, float], dtype: Any, rng: np.random.Generator) -> None:
    """Gradients are not modified."""
    params = [np.array(magnitudes(rng, s)).astype(dtype) for s in SHAPES]
    options = dict([clip])
    twins = Twins(CUPY, lambda p: make(case, p, **options), params)
    for _ in range(2):
        grads = [np.array(magnitudes(rng, s)).astype(dtype) for s in SHAPES]
        there = [CUPY.put(g) for g in grads]
        infos = twins.cpu.step(grads), twins.gpu.step(there)
        twins.check(infos)
        assert [bits_of(CUPY.get(g)) for g in there] == [bits_of(g) for g in grads]


@pytest.mark.parametrize("kind", ["clip_norm", "clip_norm_per_tensor", "clip_adaptive"])
def test_what_is_not_finite_is_not_clipped(kind: str) -> None:
    options = {kind: 0.1}
    twins = Twins(CUPY, lambda p: ac.SGD(p, lr=1.0, **options), [np.zeros((2, 2)), np.ones(5)])
    infos = twins.step([np.array([[3.0, INF], [4.0, NAN]]), np.full(5, 7.0)])
    twins.check(infos)
    assert math.isnan(infos[1].grad_norm)


def test_an_infinite_limit_measures_alone(library: Library) -> None:
    p = library.put(np.zeros(2))
    assert ac.SGD(p, lr=1.0, clip_norm=INF).step(library.put(np.array([3.0, 4.0]))).grad_norm == 5
    assert np.array_equal(library.get(p), [-3, -4])


def test_large_units_and_many_units(rng: np.random.Generator) -> None:
    """Units longer than a block's share, and more of them than blocks."""
    for shape in ((3, 100_003), (70_001, 2), (5000, 1), (2, 5000, 3)):
        twins = Twins(CUPY, lambda p: ac.AdamW(p, clip_adaptive=0.01), [magnitudes(rng, shape).astype(F32)])
        twins.check(twins.step([magnitudes(rng, shape).astype(BF16)]))
    big = magnitudes(rng, (1_000_003,)).astype(F16)
    for kind, limit in KINDS:
        twins = Twins(CUPY, lambda p, k=kind, m=limit: make(CASES[4], p, **{k: m}), [big, big[:7], big[:0]])
        twins.check(twins.step([big, big[:7], big[:0]]))
