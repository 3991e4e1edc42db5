"""Hyper-parameters that decide what state there is change between steps: momentum, amsgrad, centered."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import bits, everything
from storage import BF16, F16, F32, F64

SIZES = [(33, 5), (7,), ()]
HALF = {"precision": ac.Precision(state="bfloat16", state_rounding="nearest")}

CHANGES = [
    ("SGD", {}, "momentum", 0.9),
    ("SGD", {"dampening": 0.5, "weight_decay": 0.25}, "momentum", 0.9),
    ("RMSprop", {}, "momentum", 0.9),
    ("RMSprop", {"momentum": 0.5}, "centered", True),
    ("RMSprop", {"centered": True}, "momentum", 0.9),
    ("Adam", {}, "amsgrad", True),
    ("AdamW", {}, "amsgrad", True),
]
"""An optimizer's options, and a change after which there is more state."""


def arrays(rng: np.random.Generator, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    return {f"p{i}": rng.standard_normal(shape).astype(dtype) for i, shape in enumerate(SIZES)}


def write(optimizer: ac.Optimizer, **values: Any) -> None:
    for group in optimizer.param_groups:
        group.update(values)


def both(*optimizers: ac.Optimizer) -> Callable[[dict[str, np.ndarray | None]], None]:
    """Step all optimizers, which then have the same bits of everything."""

    def step(grads: dict[str, np.ndarray | None]) -> None:
        for optimizer in optimizers:
            optimizer.step(grads)
        first, *others = map(everything, optimizers)
        assert all(other == first for other in others)

    return step


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("dtype", [F32, F64, BF16, F16], ids=str)
def test_new_state_begins_as_in_a_new_optimizer(change: Any, dtype: Any, rng: np.random.Generator) -> None:
    """An optimizer that takes over all state but the new arrays, which begin, does the same steps."""
    name, options, key, value = change
    params = arrays(rng, dtype)
    optimizer = getattr(ac, name)(params, **options)
    for _ in range(3):
        optimizer.step(arrays(rng, dtype))
    write(optimizer, **{key: value})
    slots = set(optimizer.state["p0"])
    other = getattr(ac, name)(copy.deepcopy(params), **{**options, key: value})
    saved = other.state_dict()
    for parameter, state in optimizer.state_dict()["state"].items():
        saved["state"][parameter].update(state)
    other.load_state_dict(saved)
    if name == "SGD":
        assert saved["state"]["p0"]["begun"] == 0
    step = both(optimizer, other)
    for missing in ("p1", "p0", None):
        step({**arrays(rng, dtype), **({missing: None} if missing else {})})
    assert set(optimizer.state["p0"]) > slots
    assert list(optimizer.state["p0"]) == list(optimizer.state_dict()["state"]["p0"])[1:]


@pytest.mark.parametrize("options", [{}, HALF], ids=["float32", "bfloat16"])
def test_the_buffer_begins_as_the_gradient_undamped(options: dict[str, Any], rng: np.random.Generator) -> None:
    params, grads = arrays(rng), arrays(rng)
    optimizer = ac.SGD(params, lr=1.0, dampening=0.5, **options)
    optimizer.step(grads)
    write(optimizer, momentum=0.5)
    optimizer.step({**grads, "p1": None})
    expected = ac.SGD(arrays(rng), momentum=0.5, dampening=0.5, **options)
    expected.step(grads)
    found, first = optimizer.state, expected.state
    assert bits(found["p0"]["momentum_buffer"]) == bits(first["p0"]["momentum_buffer"])
    assert not found["p1"]["momentum_buffer"].any()
    assert optimizer.state_dict()["state"]["p1"]["begun"] == 0
    optimizer.step(grads)
    assert bits(found["p1"]["momentum_buffer"]) == bits(first["p1"]["momentum_buffer"])
    assert "begun" not in optimizer.state_dict()["state"]["p1"]


def test_a_buffer_that_has_not_begun_before_momentum_ends_begins_later() -> None:
    p = np.zeros(1)
    optimizer = ac.SGD({"p": p, "q": np.zeros(1)}, lr=1.0, momentum=0.5, dampening=0.5)
    optimizer.step({"p": None, "q": np.ones(1)})
    for momentum, expected in ((0.0, -1), (0.0, -2), (0.5, -3), (0.5, -4)):
        write(optimizer, momentum=momentum)
        optimizer.step({"p": np.ones(1), "q": None})
        assert p[0] == expected


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_is_switched_off_is_kept(change: Any, rng: np.random.Generator) -> None:
    name, options, key, value = change
    on, off = {key: value}, {key: type(value)(0)}
    params = arrays(rng)
    optimizer = getattr(ac, name)(params, **{**options, **on})
    views = dict(optimizer.state["p0"])
    for _ in range(3):
        optimizer.step(arrays(rng))
    write(optimizer, **off)
    (extra,) = set(optimizer.state["p0"]) - set(getattr(ac, name)(arrays(rng), **options).state["p0"])
    kept = {parameter: slots[extra].tobytes() for parameter, slots in optimizer.state.items()}
    for _ in range(3):
        optimizer.step(arrays(rng))
    assert {parameter: slots[extra].tobytes() for parameter, slots in optimizer.state.items()} == kept
    assert all(np.shares_memory(array, views[slot]) for slot, array in optimizer.state["p0"].items())
    # A new optimizer with the same state goes on in the same way.
    other = getattr(ac, name)(copy.deepcopy(params), **{**options, **on})
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0][key] == off[key]
    step = both(optimizer, other)
    step(arrays(rng))
    write(optimizer, **on)
    write(other, **on)
    for _ in range(2):
        step(arrays(rng))


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("when", ["before", "written", "after"])
def test_checkpoints_of_other_state_arrays(change: Any, when: str, rng: np.random.Generator) -> None:
    """Saved before a value was written, after it was written, and after the next step; loaded into any optimizer."""
    name, options, key, value = change
    params = arrays(rng)
    optimizer = getattr(ac, name)(params, **options)
    for _ in range(3):
        optimizer.step(arrays(rng))
    if when != "before":
        write(optimizer, **{key: value})
    if when == "after":
        optimizer.step(arrays(rng))
    saved = optimizer.state_dict()
    others = []
    for had_it in (False, True):
        for steps in (0, 2):
            other = getattr(ac, name)(copy.deepcopy(params), **{**options, key: value if had_it else type(value)(0)})
            start = copy.deepcopy(list(other.param_groups[0]["params"]))
            for _ in range(steps):
                other.step(arrays(rng))
            for array, old in zip(other.param_groups[0]["params"], start, strict=True):
                array[...] = old
            other.load_state_dict(saved)
            again = other.state_dict()
            assert set(again["state"]["p0"]) == set(saved["state"]["p0"])
            assert again["param_groups"] == saved["param_groups"]
            others.append(other)
    step = both(optimizer, *others)
    step({**arrays(rng), "p1": None})
    for optimizer_ in (optimizer, *others):
        write(optimizer_, **{key: value})
    for _ in range(2):
        step(arrays(rng))


