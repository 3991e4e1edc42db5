"""What a Python user sees: parameters in every structure, groups, schedules, state, steps."""

from __future__ import annotations

import copy
from collections import OrderedDict
from types import MappingProxyType

import numpy as np
import pytest

import adamcore as ac
from helpers import bits, make
from reference import APART, Case


def test_one_array() -> None:
    w = np.ones(3, np.float32)
    optimizer = ac.SGD(w, lr=1.0)
    assert optimizer.step(np.ones(3, np.float32)) == ac.StepInfo(skipped=False, grad_norm=None)
    assert np.all(w == 0)
    optimizer.step([np.ones(3, np.float32)])
    optimizer.step({"0": np.ones(3, np.float32)})
    assert np.all(w == -2)


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda a: dict(enumerate(a)).values()])
def test_sequences(kind) -> None:
    params = [np.zeros(3), np.zeros(4)]
    optimizer = ac.SGD(kind(params), lr=1.0)
    optimizer.step(kind([np.ones(3), np.ones(4)]))
    assert list(optimizer.steps) == ["0", "1"]
    assert np.all(params[0] == -1)
    assert np.all(params[1] == -1)


def test_gradients_from_a_generator_live_until_they_are_used() -> None:
    params = [np.zeros(50_000), np.zeros(50_000)]
    optimizer = ac.SGD(params, lr=1.0)
    for k in range(1, 20):
        optimizer.step(np.full(50_000, float(k)) for _ in range(2))
    assert np.all(params[0] == -190)
    assert np.all(params[1] == -190)


@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda d: MappingProxyType(dict(d))])
def test_mappings(kind) -> None:
    params = {"w": np.zeros((2, 3)), "b": np.zeros(3)}
    optimizer = ac.SGD(kind(params), lr=1.0)
    optimizer.step(kind({"b": np.ones(3), "w": np.ones((2, 3))}))
    assert list(optimizer.steps) == ["w", "b"]
    assert all(np.all(p == -1) for p in params.values())


def test_names_must_be_unique() -> None:
    with pytest.raises(ValueError, match="another parameter is named '3' already"):
        ac.SGD({3: np.ones(3), "3": np.ones(3)})
    with pytest.raises(ValueError, match="another parameter is named 'w' already"):
        ac.SGD([{"params": {"w": np.ones(3)}}, {"params": {"w": np.ones(3)}}])
    with pytest.raises(ValueError, match="another parameter is named '1' already"):
        ac.SGD([{"params": {"1": np.ones(3)}}, {"params": [np.ones(3)]}])


@pytest.mark.parametrize("empty", [[], {}, (), iter([]), [{"params": []}]])
def test_no_parameters(empty) -> None:
    with pytest.raises(ValueError, match="there are no parameters"):
        ac.SGD(empty)


@pytest.mark.parametrize("bad", [{np.float32}, "weights", b"weights"])
def test_parameters_without_order(bad) -> None:
    with pytest.raises(TypeError, match="params: expected an ordered collection of arrays"):
        ac.SGD(bad)


def test_groups_have_their_own_hyper_parameters() -> None:
    w, b, c = np.ones(3), np.ones(3), np.ones(3)
    groups = [{"params": {"w": w}, "weight_decay": 0.5}, {"params": [b, c], "lr": 0.5, "name": "rest"}, {"params": []}]
    optimizer = ac.AdamW(groups, lr=1.0, weight_decay=0.0)
    zero = np.zeros(3)
    optimizer.step([zero, zero, None])
    assert np.all(w == 0.5)
    assert np.all(b == 1)
    optimizer.step({"w": None, "1": np.ones(3), "2": None})
    assert np.allclose(b, 1 - 0.5 * (0.1 / 0.19) / np.sqrt(0.001 / 0.001999))
    assert optimizer.steps == {"w": 1, "1": 2, "2": 0}
    assert [g["param_names"] for g in optimizer.param_groups] == [["w"], ["1", "2"], []]
    assert "weight_decay: 0.5" in repr(optimizer)


def test_groups_may_differ_in_their_rule() -> None:
    params = [np.ones(100), np.ones(100)]
    optimizer = ac.Adam([{"params": params[0], "amsgrad": True}, {"params": params[1]}])
    optimizer.step([np.ones(100), np.ones(100)])
    assert list(optimizer.state["0"]) == ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]
    assert list(optimizer.state["1"]) == ["exp_avg", "exp_avg_sq"]
    assert np.array_equal(*params)


def test_hundreds_of_groups() -> None:
    params = [np.zeros(10) for _ in range(500)]
    optimizer = ac.SGD([{"params": p, "lr": i / 100} for i, p in enumerate(params)])
    optimizer.step([np.ones(10)] * 500)
    assert all(np.all(p == -i / 100) for i, p in enumerate(params))


@pytest.mark.parametrize("group", [np.ones(3), [np.ones(3)], {"lr": 1.0}])
def test_add_param_group_takes_a_group(group) -> None:
    with pytest.raises(TypeError, match="expected a dict with the key 'params'"):
        ac.SGD(np.ones(3)).add_param_group(group)


