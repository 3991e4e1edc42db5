"""Every rule against the float64 reference, element by element."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core
from helpers import make, ulp
from pairs import EXHAUSTIVE, products
from reference import CASES, Case, magnitudes
from steps import check_one_step

WIDTH = 16  # floats in the widest register
SIZES = [0, 1, 3, 4, 5, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH + 3, 4097]


@products(case=CASES, dtype=[np.float32, np.float64], size=SIZES, t=[1, 2, 1000])
def test_one_step(case: Case, dtype: type, size: int, t: int, rng: np.random.Generator) -> None:
    check_one_step(case, dtype, [(size,)], t, rng)


def test_one_step_on_many_elements(case: Case, dtype: type, rng: np.random.Generator) -> None:
    check_one_step(case, dtype, [(1_000_000 if EXHAUSTIVE else 100_003,)], 7, rng)


def test_one_step_on_every_isa(case: Case, dtype: type, isa: str, rng: np.random.Generator) -> None:
    assert _core.isa() == isa
    check_one_step(case, dtype, [(4097,)], 3, rng)


def test_trajectory_from_the_start(case: Case, dtype: type, rng: np.random.Generator) -> None:
    """The conventions of the first step and the initial state, and 200 steps after it.

    A number of the optimizer that grows by differences of weights has their rounding errors: test_sums.py has bounds.
    """
    p = magnitudes(rng, (3, 7)).astype(dtype)
    expected, state = p.astype(np.float64), case.initial_state(p)
    optimizer = make(case, p)
    for t in range(1, 2 if case.is_joint else 201):
        g = (magnitudes(rng, p.shape) + 0.1).astype(dtype)
        expected = case.step(expected, g, state, t, dtype=dtype)
        optimizer.step(g)
        if t == 1:
            tolerance = 1e-6 if dtype == np.float32 else 1e-14
            np.testing.assert_allclose(p, expected, rtol=tolerance, atol=tolerance * 0.1)
    tolerance = 2e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(p, expected, rtol=tolerance, atol=tolerance * 0.1)
    for slot, array in optimizer.state["0"].items():
        np.testing.assert_allclose(array, state[slot], rtol=tolerance, atol=tolerance * 0.1)


def test_dampening_spares_the_first_step() -> None:
    p = np.zeros(5)
    optimizer = ac.SGD(p, lr=1.0, momentum=0.5, dampening=0.25)
    optimizer.step(np.ones(5))
    assert np.all(p == -1)
    optimizer.step(np.ones(5))
    assert np.all(optimizer.state["0"]["momentum_buffer"] == 0.5 + 0.75)


@pytest.mark.parametrize("beta2", [0.9, 0.999, 0.999999])
@pytest.mark.parametrize("t", [1, 2, 10, 986, 987, 2**24 + 1, 2**31 - 1, 2**31, 2**31 + 1])
def test_bias_correction(t: int, beta2: float) -> None:
    """With v = 0 and beta1 = 0 a step is lr g / (|g| sqrt((1 - beta2) / (1 - beta2^t))), which shows the correction."""
    p = np.zeros(20)
    ac.functional.adam(p, np.ones(20), np.zeros(20), np.zeros(20), t=t, lr=1.0, betas=(0.0, beta2), eps=0.0)
    correction = p[0] ** 2 * (1 - beta2)
    assert correction == pytest.approx(-np.expm1(t * np.log(beta2)), rel=1e-9)


@pytest.mark.parametrize("done", [2**24 - 1, 2**24, 2**31 - 1, 2**31, 2**40])
def test_counters_do_not_stop(done: int, rng: np.random.Generator) -> None:
    p = np.ones(20, np.float32)
    optimizer = ac.AdamW(p)
    state = optimizer.state_dict()
    state["state"]["0"]["step"] = done
    optimizer.load_state_dict(state)
    for _ in range(3):
        optimizer.step(rng.standard_normal(20).astype(np.float32))
    assert optimizer.steps["0"] == done + 3


def test_weight_decay_keeps_its_digits() -> None:
    """At lr wd = 1e-6, 1 - lr wd has one digit in float32; 1000 steps decay by the right amount nevertheless."""
    p = np.full(64, 1.0, np.float32)
    optimizer = ac.AdamW(p, lr=1e-3, weight_decay=1e-3)
    decayed = p.astype(np.float64)
    for _ in range(1000):
        optimizer.step(np.zeros(64, np.float32))
        decayed *= 1 - 1e-6
    assert np.all(np.abs(p - decayed) < 1000 * ulp(decayed, np.float32))


def test_steady_gradients_keep_centered_rmsprop_finite() -> None:
    """The variance of a constant is 0, and rounding may take it below."""
    p = np.zeros(33, np.float32)
    optimizer = ac.RMSprop(p, lr=1e-9, centered=True)
    for _ in range(2000):
        optimizer.step(np.full(33, 0.3, np.float32))
    assert np.all(np.isfinite(p))


def test_amsgrad_keeps_the_largest_second_moment() -> None:
    p = np.zeros(17, np.float32)
    optimizer = ac.Adam(p, amsgrad=True)
    optimizer.step(np.full(17, 10, np.float32))
    largest = optimizer.state["0"]["max_exp_avg_sq"].copy()
    for _ in range(100):
        optimizer.step(np.full(17, 0.01, np.float32))
    assert np.all(optimizer.state["0"]["max_exp_avg_sq"] == largest)
    assert np.all(optimizer.state["0"]["exp_avg_sq"] < largest)


def test_second_moments_are_never_negative(case: Case, rng: np.random.Generator) -> None:
    p = magnitudes(rng, (1000,)).astype(np.float32)
    optimizer = make(case, p)
    for _ in range(50):
        optimizer.step((magnitudes(rng, p.shape) * 10.0 ** rng.integers(-25, 8)).astype(np.float32))
    for slot in case.squares(p.shape):
        assert np.all(optimizer.state["0"][slot] >= 0)


def test_zero_gradients_stay_finite(case: Case, dtype: type) -> None:
    p = np.ones(35, dtype)
    optimizer = make(case, p)
    for _ in range(3):
        optimizer.step(np.zeros(35, dtype))
    assert np.all(np.isfinite(p))


def test_subnormals_survive(case: Case, isa: str) -> None:  # noqa: ARG001
    p = np.full(40, 1e-39, np.float32)
    optimizer = make(case, p, lr=0.0)
    optimizer.step(np.full(40, 1e-39, np.float32))
    assert np.all(p == np.float32(1e-39))


def test_defaults_are_those_of_the_rules() -> None:
    """C++ defines the names of fields and slots; Python's signatures and the reference use the same names."""
    covered = set()
    for case, shape in itertools.product(CASES, [(3,), (2, 3)]):
        optimizer = make(case, np.ones(shape))
        rule = case.rule(shape)
        covered.add(rule["name"])
        assert tuple(rule["slots"]) == case.names(shape)
        assert tuple(optimizer.state["0"]) == case.names(shape)
        assert tuple(optimizer.numbers) == tuple(rule["numbers"]) == tuple(case.numbers)
        signature = inspect.signature(type(optimizer)).parameters
        for name, preset in rule["fields"].items():
            tuple_name, place = (rule["hyper"][name][key] for key in ("tuple", "place"))
            default = signature[tuple_name].default[place] if tuple_name else signature[name].default
            assert default == preset
            assert isinstance(default, bool) == isinstance(preset, bool)
        assert {k: v.default for k, v in signature.items() if k in case.presets} == case.presets
    assert covered == set(_core.rules())
