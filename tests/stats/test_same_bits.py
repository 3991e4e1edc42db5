"""Statistics have the same bits with every instruction set, number of threads, layout and grouping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everywhere, make
from reference import CASES, Case, magnitudes
from storage import BF16, F16, F32, F64
from views import OPTIONS, VIEWS

SHAPES = [(300, 40), (7,), (9001,), (), (0,), (5, 3, 300), (1, 4097)]
STORAGE: list[tuple[Any, Any, ac.Precision]] = [
    (F32, F32, ac.Precision()),
    (F32, F64, ac.Precision(state="bfloat16")),
    (F64, F64, ac.Precision()),
    (F64, BF16, ac.Precision()),
    (BF16, BF16, ac.Precision(master=None)),
    (BF16, BF16, ac.Precision(master="remainder")),
    (F16, F32, ac.Precision(master=None, rounding="compensated", state="float16")),
    (BF16, F16, ac.Precision(master=None, rounding="stochastic", seed=3)),
]


def draw(rng: np.random.Generator, dtype: Any, order: Any = "C") -> dict[str, np.ndarray]:
    return {str(i): np.array(magnitudes(rng, shape), dtype, order=order) for i, shape in enumerate(SHAPES)}


def tables(optimizer: ac.Optimizer, rng: np.random.Generator, dtype: Any, order: Any = "C", **options: Any) -> bytes:
    found = []
    for _ in range(3):
        grads = {name: None if name == "1" else g for name, g in draw(rng, dtype, order).items()}
        info = optimizer.step(grads, stats=True, **options)
        assert not info.skipped
        found += [getattr(info.stats, column) for column in info.stats.columns]
    return b"".join(column.tobytes() for column in found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("dtype", [F32, F64, BF16], ids=str)
def test_each_rule(case: Case, dtype: Any) -> None:
    def run(order: str) -> bytes:
        rng = np.random.default_rng(5)
        return tables(make(case, draw(rng, dtype, order)), rng, dtype, order)

    first, *others = everywhere(run)
    assert all(other == first for other in others)


@pytest.mark.parametrize("stored", STORAGE, ids=str)
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.1}, {"clip_value": 0.1}, {"clip_adaptive": 0.01}], ids=str)
def test_each_storage_and_clipping(stored: Any, options: dict[str, Any]) -> None:
    param, grad, precision = stored

    def run(order: str) -> bytes:
        rng = np.random.default_rng(5)
        optimizer = ac.AdamW(draw(rng, param, order), precision=precision, **options)
        return tables(optimizer, rng, grad, order, loss_scale=4.0)

    first, *others = everywhere(run)
    assert all(other == first for other in others)


OF_VIEWS = [(F32, "plain"), (F32, "clip_norm"), *((BF16, name) for name in OPTIONS)]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("dtype", "options"), OF_VIEWS)
def test_a_view_and_its_copy(view: str, options: str, dtype: Any, rng: np.random.Generator) -> None:
    select, chosen = VIEWS[view], OPTIONS[options]
    whole, grad = (np.asarray(magnitudes(rng, (90, 130)), dtype) for _ in range(2))
    copied = np.array(select(whole), order="C")
    of_view, of_copy = ac.AdamW({"p": select(whole)}, **chosen), ac.AdamW({"p": copied}, **chosen)
    for _ in range(2):
        first = of_view.step({"p": select(grad)}, stats=True).stats
        second = of_copy.step({"p": np.array(select(grad), order="C")}, stats=True).stats
        for column in first.columns:
            assert getattr(first, column).tobytes() == getattr(second, column).tobytes(), column
        assert np.array_equal(select(whole), copied)


def test_one_optimizer_or_several(rng: np.random.Generator) -> None:
    """Nor does it matter which other columns are wanted."""
    p = draw(rng, F32)
    grads = draw(rng, F32)
    together = ac.AdamW(p).step(grads, stats=True).stats
    for column in together.columns:
        for place, (name, g) in enumerate(grads.items()):
            again = draw(np.random.default_rng(20150507), F32)[name]
            alone = ac.AdamW({name: again}).step({name: g}, stats=column).stats
            assert alone.columns == (column,)
            assert getattr(alone, column)[0].tobytes() == getattr(together, column)[place].tobytes(), (column, name)


def test_many_small_arrays() -> None:
    p = {str(i): np.ones(i % 70, np.float32) for i in range(3000)}
    optimizer = ac.SGD(p, lr=0.1)
    stats = optimizer.step({name: 2 * np.ones_like(a) for name, a in p.items()}, stats=True).stats
    sizes = np.array([a.size for a in p.values()])
    assert np.isnan(stats.grad_rms[sizes == 0]).all()
    assert (stats.grad_rms[sizes > 0] == 2).all()
