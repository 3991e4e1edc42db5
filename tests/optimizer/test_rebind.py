"""`rebind`: the optimizer goes on with other arrays and the state that there is."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import bits, everything, make
from reference import CASES, Case
from storage import BF16, F16, F32

SHAPES = {"w": (3, 5), "enc.b": (7,), "enc.s": ()}


def nested(flat: dict[str, np.ndarray]) -> dict[str, Any]:
    return {"w": flat["w"], "enc": {"b": flat["enc.b"], "s": flat["enc.s"]}}


def arrays(rng: np.random.Generator, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    return {name: np.array(rng.standard_normal(shape)).astype(dtype) for name, shape in SHAPES.items()}


def moved(flat: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same numbers in other memory, in another order, with gaps."""
    found = {}
    for name, a in flat.items():
        spread = np.zeros([2 * n for n in a.shape[::-1]], a.dtype)
        found[name] = spread[(*(slice(None, None, 2) for _ in a.shape), ...)].T
        found[name][...] = a
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("dtype", [F32, BF16], ids=str)
def test_goes_on_as_if_nothing_had_happened(case: Case, dtype: Any, rng: np.random.Generator) -> None:
    params = arrays(rng, dtype)
    expected = copy.deepcopy(params)
    optimizer, other = make(case, nested(params)), make(case, nested(expected))
    groups, group, views = optimizer.param_groups, optimizer.param_groups[0], optimizer.state["w"]
    for t in range(6):
        grads: dict[str, Any] = arrays(rng)
        if t == 1:
            grads["enc.b"] = None
        optimizer.step(grads)
        other.step(grads)
        if t in (1, 3):
            params = moved(params) if t == 1 else copy.deepcopy(params)
            optimizer.rebind(nested(params))
        assert bits(*params.values()) == bits(*expected.values())
        assert everything(optimizer) == everything(other)
        assert optimizer.steps == other.steps
    assert optimizer.param_groups is groups
    assert groups[0] is group
    assert all(a is b for a, b in zip(group["params"], params.values(), strict=True))
    assert all(np.shares_memory(array, views[slot]) for slot, array in optimizer.state["w"].items() if array.size)


@pytest.mark.parametrize("options", [{}, {"clip_norm": 1.0}, {"clip_adaptive": 0.1}, {"nonfinite": "skip"}], ids=str)
def test_precisions_clips_and_gradients_of_any_layout(options: dict[str, Any], rng: np.random.Generator) -> None:
    for precision in ({"master": "remainder"}, {"state": "bfloat16"}, {"master": None, "rounding": "compensated"}):
        params = arrays(rng, BF16)
        expected = copy.deepcopy(params)
        kinds = {"precision": ac.Precision(**precision), **options}
        optimizer, other = ac.AdamW(params, **kinds), ac.AdamW(expected, **kinds)
        for _ in range(3):
            grads = moved(arrays(rng))
            optimizer.step(grads)
            other.step(grads)
            params = moved(params)
            optimizer.rebind(params)
            assert everything(optimizer) == everything(other)


