"""Curvature and escapes on a device: the CPU's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import escape
from gpu.device import CUPY, TORCH, Library, Twins, assert_same, everything
from helpers import make
from pairs import products
from reference import CASES, Case
from storage import BF16, F16, F32, F64

SHAPES = [(33, 5), (1037,), ()]
LIBRARIES = [CUPY, TORCH]


def draw(rng: np.random.Generator, dtype: Any) -> list[np.ndarray]:
    return [np.array(rng.normal(size=shape)).astype(dtype) for shape in SHAPES]


def both(twins: Twins) -> Any:
    """Each optimizer, with what makes NumPy's arrays of its arrays, and back."""
    library = twins.library
    return (twins.cpu, np.asarray, np.asarray), (twins.gpu, library.get, library.put)


@products(case=CASES, dtype=[F32, F64, BF16, F16], library=LIBRARIES)
def test_noise_and_restarts(case: Case, dtype: Any, library: Library, rng: np.random.Generator) -> None:
    twins = Twins(library, lambda p: make(case, p), draw(rng, dtype))
    twins.check(twins.step(draw(rng, dtype)))
    for opt, _, _ in both(twins):
        escape.perturb(opt, seed=3, radius=0.1)
    assert_same(everything(twins.cpu, np.asarray), everything(twins.gpu, library.get))
    twins.check(twins.step(draw(rng, dtype)))
    for opt, _, put in both(twins):
        escape.restart(opt, lambda r, put=put: [put(a) for a in draw(r, dtype)], seed=5)
    assert_same(everything(twins.cpu, np.asarray), everything(twins.gpu, library.get))
    twins.check(twins.step(draw(rng, dtype)))


@pytest.mark.parametrize("library", LIBRARIES, ids=str)
@pytest.mark.parametrize("dtype", [F32, F64])
def test_curvature_and_the_way_along_it(library: Library, dtype: Any, rng: np.random.Generator) -> None:
    twins = Twins(library, lambda p: ac.AdamW(p, lr=0.01), draw(rng, dtype))
    twins.check(twins.step(draw(rng, dtype)))
    found = []
    for opt, read, put in both(twins):

        def loss_and_grad(params: Any, _: Any, read: Any = read, put: Any = put) -> tuple[float, Any]:
            a, b, c = (read(p) for p in params)
            loss = float(np.add.reduce(np.square(a), axis=None) - np.add.reduce(np.square(b)) + c**4)
            return loss, [put(2 * a), put(-2 * b), put(4 * c**3)]

        before = everything(opt, read)
        mon = ac.Monitor(opt)
        curvature = mon.curvature(loss_and_grad, None)
        assert_same(before, everything(opt, read))
        act = escape.along_curvature(opt, loss_and_grad, None, seed=1)
        found.append((curvature.min, curvature.max, curvature.fall, act.numbers, [a.kind for a in mon.acts]))
    assert found[0] == found[1]
    assert found[0][-1] == ["along_curvature"]
    assert_same(everything(twins.cpu, np.asarray), everything(twins.gpu, library.get))
    twins.check(twins.step(draw(rng, dtype)))
