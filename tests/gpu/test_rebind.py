"""`rebind` on the device, as on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from gpu.device import CUPY, Library, Twins
from pairs import products
from reference import magnitudes
from storage import BF16, F16, F32, F64

SHAPES = [(1037,), (1,), (0,), (), (33, 5)]


def draw(rng: np.random.Generator, dtype: Any) -> list[np.ndarray]:
    return [np.array(magnitudes(rng, shape)).astype(dtype) for shape in SHAPES]


def rebind(twins: Twins, library: Library, dtype: Any, place: Any = None) -> None:
    found = [np.array(p).astype(dtype) for p in twins.cpu.param_groups[0]["params"]]
    twins.cpu.rebind(found)
    twins.gpu.rebind([(place or library.put)(p) for p in found])


@products(
    precision=[{}, {"master": "remainder"}, {"master": None, "rounding": "compensated"}],
    options=[{}, {"clip_norm": 1.0}, {"nonfinite": "skip"}],
    offset=[0, 3],
)
def test_bits_of_the_cpu(precision: Any, options: Any, offset: int, library: Library, rng: np.random.Generator) -> None:
    twins = Twins(library, lambda p: ac.AdamW(p, precision=ac.Precision(**precision), **options), draw(rng, BF16))
    for t in range(4):
        grads: list[Any] = draw(rng, F32)
        grads[t] = None
        twins.check(twins.step(grads))
        rebind(twins, library, BF16, (lambda p: library.shifted(p, offset)) if t % 2 else None)
        twins.check()


@products(dtypes=[(F32, F64), (F64, F32), (F32, F16), (F16, BF16), (BF16, F32), (F64, BF16)])
def test_other_dtypes(dtypes: Any, library: Library, rng: np.random.Generator) -> None:
    old, new = dtypes
    twins = Twins(library, lambda p: ac.SGD(p, lr=0.1, momentum=0.9, dampening=0.5), draw(rng, old))
    twins.step([None, *draw(rng, old)[1:]])
    rebind(twins, library, new)
    twins.check()
    for _ in range(2):
        twins.check(twins.step(draw(rng, new)))


def test_graphs_go_on_with_the_former_arrays(library: Library, rng: np.random.Generator) -> None:
    old = [library.put(p) for p in draw(rng, F32)]
    optimizer = ac.SGD(old, lr=1.0)
    grads = [library.put(np.ones(shape, np.float32)) for shape in SHAPES]
    optimizer.step(grads)
    replay = library.capture(lambda: optimizer.step(grads))
    new = [library.put(library.get(p)) for p in old]
    optimizer.rebind(new)
    before = [library.get(p).copy() for p in new]
    replay()
    assert all(np.array_equal(library.get(p), b - 1) for p, b in zip(old, before, strict=True))
    assert all(np.array_equal(library.get(p), b) for p, b in zip(new, before, strict=True))
    optimizer.step(grads)
    assert all(np.array_equal(library.get(p), b - 1) for p, b in zip(new, before, strict=True))
    assert optimizer.steps["0"] == 2


def test_bad_arrays_change_nothing(rng: np.random.Generator) -> None:
    twins = Twins(CUPY, ac.Adam, draw(rng, F32))
    twins.step(draw(rng, F32))
    good = [CUPY.put(p) for p in draw(rng, F32)]
    for bad in ([*good[:4], CUPY.put(np.ones((5, 33), np.float32))], [*good[:4], np.ones((33, 5), np.float32)]):
        with pytest.raises((TypeError, ValueError), match=r"params\[4\]"):
            twins.gpu.rebind(bad)
        twins.check()
    twins.check(twins.step(draw(rng, F32)))