FORMS = {
    "one array": (lambda p: p["w"], lambda p: p["w"], ["w"]),
    "list": (lambda p: list(p.values()), lambda p: list(p.values()), list(SHAPES)),
    "mapping": (dict, lambda p: dict(reversed(p.items())), list(SHAPES)),
    "nested": (nested, lambda p: dict(reversed(nested(p).items())), list(SHAPES)),
    "nested, by name": (nested, dict, list(SHAPES)),
    "pairs": (lambda p: list(p.items()), dict, list(SHAPES)),
    "groups": (
        lambda p: [{"params": {"w": p["w"]}}, {"params": [p["enc.b"], p["enc.s"]], "param_names": ["b", "s"]}],
        lambda p: [{"params": {"w": p["w"]}}, {"params": [p["enc.b"], p["enc.s"]], "param_names": ["b", "s"]}],
        list(SHAPES),
    ),
    "groups, by name": (
        lambda p: [{"params": {"w": p["w"]}}, {"params": {"enc": {"b": p["enc.b"], "s": p["enc.s"]}}}],
        dict,
        list(SHAPES),
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_forms(form: Any, rng: np.random.Generator) -> None:
    """The new arrays get the updates, and replacing one of them in the new container is noticed."""
    made, again, names = form
    params = arrays(rng)
    optimizer = ac.SGD(made(params), lr=1.0)
    new = {name: np.array(params[name] + 1) for name in names}
    container = again(new)
    optimizer.rebind(container)
    before = copy.deepcopy(new)
    grads = {own: np.ones_like(params[name]) for own, name in zip(optimizer.steps, names, strict=True)}
    optimizer.step(grads)
    assert all(np.array_equal(new[name], before[name] - 1) for name in names)
    if isinstance(container, dict) and "w" in container:
        container["w"] = container["w"].copy()
        with pytest.raises(ValueError, match=r"'w'\]: another array has taken its place"):
            optimizer.step(grads)
        optimizer.rebind(container)
        optimizer.step(grads)
    optimizer.param_groups[-1]["params"][0] = np.ones(2)
    with pytest.raises(ValueError, match=r"\['params'\] has been changed"):
        optimizer.step(grads)


def test_the_way_on_that_the_message_names() -> None:
    layers = [{"w": np.ones(2)}, {"w": np.ones(3)}]
    optimizer = ac.Adam(layers)
    layers[1]["w"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"opt.rebind\(params\)"):
        optimizer.step([{"w": np.ones(2)}, {"w": np.ones(3)}])
    optimizer.rebind(layers)
    optimizer.step([{"w": np.ones(2)}, {"w": np.ones(3)}])
    assert layers[1]["w"][0] < 0
    optimizer.param_groups[0]["params"][0] = np.ones(2)
    optimizer.rebind([{"params": optimizer.param_groups[0]["params"], "param_names": ["0.w", "1.w"]}])
    optimizer.step({"0.w": np.ones(2), "1.w": np.ones(3)})


BAD = [
    (lambda p: {"w": p["w"]}, "SGD: rebind: 'enc.b' is missing from params .and 1 more"),
    (lambda p: {**p, "c": p["w"].copy()}, "SGD: rebind: 'c' is not in the optimizer"),
    (lambda p: {**p, "w": np.ones((5, 3), np.float32)}, r"params\['w'\]: shape \(5, 3\) does not match"),
    (lambda p: {**p, "enc.b": np.ones((7, 1), np.float32)}, r"params\['enc.b'\]: shape \(7, 1\) does not match"),
    (lambda p: {**p, "enc.b": np.ones(7, np.int32)}, r"params\['enc.b'\]: dtype int32"),
    (lambda p: {**p, "enc.b": np.broadcast_to(np.float32(1), 7)}, r"params\['enc.b'\]: .*read-only"),
    (lambda p: {**p, "enc.b": p["w"].reshape(-1)[:7]}, r"params\['enc.b'\]: shares memory with params\['w'\]"),
    (lambda p: {**p, "enc.b": None}, r"params\['enc.b'\]: expected a NumPy array"),
    (lambda p: list(p.values()), "SGD: rebind: 'enc.b' is missing"),
    (lambda p: [{"params": p}, {"params": []}], "SGD: rebind: the arrays are in other groups"),
]


@pytest.mark.parametrize(("change", "match"), BAD, ids=[match for _, match in BAD])
def test_bad_arrays_change_nothing(change: Any, match: str, rng: np.random.Generator) -> None:
    params = arrays(rng)
    optimizer = ac.SGD(params, lr=0.5, momentum=0.9)
    optimizer.step(arrays(rng))
    before, group = everything(optimizer), dict(optimizer.param_groups[0])
    new = copy.deepcopy(params)
    with pytest.raises((TypeError, ValueError), match=match):
        optimizer.rebind(change(new))
    assert everything(optimizer) == before
    assert all(optimizer.param_groups[0][key] is value for key, value in group.items())
    optimizer.step(arrays(rng))
    assert optimizer.steps == dict.fromkeys(params, 2)


def test_new_arrays_may_not_be_in_the_state() -> None:
    optimizer = ac.Adam(np.ones(4))
    with pytest.raises(ValueError, match="shares memory with the optimizer's state"):
        optimizer.rebind(optimizer.state["0"]["exp_avg"])


@pytest.mark.parametrize("order", ["C", "F"])
def test_float32_and_float64(order: Any, rng: np.random.Generator) -> None:
    params = {"w": np.asarray(rng.standard_normal((3, 5)), order=order), "b": np.ones(2)}
    optimizer = ac.AdamW(params)
    optimizer.step({"w": rng.standard_normal((3, 5)), "b": np.ones(2)})
    wide = {slot: array.copy() for slot, array in optimizer.state["w"].items()}
    optimizer.rebind({"w": params["w"].astype(np.float32), "b": params["b"]})
    narrow = optimizer.state["w"]
    assert all(narrow[slot].dtype == np.float32 for slot in wide)
    assert all(np.array_equal(narrow[slot], wide[slot].astype(np.float32)) for slot in wide)
    assert optimizer.state["b"]["exp_avg"].dtype == np.float64
    # The same as an optimizer of float32 that loads this state.
    other = ac.AdamW({"w": params["w"].astype(np.float32), "b": params["b"].copy()})
    other.load_state_dict(optimizer.state_dict())
    grads = {"w": rng.standard_normal((3, 5)), "b": np.ones(2)}
    optimizer.step(grads)
    other.step(grads)
    assert everything(optimizer) == everything(other)
    optimizer.rebind({"w": params["w"], "b": params["b"].copy()})
    assert optimizer.state["w"]["exp_avg"].dtype == np.float64


@pytest.mark.parametrize("half", [F16, BF16], ids=str)
def test_half_precision_gets_and_loses_its_master(half: Any, rng: np.random.Generator) -> None:
    params = arrays(rng)
    optimizer = ac.Adam(params)
    optimizer.step(arrays(rng))
    halves = {name: a.astype(half) for name, a in params.items()}
    optimizer.rebind(halves)
    assert bits(optimizer.state["w"]["master"]) == bits(halves["w"].astype(np.float32))
    optimizer.step(arrays(rng))
    master = optimizer.state["w"]["master"].copy()
    other = {name: a.copy() for name, a in halves.items()}
    optimizer.rebind(other)  # it is the rounded master, which goes on
    assert bits(optimizer.state["w"]["master"]) == bits(master)
    back = {name: optimizer.state[name]["master"].copy() for name in params}
    optimizer.rebind(back)
    assert "master" not in optimizer.state["w"]
    optimizer.step(arrays(rng))
    assert optimizer.steps["w"] == 3
    with_remainder = ac.SGD({"w": np.ones(3, BF16)}, precision=ac.Precision(master="remainder"))
    with pytest.raises(ValueError, match=r"params\['w'\]: master='remainder'"):
        with_remainder.rebind({"w": np.ones(3, F16)})


def test_state_that_is_not_in_use_moves_too(rng: np.random.Generator) -> None:
    params = {"w": rng.standard_normal(5)}
    optimizer, other = ac.SGD(params, lr=0.1, momentum=0.9), ac.SGD(params["w"].copy(), lr=0.1, momentum=0.9)
    for momentum in (0.9, 0.0, 0.5):
        for each in (optimizer, other):
            each.param_groups[0]["momentum"] = momentum
        grads = rng.standard_normal(5)
        optimizer.step({"w": grads})
        other.step(grads)
        optimizer.rebind({"w": optimizer.param_groups[0]["params"][0].copy()})
        assert bits(optimizer.param_groups[0]["params"][0]) == bits(other.param_groups[0]["params"][0])
        assert bits(optimizer.state["w"]["momentum_buffer"]) == bits(other.state["0"]["momentum_buffer"])


def test_the_old_arrays_are_released() -> None:
    class Array(np.ndarray):
        pass

    old = {"w": np.ones(3).view(Array)}
    optimizer = ac.SGD(old)
    gone = weakref.ref(old["w"])
    new = {"w": np.ones(3)}
    optimizer.step({"w": np.ones(3)})
    optimizer.rebind(new)
    del old
    gc.collect()
    assert gone() is None


def test_schedules_are_not_called_and_stay() -> None:
    asked: list[int] = []
    optimizer = ac.SGD(np.ones(3), lr=lambda step: asked.append(step) or 0.5)
    optimizer.step(np.ones(3))
    asked.clear()
    optimizer.rebind(np.ones(3))
    assert asked == []
    optimizer.step(np.ones(3))
    assert asked == [1]