def test_a_group_among_arrays() -> None:
    """A list whose first item is a group must contain only groups. Any other dict is a structure."""
    with pytest.raises(TypeError, match=r"params\[1\]: expected a group, a dict with the key 'params', got ndarray"):
        ac.SGD([{"params": np.ones(3)}, np.ones(3)])
    with pytest.raises(TypeError, match=r"params\[1\]: a group must be in a list of groups: \[\{'params': "):
        ac.SGD([np.ones(3), {"params": np.ones(3), "lr": 0.5}])
    assert list(ac.SGD([np.ones(3), {"params": np.ones(3)}]).steps) == ["0", "1.params"]


def test_add_param_group_keeps_what_there_is(rng: np.random.Generator) -> None:
    a, b = np.zeros(50), np.zeros(60)
    optimizer = ac.Adam({"a": a})
    optimizer.step({"a": rng.standard_normal(50)})
    before = {slot: array.copy() for slot, array in optimizer.state["a"].items()}
    optimizer.add_param_group({"params": {"b": b}, "lr": 0.5})
    assert all(np.array_equal(array, before[slot]) for slot, array in optimizer.state["a"].items())
    optimizer.step({"a": rng.standard_normal(50), "b": rng.standard_normal(60)})
    assert optimizer.steps == {"a": 2, "b": 1}
    assert np.allclose(np.abs(b), 0.5, rtol=1e-3)


def test_param_groups_must_stay_as_they_were_added() -> None:
    optimizer = ac.SGD([{"params": np.ones(3)}, {"params": np.ones(3)}])
    optimizer.param_groups.pop()
    with pytest.raises(ValueError, match="param_groups has 1 groups, but 2 were added"):
        optimizer.step([np.ones(3), np.ones(3)])


def test_without_a_gradient_nothing_moves(case: Case, rng: np.random.Generator) -> None:
    """None leaves the parameter, its state and its count unchanged."""
    params = [rng.standard_normal(33) for _ in range(3)]
    optimizer = make(case, params)
    for _ in range(3):
        optimizer.step([rng.standard_normal(33) for _ in params])
        before = bits(params[1], *optimizer.state["1"].values())
        optimizer.step([rng.standard_normal(33), None, rng.standard_normal(33)])
        assert bits(params[1], *optimizer.state["1"].values()) == before
    assert optimizer.steps == {"0": 6, "1": 3, "2": 6}


@pytest.mark.parametrize("case", APART, ids=lambda case: case.id)
def test_a_step_without_a_gradient_has_not_happened(case: Case, rng: np.random.Generator) -> None:
    shape = (33,)
    params = [rng.standard_normal(shape) for _ in range(3)]
    alone = params[1].copy()
    optimizer, apart = make(case, params), make(case, alone)
    grads = [[rng.standard_normal(shape) for _ in range(3)] for _ in range(6)]
    for t, each in enumerate(grads):
        if t % 2:
            each[1] = None
        else:
            apart.step(each[1])
        optimizer.step(each)
    assert optimizer.steps == {"0": 6, "1": 3, "2": 6}
    assert params[1].tobytes() == alone.tobytes()
    for slot, array in optimizer.state["1"].items():
        assert array.tobytes() == apart.state["0"][slot].tobytes()


def test_many_counts_of_steps_in_one_sweep(rng: np.random.Generator) -> None:
    params = [np.zeros(40) for _ in range(30)]
    alone = [np.zeros(40) for _ in range(30)]
    optimizer, apart = ac.AdamW(params), [ac.AdamW(p) for p in alone]
    for t in range(30):
        grads = [rng.standard_normal(40) if i <= t else None for i in range(30)]
        optimizer.step(grads)
        for each, g in zip(apart, grads, strict=True):
            each.step([g])
    assert list(optimizer.steps.values()) == [30 - i for i in range(30)]
    assert [p.tobytes() for p in params] == [p.tobytes() for p in alone]


def test_no_gradient_at_all() -> None:
    optimizer = ac.AdamW([np.ones(3), np.ones(3)])
    assert not optimizer.step([None, None]).skipped
    assert optimizer.steps == {"0": 0, "1": 0}


def test_maximize_is_descent_on_the_negated_gradient(case: Case, rng: np.random.Generator) -> None:
    p, q = np.ones(50), np.ones(50)
    up = not case.options.get("maximize", False)
    ascending, descending = make(case, p, maximize=up), make(case, q)
    for _ in range(5):
        g = rng.standard_normal(50)
        ascending.step(-g)
        descending.step(g)
    assert p.tobytes() == q.tobytes()


def test_maximize_can_be_written() -> None:
    p = np.zeros(3)
    optimizer = ac.SGD(p, lr=1.0)
    optimizer.param_groups[0]["maximize"] = True
    optimizer.step(np.ones(3))
    assert np.all(p == 1)


def test_schedule_is_called_with_completed_steps() -> None:
    seen = []

    def schedule(step: int) -> float:
        seen.append(step)
        return 1.0 / (1 + step)

    p = np.zeros(3)
    optimizer = ac.SGD(p, lr=schedule)
    seen.clear()
    for _ in range(3):
        optimizer.step(np.ones(3))
    assert seen == [0, 1, 2]
    assert np.allclose(p, -(1 + 1 / 2 + 1 / 3))