def test_a_checkpoint_of_the_first_format_has_begun_by_its_step_count(rng: np.random.Generator) -> None:
    params = arrays(rng)
    optimizer = ac.SGD(params, lr=0.1, momentum=0.9, dampening=0.5)
    optimizer.step({**arrays(rng), "p1": None})
    saved = optimizer.state_dict()
    assert all(set(state) == {"step", "momentum_buffer"} for state in saved["state"].values())
    other = ac.SGD(copy.deepcopy(params), lr=0.1)
    other.load_state_dict(saved)
    both(optimizer, other)(arrays(rng))


def test_an_array_that_is_missing_is_an_error_still(rng: np.random.Generator) -> None:
    saved = ac.SGD(arrays(rng), momentum=0.9).state_dict()
    del saved["state"]["p1"]["momentum_buffer"]
    optimizer = ac.SGD(arrays(rng))
    with pytest.raises(ValueError, match=r"\['state'\]\['p1'\]: 'momentum_buffer' is missing"):
        optimizer.load_state_dict(saved)
    for value, error in ((2, ValueError), ("x", TypeError)):
        saved["state"]["p1"].update(momentum_buffer=np.ones(7, np.float32), begun=value)
        with pytest.raises(error, match=r"\['p1'\]\['begun'\]: expected"):
            optimizer.load_state_dict(saved)
    saved["state"]["p1"].update(begun=1, exp_avg=np.ones(7, np.float32))
    with pytest.raises(ValueError, match=r"\['p1'\]: 'exp_avg' is not in the optimizer"):
        optimizer.load_state_dict(saved)
    assert list(optimizer.state["p0"]) == []


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_step_that_raises_shows_no_new_state(change: Any, rng: np.random.Generator) -> None:
    name, options, key, value = change
    params = arrays(rng)
    optimizer = getattr(ac, name)(params, **options, nonfinite="raise")
    optimizer.step(arrays(rng))
    twin = getattr(ac, name)(copy.deepcopy(params), **options)
    twin.load_state_dict(optimizer.state_dict())
    before = everything(optimizer)
    write(optimizer, **{key: value})
    write(twin, **{key: value})
    bad = {**arrays(rng), "p2": np.full((), np.inf, np.float32)}
    attempts: list[Callable[[], Any]] = [
        lambda: optimizer.step({**arrays(rng), "p2": np.zeros(3)}),
        lambda: optimizer.step(bad),
        lambda: optimizer.step(arrays(rng), loss_scale="big"),
        lambda: optimizer.step({**arrays(rng), "p2": optimizer.state["p2"]}),
    ]
    for attempt in attempts:
        with pytest.raises((TypeError, ValueError, ac.NonFiniteError)):
            attempt()
        assert everything(optimizer) == before
    assert optimizer.step(bad, loss_scale=2.0).skipped
    assert everything(optimizer) == before
    both(optimizer, twin)(arrays(rng))


