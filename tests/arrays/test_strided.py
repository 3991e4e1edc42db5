"""Parameters and gradients with any strides: the same bits as with contiguous copies, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adamcore as ac
from helpers import make
from pairs import products
from reference import CASES, Case, magnitudes
from storage import BF16, DTYPES, F16, F32
from views import OPTIONS, VIEWS


def both(view: str, dtype: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Memory, a view of it, and the view's contiguous copy."""
    memory = magnitudes(rng, (61, 53)).astype(dtype)
    strided = VIEWS[view](memory)
    return memory, strided, np.array(strided, order="C")


def outside(memory: np.ndarray, view: str) -> np.ndarray:
    chosen = np.zeros(memory.shape, bool)
    VIEWS[view](chosen)[...] = True
    return memory[~chosen]


@products(case=[CASES[5], CASES[8], CASES[12]], view=VIEWS, options=OPTIONS)
def test_views_equal_their_copies(case: Case, view: str, options: str, rng: np.random.Generator) -> None:
    """Parameter and gradient strided, each beside a contiguous other one, for each rule's most stateful variant."""
    dtype = BF16 if "precision" in OPTIONS[options] else F32
    memory, param, copy = both(view, dtype, rng)
    before = outside(memory, view).tobytes()
    optimizer, reference = (make(case, p, **OPTIONS[options]) for p in (param, copy))
    for k in range(4):
        grad_memory, grad, grad_copy = both(view, dtype, rng)
        frozen = grad_memory.tobytes()
        info = optimizer.step(grad_copy if k == 1 else grad)
        assert info == reference.step(grad if k == 2 else grad_copy)
        assert grad_memory.tobytes() == frozen
        assert param.tobytes() == copy.tobytes()
        for slot, array in optimizer.state["0"].items():
            assert array.tobytes() == reference.state["0"][slot].tobytes(), slot
    assert outside(memory, view).tobytes() == before


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_and_rule(case: Case, dtype: Any, rng: np.random.Generator) -> None:
    for grad_dtype in (F32, F16):
        memory, param, copy = both("axes swapped, steps back", dtype, rng)
        optimizer, reference = make(case, param), make(case, copy)
        for _ in range(2):
            _, grad, grad_copy = both("axes swapped, steps back", grad_dtype, rng)
            optimizer.step(grad)
            reference.step(grad_copy)
        assert param.tobytes() == copy.tobytes()
        assert np.all(np.isfinite(memory.astype(np.float32)))


@given(data=st.data())
def test_any_view(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))

    def view(memory: np.ndarray) -> np.ndarray:
        index = tuple(slice(None, None, data.draw(st.sampled_from([1, -1, 2, -2, 3]))) for _ in shape)
        order = data.draw(st.permutations(range(len(shape))))
        return memory[index].transpose(order)

    param = view(magnitudes(rng, tuple(shape)))
    copy = param.copy()
    grad = (
        np.broadcast_to(magnitudes(rng, param.shape[1:]), param.shape)
        if data.draw(st.booleans())
        else magnitudes(rng, param.shape)
    )
    a, b = ac.AdamW(param, lr=0.1), ac.AdamW(copy, lr=0.1)
    for _ in range(2):
        a.step(grad)
        b.step(grad.copy())
    assert np.array_equal(param, copy)
    assert np.array_equal(a.state["0"]["exp_avg"], b.state["0"]["exp_avg"])


def test_threads(rng: np.random.Generator) -> None:
    memory = magnitudes(rng, (1200, 700)).astype(F32)
    views = [memory[:, ::2].T, memory[:, 1::2]]
    copies = [np.ascontiguousarray(v) for v in views]
    ac.set_num_threads(4)
    a = ac.AdamW(views)
    ac.set_num_threads(4)
    b = ac.AdamW(copies)
    for _ in range(3):
        grads = [magnitudes(rng, v.shape).astype(F32) for v in views]
        a.step(grads)
        b.step([np.asfortranarray(g) for g in grads])
    assert [v.tobytes() for v in views] == [c.tobytes() for c in copies]


def test_interleaved_parameters_do_not_share_memory() -> None:
    memory = np.ones((40, 6), F32)
    columns = [memory[:, k] for k in range(5)]
    optimizer = ac.SGD(columns, lr=1.0)
    grads = np.full((5, 40), 0.5, F32)
    optimizer.step(list(grads))
    assert np.all(memory[:, :5] == 0.5)
    assert np.all(memory[:, 5] == 1)
    optimizer.step([memory[:, 5]] * 5)  # apart from all of them, though between them
    assert np.all(memory[:, :5] == -0.5)
    with pytest.raises(ValueError, match=r"grads\[2\]: shares memory with params\[3\]"):
        optimizer.step([*grads[:2], memory[:, 3], *grads[3:]])
    with pytest.raises(ValueError, match=r"params\[1\]: shares memory with params\[0\]"):
        ac.SGD([memory[::2], memory[::3]])
    with pytest.raises(ValueError, match=r"params\[1\]: shares memory with params\[0\]"):
        ac.SGD([memory, memory[:, 2]])
    ac.SGD([memory[::2], memory[1::2]]).step([np.ones((20, 6), F32)] * 2)


def test_broadcast_gradients(case: Case) -> None:
    p, q = np.ones((30, 20), F32), np.ones((30, 20), F32)
    row = np.arange(20, dtype=F32)
    make(case, p).step(np.broadcast_to(row, (30, 20)))
    make(case, q).step(np.tile(row, (30, 1)))
    assert p.tobytes() == q.tobytes()


def test_fields_of_records() -> None:
    records = np.zeros(50, [("a", "f4"), ("b", "f8"), ("c", "f4")])
    records["a"] = records["b"] = records["c"] = 1
    ac.SGD(records["c"], lr=1.0).step(np.full(50, 0.25, F32))
    assert np.all(records["a"] == 1)
    assert np.all(records["b"] == 1)
    assert np.all(records["c"] == 0.75)


def test_functional_takes_views(rng: np.random.Generator) -> None:
    memory = magnitudes(rng, (20, 30)).astype(F32)
    p = memory.T[::2]
    q, g = p.copy(), magnitudes(rng, p.shape).astype(F32)
    m, v = np.zeros(p.shape, F32), np.zeros(p.shape, F32)
    n, w = np.zeros(p.shape, F32), np.zeros(p.shape, F32)
    ac.functional.adam(p, np.asfortranarray(g), m, v, t=1)
    ac.functional.adam(q, g, n, w, t=1)
    assert np.array_equal(p, q)
    assert np.array_equal(m, n)
    with pytest.raises(ValueError, match="exp_avg: a state array must be dense"):
        ac.functional.adam(q, g, np.zeros((15, 40), F32)[:, ::2], w, t=1)
    with pytest.raises(ValueError, match="exp_avg_sq: the axes are in another order"):
        ac.functional.adam(q, g, n, np.asfortranarray(w), t=1)
    with pytest.raises(TypeError, match="exp_avg_sq: dtype float16 differs from the state before it"):
        ac.functional.adam(q, g, n, w.astype(F16), t=1)
