"""Checkpoints in memory: by name, to the bit, checked before anything changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything, make
from reference import Case, magnitudes

SHAPES = {"w": (20, 30), "b": (30,), "empty": (0, 3), "scalar": ()}


def params(rng: np.random.Generator, dtype: type) -> dict[str, np.ndarray]:
    return {name: np.array(magnitudes(rng, shape), dtype) for name, shape in SHAPES.items()}


def grads(rng: np.random.Generator, dtype: type, steps: int) -> list[dict[str, np.ndarray]]:
    return [params(rng, dtype) for _ in range(steps)]


def test_going_on_equals_not_stopping(case: Case, dtype: type, rng: np.random.Generator) -> None:
    whole = params(rng, dtype)
    first = {name: p.copy() for name, p in whole.items()}
    each = grads(rng, dtype, 10)
    one, two = make(case, whole), make(case, first)
    for g in each:
        one.step(g)
    for g in each[:5]:
        two.step(g)
    saved = two.state_dict()
    second = {name: p.copy() for name, p in first.items()}
    for g in each:  # what the first optimizer does afterwards does not reach the copy
        two.step(g)
    three = make(case, second)
    three.load_state_dict(saved)
    for g in each[5:]:
        three.step(g)
    assert everything(three) == everything(one)
    assert three.steps == one.steps


def test_loading_keeps_arrays_and_their_dtype(rng: np.random.Generator, dtype: type) -> None:
    old, new = ac.AdamW(params(rng, dtype)), ac.AdamW(params(rng, dtype))
    old.step(params(rng, dtype))
    view = new.state["w"]["exp_avg"]
    new.load_state_dict(old.state_dict())
    assert np.shares_memory(view, new.state["w"]["exp_avg"])
    assert view.dtype == dtype
    assert np.array_equal(view, old.state["w"]["exp_avg"])


def test_hyper_parameters_and_completed_steps_come_along() -> None:
    old = ac.SGD(np.zeros(3), lr=0.5, momentum=0.9)
    for _ in range(3):
        old.step(np.ones(3))
    old.param_groups[0]["lr"] = 0.25
    new = ac.SGD(np.zeros(3), lr=float, momentum=0.8)
    new.load_state_dict(old.state_dict(), schedules="own")
    assert new.param_groups[0]["momentum"] == 0.9
    before = new.param_groups[0]["params"][0].copy()
    new.step(np.zeros(3))
    assert np.allclose(new.param_groups[0]["params"][0], before - 3 * 0.9 * 2.71), "the schedule goes on at step 3"
    plain = ac.SGD(np.zeros(3), momentum=0.8)
    plain.load_state_dict(old.state_dict())
    assert plain.param_groups[0]["lr"] == 0.25


def edit(path: list[Any], value: Any) -> Callable[[dict], None]:
    def apply(state: dict) -> None:
        for key in path[:-1]:
            state = state[key]
        if value is KeyError:
            del state[path[-1]]
        else:
            state[path[-1]] = value

    return apply


BAD = [
    (edit(["format"], 99), ValueError, r"\['format'\]: this version reads formats 1 and 2, got 99"),
    (edit(["format"], KeyError), ValueError, "'format' is missing"),
    (edit(["extra"], 1), ValueError, "'extra' is not in the optimizer"),
    (edit(["optimizer"], "SGD"), ValueError, "this state_dict was saved by SGD and cannot be loaded into AdamW"),
    (edit(["completed"], -1), ValueError, r"\['completed'\]: expected a number of steps"),
    (edit(["completed"], 1.5), TypeError, r"\['completed'\]: expected an int"),
    (edit(["param_groups"], []), ValueError, r"\['param_groups'\]: got 0 groups, but the optimizer has 1"),
    (edit(["param_groups", 0, "lr"], float("nan")), ValueError, "AdamW: lr must be"),
    (edit(["param_groups", 0, "betas"], (0.9, 2.0)), ValueError, r"AdamW: betas\[1\] must be"),
    (
        edit(["param_groups", 0, "amsgrad"], True),
        ValueError,
        r"\['w'\]: 'max_exp_avg_sq' is missing",
    ),
    (edit(["param_groups", 0, "momentum"], 0.9), ValueError, "unknown option 'momentum'"),
    (edit(["param_groups", 0, "param_names"], ["w"]), ValueError, "'b' is missing"),
    (edit(["state", "b"], KeyError), ValueError, r"\['state'\]: 'b' is missing"),
    (edit(["state", "c"], {}), ValueError, r"\['state'\]: 'c' is not in the optimizer"),
    (edit(["state", "scalar", "step"], -1), ValueError, r"\['scalar'\]\['step'\]"),
    (edit(["state", "scalar", "step"], 2**63), ValueError, r"\['scalar'\]\['step'\]"),
    (edit(["state", "scalar", "step"], None), TypeError, r"\['scalar'\]\['step'\]: expected an int"),
    (edit(["state", "scalar", "exp_avg"], KeyError), ValueError, r"\['scalar'\]: 'exp_avg' is missing"),
    (edit(["state", "scalar", "exp_avg"], 0.0), TypeError, r"\['exp_avg'\]: expected a NumPy array, got float"),
    (edit(["state", "scalar", "exp_avg"], np.zeros(())), TypeError, r"\['exp_avg'\]: dtype float64 does not match"),
    (edit(["state", "b", "exp_avg_sq"], np.zeros(1, "f4")), ValueError, r"\['exp_avg_sq'\]: shape \(1,\) does not"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad[2])
def test_bad_state_changes_nothing(bad: tuple, rng: np.random.Generator, unchanged: Callable[..., None]) -> None:
    apply, error, match = bad
    optimizer = ac.AdamW(p := params(rng, np.float32))
    optimizer.step(params(rng, np.float32))
    state = optimizer.state_dict()
    optimizer.step(params(rng, np.float32))
    apply(state)
    arrays = [*p.values(), *(a for s in optimizer.state.values() for a in s.values())]
    steps, group = dict(optimizer.steps), dict(optimizer.param_groups[0])
    unchanged(error, match, arrays, lambda: optimizer.load_state_dict(state))
    assert dict(optimizer.steps) == steps
    assert optimizer.param_groups[0] == group


def test_not_a_dict() -> None:
    with pytest.raises(TypeError, match="state_dict: expected a dict, got list"):
        ac.SGD(np.ones(3)).load_state_dict([])  # type: ignore[arg-type]


def test_order_does_not_matter(rng: np.random.Generator) -> None:
    p = params(rng, np.float64)
    old, new = ac.Adam(p), ac.Adam({name: p[name].copy() for name in reversed(p)})
    old.step(params(rng, np.float64))
    new.load_state_dict(old.state_dict())
    for name in p:
        assert np.array_equal(new.state[name]["exp_avg"], old.state[name]["exp_avg"])
