"""Moments begin anew or are rescaled between steps; nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, make
from pairs import products
from reference import CASES, Case, magnitudes
from storage import BF16, F16, F32, F64

SHAPES = [(33, 5), (7,), (), (2, 3, 4)]
PRECISIONS = [
    (F32, ac.Precision()),
    (F64, ac.Precision()),
    (BF16, ac.Precision()),
    (F16, ac.Precision(state="bfloat16", state_rounding="nearest")),
    (BF16, ac.Precision(master="remainder", state="float16")),
]
MOMENTS = {
    1: {"exp_avg", "momentum_buffer", "grad_avg", "exp_avg_diff", "pre_grad", "s"},
    2: {"exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum", "variance", "row_var", "col_var"},
}
"""The names of averages of gradients and of their squares. Everything else that a rule keeps is neither."""


def draw(rng: np.random.Generator, dtype: Any) -> dict[str, np.ndarray]:
    return {f"p{i}": np.array(magnitudes(rng, shape)).astype(dtype) for i, shape in enumerate(SHAPES)}


def trained(case: Case, dtype: Any, precision: ac.Precision, rng: np.random.Generator) -> ac.Optimizer:
    optimizer = make(case, draw(rng, dtype), precision=precision)
    for t in range(3):
        optimizer.step({name: None if t == 1 and name == "p1" else g for name, g in draw(rng, dtype).items()})
    return optimizer


def degree_of(slot: str) -> int:
    return next((degree for degree, names in MOMENTS.items() if slot in names), 0)


@products(case=CASES, stored=PRECISIONS)
def test_a_reset_makes_moments_those_of_a_new_optimizer(case: Case, stored: Any, rng: np.random.Generator) -> None:
    dtype, precision = stored
    optimizer = trained(case, dtype, precision, rng)
    fresh = make(case, draw(rng, dtype), precision=precision)
    before = {name: {slot: a.copy() for slot, a in optimizer.state[name].items()} for name in optimizer.state}
    params, numbers = [p.tobytes() for p in optimizer.param_groups[0]["params"]], dict(optimizer.numbers)
    optimizer.reset_state()
    assert [p.tobytes() for p in optimizer.param_groups[0]["params"]] == params
    assert dict(optimizer.numbers) == numbers
    assert optimizer.completed == 3
    assert set(optimizer.steps.values()) == {0}
    for name, state in optimizer.state.items():
        for slot, array in state.items():
            expected = fresh.state[name][slot] if degree_of(slot) else before[name][slot]
            assert array.tobytes() == expected.tobytes(), (name, slot)


@products(case=[case for case in CASES if not case.is_joint], stored=PRECISIONS)
def test_after_a_reset_of_all_steps_are_those_of_a_new_optimizer(
    case: Case, stored: Any, rng: np.random.Generator
) -> None:
    """With state that is no moment taken over: masters and their like, and copies of the parameter."""
    dtype, precision = stored
    optimizer = trained(case, dtype, precision, rng)
    optimizer.reset_state()
    params = {name: p.copy() for name, p in zip(optimizer.state, optimizer.param_groups[0]["params"], strict=True)}
    fresh = make(case, params, precision=precision)
    for name, state in optimizer.state.items():
        for slot, array in state.items():
            fresh.state[name][slot][...] = array
    for _ in range(2):
        grads = draw(rng, dtype)
        optimizer.step(grads)
        fresh.step(grads)
        assert everything(optimizer) == everything(fresh)


def test_a_reset_of_some_leaves_the_others(rng: np.random.Generator) -> None:
    optimizer = trained(CASES[3], F32, ac.Precision(), rng)
    before, steps = everything(optimizer), dict(optimizer.steps)
    optimizer.reset_state(["p0", "p2", "p0"])
    after = everything(optimizer)
    assert {name.split(".")[0] for name in after if after[name] != before[name]} == {"p0", "p2"}
    assert dict(optimizer.steps) == {**steps, "p0": 0, "p2": 0}
    optimizer.reset_state([])
    assert everything(optimizer) == after


def test_momentum_begins_with_the_next_gradient_again() -> None:
    w = np.zeros(3)
    optimizer = ac.SGD({"w": w}, lr=1.0, momentum=0.9, dampening=0.5)
    for _ in range(2):
        optimizer.step({"w": np.ones(3)})
    optimizer.reset_state("w")
    saved = optimizer.state_dict()
    for restored in (optimizer, ac.SGD({"w": w.copy()}, momentum=0.9)):
        restored.load_state_dict(saved)
        restored.step({"w": np.full(3, 2.0)})
        assert np.array_equal(restored.state["w"]["momentum_buffer"], np.full(3, 2.0))


@products(case=CASES, stored=PRECISIONS, c=[0.25, 1.0 / 3, 1e-6, 1e5])
def test_rescaling_multiplies_squares_by_c_and_averages_by_its_root(
    case: Case, stored: Any, c: float, rng: np.random.Generator
) -> None:
    dtype, precision = stored
    optimizer = trained(case, dtype, precision, rng)
    before = {name: {slot: a.copy() for slot, a in optimizer.state[name].items()} for name in optimizer.state}
    params, steps = [p.tobytes() for p in optimizer.param_groups[0]["params"]], dict(optimizer.steps)
    optimizer.rescale_state(c)
    assert [p.tobytes() for p in optimizer.param_groups[0]["params"]] == params
    assert dict(optimizer.steps) == steps
    for name, state in optimizer.state.items():
        for slot, array in state.items():
            degree, old = degree_of(slot), before[name][slot]
            if degree == 0:
                assert array.tobytes() == old.tobytes(), (name, slot)
                continue
            compute = np.float64 if old.dtype == F64 else np.float32
            with np.errstate(over="ignore"):
                wanted = (old.astype(compute) * compute(np.sqrt(c) if degree == 1 else c)).astype(old.dtype)
            if degree == 2:  # a square that is not 0 stays so
                smallest = np.nextafter(np.zeros((), old.dtype), np.ones((), old.dtype))
                wanted = np.where((wanted == 0) & (old != 0), smallest, wanted)
            assert np.array(array).tobytes() == wanted.astype(old.dtype).tobytes(), (name, slot)


def test_a_step_after_rescaling_is_one_of_smaller_gradients() -> None:
    """Adam's steps do not depend on the scale of gradients, if all of them have it."""
    small, large = np.ones(5), np.ones(5)
    a, b = (ac.AdamW(w, eps=0.0, lr=0.1) for w in (small, large))
    for _ in range(3):
        a.step(np.arange(1.0, 6.0))
        b.step(np.arange(1.0, 6.0) * 1024)
    b.rescale_state(2.0**-20)
    for _ in range(2):
        a.step(np.full(5, 3.0))
        b.step(np.full(5, 3.0))
        assert small.tobytes() == large.tobytes()


@pytest.mark.parametrize("call", ["reset_state", "rescale_state"])
def test_names_are_checked_before_anything_changes(call: str, rng: np.random.Generator) -> None:
    optimizer = trained(CASES[3], F32, ac.Precision(), rng)
    before = everything(optimizer)
    arguments: tuple[Any, ...] = () if call == "reset_state" else (0.5,)
    for names, error, text in [
        (["p0", "p9"], ValueError, r"AdamW\.\w+: names: there is no parameter 'p9'"),
        ("w", ValueError, "there is no parameter 'w'"),
        ([0], TypeError, "names must be names of parameters, got 0"),
        (3, TypeError, "names must be the name of a parameter or several of them, got 3"),
    ]:
        with pytest.raises(error, match=text):
            getattr(optimizer, call)(*arguments, names)
    for c in (0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"AdamW\.rescale_state: c must be a finite number > 0, got"):
            optimizer.rescale_state(c)
    with pytest.raises(TypeError, match="c must be a finite number > 0"):
        optimizer.rescale_state("2")  # type: ignore[arg-type]
    assert everything(optimizer) == before
