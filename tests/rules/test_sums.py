"""Rules with sums over tensors, rows, columns or all tensors, beside the float64 reference."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import make
from pairs import EXHAUSTIVE, products
from reference import CASES, MORE, Case, ReferenceOptimizer
from steps import check_one_step, random_arrays

SUMMED = [case for case in CASES if not case.is_elementwise]
ALL = SUMMED + MORE
MANY = ALL if EXHAUSTIVE else SUMMED
SHAPES = [(), (1,), (7,), (33,), (5, 7), (1, 9), (13, 1), (3, 4, 5), (2, 3, 2, 7), (70, 3), (3, 130), (4, 3), (6,)]
"""From 0-d to 4-d. One more tensor of the last but one shape is wholly zero, one of the last has zero gradients."""
STEPS = 20
DISTURBED = 5


@products(case=ALL, dtype=[np.float32, np.float64], t=[1, 2, 1000])
def test_one_step(case: Case, dtype: type, t: int, rng: np.random.Generator) -> None:
    check_one_step(case, dtype, SHAPES, t, rng)


@products(case=MANY, dtype=[np.float32, np.float64], shape=[(300, 700), (64, 65, 3), (4097,)])
def test_one_step_on_large_tensors(case: Case, dtype: type, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    check_one_step(case, dtype, [shape, (0, 3), (2, 0), (3,)], 7, rng)


def start(dtype: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    params = random_arrays(rng, SHAPES, dtype)
    params[str(len(SHAPES) - 2)][...] = 0
    return params


def gradients(dtype: Any, rng: np.random.Generator) -> list[dict[str, np.ndarray | None]]:
    """Gradients of many steps: some are missing, some zero, and all of them are zero in one step."""
    found: list[dict[str, np.ndarray | None]] = []
    for t in range(STEPS):
        grads: dict[str, Any] = random_arrays(rng, SHAPES, dtype)
        grads[str(len(SHAPES) - 1)][...] = 0
        grads["3"][:: 2 + t % 3] = 0
        if t < 2:
            grads["4"][...] = 0
        if t == 7:
            grads = {name: 0 * g for name, g in grads.items()}
        if t % 6 == 3:
            grads["1"] = grads["9"] = None
        found.append(grads)
    return found


def trained(case: Case, params: dict[str, np.ndarray], grads: list[dict[str, Any]]) -> tuple[ac.Optimizer, Any]:
    """Return an optimizer after these gradients, and the reference after the same."""
    reference = ReferenceOptimizer(case, params, params["0"].dtype.type)
    optimizer = make(case, params)
    for each in grads:
        optimizer.step(each)
        reference.step(each)
    assert dict(optimizer.steps) == reference.steps
    return optimizer, reference


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_twenty_steps(case: Case, rng: np.random.Generator) -> None:
    params, grads = start(np.float64, rng), gradients(np.float64, rng)
    before = copy.deepcopy(params)
    optimizer, reference = trained(case, params, grads)
    for name, p in params.items():
        move = np.abs(reference.params[name] - before[name]).max()
        assert np.abs(p - reference.params[name]).max() <= 1e-9 * move
        for slot, array in optimizer.state[name].items():
            np.testing.assert_allclose(array, reference.states[name][slot], rtol=1e-9, atol=1e-12)
    for number, value in optimizer.numbers.items():
        assert value == pytest.approx(float(reference.states["0"][number]), rel=1e-9)


@pytest.mark.parametrize("case", MANY, ids=lambda case: case.id)
def test_twenty_steps_in_float32(case: Case, rng: np.random.Generator) -> None:
    """As near to the reference as is one whose parameters and state are disturbed by 2^-24 of them after each step."""
    params, grads = start(np.float32, rng), gradients(np.float32, rng)
    runs = [ReferenceOptimizer(case, params, np.float32) for _ in range(DISTURBED)]
    optimizer, reference = trained(case, params, grads)
    for run in runs:
        for each in grads:
            run.step(each)
            run.disturb(rng, 2.0**-24)
    times = 16 if case.is_joint else 8
    for name, p in params.items():
        allowed = np.max([np.abs(run.params[name] - reference.params[name]) for run in runs], axis=0)
        assert np.all(np.abs(p - reference.params[name]) <= times * allowed), name
        for slot, array in optimizer.state[name].items():
            wanted = reference.states[name][slot]
            allowed = np.max([np.abs(run.states[name][slot] - wanted) for run in runs], axis=0)
            assert np.all(np.abs(array - wanted) <= times * np.maximum(allowed, 2.0**-24 * np.abs(wanted))), slot


def test_zero_norms_leave_the_rate_alone() -> None:
    """LAMB and LARS do not divide by a norm of zero, and a weight of zero moves by the rate itself."""
    for optimizer, options, moved in (
        (ac.LAMB, {"lr": 0.5, "eps": 0.0, "weight_decay": 0.1}, -0.5),
        (ac.LARS, {"lr": 0.5, "always_adapt": True}, -1.0),
    ):
        p = np.zeros(3)
        optimizer(p, **options).step(np.full(3, 2.0))
        np.testing.assert_allclose(p, moved)
        q = np.full(3, 4.0)
        optimizer(q, **{**options, "weight_decay": 0.0, "always_adapt": True, "eps": 1e-8}).step(np.zeros(3))
        assert np.all(q == 4)


def test_novograds_average_begins_with_the_first_norm_that_is_not_zero() -> None:
    p = np.ones(4)
    optimizer = ac.NovoGrad(p, lr=0.1)
    optimizer.step(np.zeros(4))
    assert optimizer.state["0"]["exp_avg_sq"] == 0
    optimizer.step(np.full(4, 3.0))
    assert optimizer.state["0"]["exp_avg_sq"] == 36
    assert optimizer.state["0"]["exp_avg_sq"].dtype == np.float64


def test_a_group_of_prodigy_with_a_rate_of_zero_rests(rng: np.random.Generator) -> None:
    """Nothing of it changes, and its gradients are not part of d."""
    together, resting = rng.standard_normal(5), np.ones((2, 3))
    p = together.copy()
    optimizer = ac.Prodigy([{"params": together}, {"params": resting, "lr": 0.0, "weight_decay": 0.5}])
    other = ac.Prodigy(p)
    for _ in range(5):
        g = rng.standard_normal(5)
        optimizer.step([g, rng.standard_normal((2, 3))])
        other.step([g])
    assert together.tobytes() == p.tobytes()
    assert dict(optimizer.numbers) == dict(other.numbers)
    assert np.all(resting == 1)
    assert not any(np.any(optimizer.state["1"][slot]) for slot in ("exp_avg", "exp_avg_sq", "s"))


def test_prodigy_stops_without_gradients() -> None:
    p = np.ones(3)
    optimizer = ac.Prodigy(p)
    before = dict(optimizer.numbers)
    for _ in range(2):
        optimizer.step(np.zeros(3))
    assert np.all(p == 1)
    assert dict(optimizer.numbers) == before
    assert optimizer.steps["0"] == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adafactor_does_not_divide_by_zero(dtype: type) -> None:
    """Even where the square of eps[0] is too small for the type."""
    for shape in ((4,), (3, 5)):
        p = np.ones(shape, dtype)
        optimizer = ac.Adafactor(p, eps=(1e-30, 1e-3))
        for _ in range(2):
            optimizer.step(np.zeros(shape, dtype))
        assert np.all(p == 1)


@pytest.mark.parametrize("make", [ac.AdamW, ac.Lion])
def test_cautious_updates_move_what_agrees(make: type[ac.Optimizer]) -> None:
    """Elements whose average points elsewhere than their gradient stay, and the others move further by their share."""
    p, q = np.zeros(4), np.zeros(4)
    plain, cautious = make(p, lr=0.5, weight_decay=0.0), make(q, lr=0.5, weight_decay=0.0, cautious=True)
    for optimizer in (plain, cautious):
        optimizer.step(np.ones(4))
    assert np.all(p == q)  # all agree
    before = p.copy()
    g = np.array([1.0, -0.01, 1.0, 1.0])
    for optimizer in (plain, cautious):
        optimizer.step(g)
    np.testing.assert_allclose(q - before, (p - before) * np.array([1, 0, 1, 1]) / 0.75, rtol=1e-12)


def test_cautious_updates_can_be_switched_on_and_off() -> None:
    p = np.zeros(3)
    optimizer = ac.AdamW(p, lr=0.5, weight_decay=0.0)
    optimizer.step(np.ones(3))
    optimizer.param_groups[0]["cautious"] = True
    before = p.copy()
    optimizer.step(np.full(3, -0.01))
    assert np.all(p == before)
    optimizer.param_groups[0]["cautious"] = False
    optimizer.step(np.full(3, -0.01))
    assert np.all(p != before)


def test_adans_first_difference_is_zero() -> None:
    p = np.zeros(2)
    optimizer = ac.Adan(p)
    optimizer.step(np.array([3.0, -2.0]))
    assert np.all(optimizer.state["0"]["exp_avg_diff"] == 0)
    optimizer.step(np.array([4.0, -2.0]))
    np.testing.assert_allclose(optimizer.state["0"]["exp_avg_diff"], [0.08, 0], rtol=1e-12)


def test_stable_adamw_shortens_a_burst() -> None:
    """A gradient that is 1000 times as large as those before moves the weights by no more than they did."""
    p = np.zeros(5)
    optimizer = ac.StableAdamW(p, lr=0.1, weight_decay=0.0)
    for _ in range(50):
        optimizer.step(np.ones(5))
    before = p.copy()
    optimizer.step(np.full(5, 1000.0))
    assert np.all(np.abs(p - before) < 0.1)
