"""Replacing an array where users see parameters raises an error: no optimizer silently trains the old array."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac


def new() -> np.ndarray:
    return np.full(3, 7.0)


def refused(opt: ac.Optimizer, grads: Any, match: str, arrays: list[np.ndarray]) -> None:
    before = [a.tobytes() for a in arrays]
    for _ in range(2):
        with pytest.raises(ValueError, match=match):
            opt.step(grads)
    assert [a.tobytes() for a in arrays] == before
    assert set(opt.steps.values()) == {0}


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_another_array_in_the_dict(kind: type) -> None:
    params = kind(w=np.ones(3), b=np.ones(3))
    old = [*params.values()]
    opt = ac.SGD(params, lr=1.0)
    params["b"] = new()
    refused(opt, {"w": new(), "b": new()}, r"params\['b'\]: another array has taken its place in the dict", old)
    params["b"] = old[1]
    params["more"] = new()  # nobody trains that, and nobody has said so
    opt.step({"w": new(), "b": new()})
    assert old[1][0] == -6


def test_entries_in_another_order_are_the_same() -> None:
    params = {"w": np.ones(3), "b": np.ones(3)}
    opt = ac.SGD(params, lr=1.0)
    params["w"] = params.pop("w")
    opt.step({"w": new(), "b": new()})
    params["w"] = new()
    with pytest.raises(ValueError, match=r"params\['w'\]: another array has taken its place"):
        opt.step({"w": new(), "b": new()})


CHANGES: dict[str, Callable[[list], Any]] = {
    "another": lambda params: params.__setitem__(1, new()),
    "reversed": lambda params: params.reverse(),
    "inserted": lambda params: params.insert(0, new()),
    "removed": lambda params: params.pop(0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_list_that_changes(change: str) -> None:
    params = [np.ones(3), np.ones(3)]
    old = list(params)
    opt = ac.SGD(params, lr=1.0)
    CHANGES[change](params)
    refused(opt, [new(), new()], r"params\[[01]\]: another array has taken its place in the list", old)


def test_a_list_that_is_used_up() -> None:
    params = [np.ones(3), np.ones(3)]
    old = list(params)
    opt = ac.SGD(params, lr=1.0)
    params.clear()
    opt.step([new(), new()])
    assert old[1][0] == -6


def test_a_container_of_a_group() -> None:
    inner = {"w": np.ones(3)}
    opt = ac.SGD([{"params": inner, "lr": 1.0}], lr=0.5)
    more = [np.ones(3)]
    opt.add_param_group({"params": more})
    opt.step([new(), new()])
    more[0] = new()
    with pytest.raises(ValueError, match=r"param_groups\[1\]\['params'\]\[0\]: another array has taken its place"):
        opt.step([new(), new()])


GROUP_CHANGES: dict[str, tuple[Callable[[ac.Optimizer], Any], str]] = {
    "an array of a group": (
        lambda opt: opt.param_groups[0]["params"].__setitem__(0, new()),
        r"param_groups\[0\]\['params'\] has been changed",
    ),
    "more of a group": (
        lambda opt: opt.param_groups[1]["params"].append(new()),
        r"param_groups\[1\]\['params'\] has been changed",
    ),
    "none of a group": (
        lambda opt: opt.param_groups[0]["params"].clear(),
        r"param_groups\[0\]\['params'\] has been changed",
    ),
    "reversed": (lambda opt: opt.param_groups.reverse(), r"param_groups\[0\] is not the dict that was added there"),
    "replaced": (
        lambda opt: opt.param_groups.__setitem__(1, dict(opt.param_groups[1])),
        r"param_groups\[1\] is not the dict that was added there",
    ),
    "removed": (lambda opt: opt.param_groups.pop(), "param_groups has 1 groups, but 2 were added"),
}


@pytest.mark.parametrize("change", GROUP_CHANGES)
def test_groups_that_change(change: str) -> None:
    apply, match = GROUP_CHANGES[change]
    old = [np.ones(3), np.ones(3)]
    opt = ac.SGD([{"params": [old[0]], "lr": 1.0}, {"params": [old[1]], "lr": 0.5}], lr=0.1)
    apply(opt)
    refused(opt, [new(), new()], match, old)


def test_params_of_a_group_are_not_written_whole() -> None:
    w = np.ones(3)
    opt = ac.SGD([w], lr=1.0)
    opt.param_groups[0]["params"] = []
    with pytest.raises(ValueError, match=r"param_groups\[0\]\['params'\] has been changed"):
        opt.step([new()])
    assert w[0] == 1
