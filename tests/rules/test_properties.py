"""Whatever the sizes, structure and hyper-parameters: properties that hold for every optimizer."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

import adamcore as ac
from helpers import everything, make
from reference import APART, CASES, Case

cases = st.sampled_from(CASES)
shapes = st.lists(st.integers(0, 40), max_size=3).map(tuple)
finite = st.floats(-1e6, 1e6, width=32)


def arrays(seed: int, shapes: list[tuple[int, ...]], dtype: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.array(rng.standard_normal(s) * 10.0 ** rng.integers(-6, 6), dtype) for s in shapes]


@given(
    st.sampled_from(APART),
    st.lists(shapes, min_size=1, max_size=6),
    st.integers(0, 2**32),
    st.sampled_from(["f4", "f8"]),
    st.data(),
)
def test_one_call_equals_a_call_for_each(case: Case, shapes: list, seed: int, dtype: str, data: st.DataObject) -> None:
    params = arrays(seed, shapes, dtype)
    alone = [p.copy() for p in params]
    together, apart = make(case, params), [make(case, p) for p in alone]
    for step in range(3):
        grads = arrays(seed + 1 + step, shapes, dtype)
        given_to = data.draw(st.lists(st.booleans(), min_size=len(shapes), max_size=len(shapes)))
        together.step([g if has else None for g, has in zip(grads, given_to, strict=True)])
        for optimizer, g, has in zip(apart, grads, given_to, strict=True):
            if has:
                optimizer.step(g)
    found = everything(together)
    for i, optimizer in enumerate(apart):
        for name, value in everything(optimizer).items():
            assert found[name.replace("0", str(i), 1)] == value


@given(cases, st.integers(0, 300), st.integers(0, 2**32), st.integers(1, 2**40))
def test_the_reference_agrees(case: Case, size: int, seed: int, t: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.standard_normal(size)
    g = rng.standard_normal(size)
    optimizer = make(case, q := p.copy())
    state_dict = optimizer.state_dict()
    state = case.initial_state(p)
    state_dict["state"]["0"]["step"] = t - 1
    optimizer.load_state_dict(state_dict)
    optimizer.step(g)
    expected = case.step(p, g, state, t)
    np.testing.assert_allclose(q, expected, rtol=1e-11, atol=1e-13)


@given(cases, st.floats(0, 10), st.integers(0, 2**32))
def test_zero_rate_moves_nothing(case: Case, decay: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.standard_normal(37)
    before = p.copy()
    optimizer = make(case, p, lr=0.0, weight_decay=decay)
    for _ in range(3):
        optimizer.step(rng.standard_normal(37))
    assert np.array_equal(p, before)


@given(st.lists(finite, min_size=1, max_size=70), st.floats(1e-6, 1.0))
def test_adams_first_step_is_at_most_the_rate(grads: list[float], lr: float) -> None:
    g = np.array(grads)
    p = np.zeros_like(g)
    ac.Adam(p, lr=lr).step(g)
    assert np.all(np.abs(p) <= lr * (1 + 1e-12))
    assert np.all(np.sign(p) == -np.sign(np.where(np.abs(g) * lr < 1e-200, 0, g))) or np.any(np.abs(g) < 1e-200)


@given(cases, st.integers(0, 2**32))
def test_v_stays_non_negative(case: Case, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.standard_normal(100).astype(np.float32)
    optimizer = make(case, p)
    for _ in range(10):
        g = rng.standard_normal(100) * 10.0 ** rng.integers(-30, 18, 100)
        optimizer.step(g.astype(np.float32))
    for slot in case.squares(p.shape):
        assert np.all(optimizer.state["0"][slot] >= 0)