def test_an_error_of_a_later_group_leaves_the_first_as_it_was() -> None:
    groups = [{"params": {"a": np.ones(3)}}, {"params": {"b": np.ones(3)}}]
    optimizer = ac.SGD(groups, lr=0.5)
    write(optimizer, momentum=0.9)
    optimizer.param_groups[1]["weight_decay"] = -1.0
    with pytest.raises(ValueError, match=r"weight_decay .* \(in param_groups\[1\]\)"):
        optimizer.step({"a": np.ones(3), "b": np.ones(3)})
    assert [list(state) for state in optimizer.state.values()] == [[], []]
    optimizer.param_groups[1].update(weight_decay=0.0, momentum=0.0)
    optimizer.step({"a": np.ones(3), "b": np.ones(3)})
    assert [list(state) for state in optimizer.state.values()] == [["momentum_buffer"], []]


def test_new_state_is_what_gradients_must_not_overlap() -> None:
    optimizer = ac.SGD(np.ones(4), lr=0.5)
    optimizer.step(np.ones(4))
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.step(np.ones(4))
    with pytest.raises(ValueError, match="shares memory with the optimizer's state"):
        optimizer.step(optimizer.state["0"]["momentum_buffer"])


def test_groups_that_are_added_between_changes() -> None:
    optimizer = ac.SGD({"a": np.zeros(2)}, lr=1.0)
    optimizer.step({"a": np.ones(2)})
    write(optimizer, momentum=0.5)
    optimizer.step({"a": np.ones(2)})
    optimizer.add_param_group({"params": {"b": np.zeros(2)}})
    assert optimizer.param_groups[1]["momentum"] == 0
    write(optimizer, momentum=0.5)
    for _ in range(2):
        optimizer.step({"a": np.ones(2), "b": np.ones(2)})
    assert optimizer.state["a"]["momentum_buffer"].tolist() == [1.75, 1.75]
    assert optimizer.state["b"]["momentum_buffer"].tolist() == [1.5, 1.5]


def test_state_is_not_allocated_again_and_again() -> None:
    """Checkpoints without a buffer and with one take turns; the memory is what it was."""
    params = {"w": np.zeros(1 << 18, np.float32)}
    without, optimizer = ac.SGD(copy.deepcopy(params)), ac.SGD(params, momentum=0.5)
    optimizer.step(np.ones(1 << 18, np.float32))
    saved = [optimizer.state_dict(), without.state_dict()]
    view = optimizer.state["w"]["momentum_buffer"]
    for turn in range(6):
        optimizer.load_state_dict(saved[turn % 2])
        assert ("momentum_buffer" in optimizer.state["w"]) == (turn % 2 == 0)
    optimizer.param_groups[0]["momentum"] = 0.5
    optimizer.step(np.full(1 << 18, 3, np.float32))
    assert np.shares_memory(optimizer.state["w"]["momentum_buffer"], view)
    assert np.all(view == 3)


def test_momentum_that_is_written_in_place() -> None:
    momentum = np.array(0.0)
    optimizer, other = ac.SGD(first := np.ones(3), lr=0.1), ac.SGD(second := np.ones(3), lr=0.1)
    optimizer.param_groups[0]["momentum"] = momentum
    for value in (0.0, 0.9, 0.5, 0.0, 0.9):
        momentum[...] = value
        other.param_groups[0]["momentum"] = value
        for each in (optimizer, other):
            each.step(np.ones(3))
        assert bits(first) == bits(second)