def test_schedule_that_raises_or_returns_nonsense_changes_nothing() -> None:
    p = np.zeros(3)
    optimizer = ac.SGD(p)

    def broken(step: int) -> float:
        raise RuntimeError(f"at {step}")

    optimizer.param_groups[0]["lr"] = broken
    with pytest.raises(RuntimeError, match="at 0"):
        optimizer.step(np.ones(3))
    optimizer.param_groups[0]["lr"] = lambda _: float("nan")
    with pytest.raises(ValueError, match="lr must be a finite number >= 0, got nan"):
        optimizer.step(np.ones(3))
    optimizer.param_groups[0]["lr"] = lambda _: optimizer.step(np.ones(3))
    with pytest.raises(RuntimeError, match="in use"):
        optimizer.step(np.ones(3))
    assert np.all(p == 0)
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.step(np.ones(3))
    assert np.all(p == -1)


def test_hyper_parameters_can_be_written() -> None:
    p = np.zeros(3)
    optimizer = ac.SGD(p, lr=1.0)
    optimizer.step(np.ones(3))
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step(np.ones(3))
    assert np.all(p == -1.5)


@pytest.mark.parametrize("scale", [1.0, 2.0, 65536.0, 1 / 1024])
def test_loss_scale_divides_gradients(case: Case, scale: float, rng: np.random.Generator) -> None:
    p, q = np.ones(50, np.float32), np.ones(50, np.float32)
    scaled, plain = make(case, p), make(case, q)
    for _ in range(3):
        g = rng.standard_normal(50).astype(np.float32)
        scaled.step(g * np.float32(scale), loss_scale=scale)
        plain.step(g)
    assert p.tobytes() == q.tobytes()


def test_state_is_a_view(rng: np.random.Generator) -> None:
    p = np.ones((4, 5), order="F")
    optimizer = ac.Adam({"p": p})
    optimizer.step({"p": np.asfortranarray(rng.standard_normal((4, 5)))})
    m = optimizer.state["p"]["exp_avg"]
    assert np.shares_memory(m, optimizer.state["p"]["exp_avg"])
    m[...] = 0
    optimizer.state["p"]["exp_avg_sq"][...] = 0
    optimizer.step({"p": np.ones((4, 5), order="F")})
    assert np.allclose(m, 0.1)
    del optimizer
    assert np.allclose(m, 0.1)


def test_state_and_steps_are_mappings_by_name() -> None:
    optimizer = ac.Adam({"a": np.ones(2), "b": np.ones(3)})
    assert set(optimizer.state) == {"a", "b"}
    assert len(optimizer.steps) == 2
    assert dict(optimizer.steps) == {"a": 0, "b": 0}
    assert "exp_avg" in repr(optimizer.state)
    with pytest.raises(KeyError, match="c"):
        _ = optimizer.steps["c"]
    with pytest.raises(KeyError, match="c"):
        _ = optimizer.state["c"]
    assert ac.SGD(np.ones(3)).state["0"] == {}


def test_initial_accumulator() -> None:
    optimizer = ac.Adagrad([np.ones(5), np.ones((2, 3), np.float32)], initial_accumulator_value=0.25)
    assert all(np.all(s["sum"] == 0.25) for s in optimizer.state.values())


def test_mixed_dtypes_in_one_optimizer() -> None:
    a, b = np.zeros(100, np.float32), np.zeros(100)
    ac.SGD([a, b], lr=1.0).step([np.ones(100, np.float32), np.ones(100)])
    assert np.all(a == -1)
    assert np.all(b == -1)


def test_a_shallow_copy_says_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"copy\.deepcopy"):
        copy.copy(ac.SGD(np.ones(3)))


def test_the_base_class_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        ac.Optimizer(np.ones(3), {})


def test_names_are_exported() -> None:
    assert set(ac.__all__) <= set(dir(ac))
    for name in ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "adam_update", "functional", "build_info"):
        assert name in ac.__all__


def test_code_that_runs_during_a_step_may_change_lists() -> None:
    """A schedule that empties param_groups, and an array whose attribute empties the gradients, end in errors."""
    params = [np.ones(300), np.ones(300), np.ones(300)]
    armed: list[int] = []

    def schedule(_: int) -> float:
        if armed:
            optimizer.param_groups.clear()
        return 0.1

    optimizer = ac.SGD([{"params": p} for p in params], lr=schedule)
    armed.append(1)
    with pytest.raises(ValueError, match="param_groups has 0 groups, but 3 were added"):
        optimizer.step([np.ones(300)] * 3)
    assert all(np.all(p == 1) for p in params)

    class Emptying(np.ndarray):
        @property
        def _mask(self) -> None:
            grads.clear()
            raise AttributeError

    grads = [np.ones(300).view(Emptying), np.ones(300)]
    ac.SGD(params[:2], lr=1.0).step(grads)
    assert np.all(params[0] == 0)
    assert np.all(params[1] == 0)
