"""Replacing an array where users see parameters raises an error: no optimizer silently trains the old array."""

from __future__ import annotations

import time
from collections import OrderedDict, UserDict
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
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


class Store(Mapping[Any, Any]):
    """A mapping that is not a dict. It may return new views of its arrays."""

    def __init__(self, items: dict[Any, Any], *, views: bool = False) -> None:
        self.items_, self.views = items, views

    def __getitem__(self, key: Any) -> Any:
        return self.items_[key][...] if self.views else self.items_[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items_)

    def __len__(self) -> int:
        return len(self.items_)


DEEP: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], str]] = {
    "a dict in a dict": (
        lambda: {"a": {"w": new(), "b": new()}},
        lambda p: p["a"].update(b=new()),
        r"params\['a'\]\['b'\]",
    ),
    "a dict that is replaced": (
        lambda: {"a": {"w": new()}},
        lambda p: p.update(a={"w": new()}),
        r"params\['a'\]\['w'\]",
    ),
    "a list in a dict": (lambda: {"a": [new(), new()]}, lambda p: p["a"].reverse(), r"params\['a'\]\[0\]"),
    "a tuple in a list": (
        lambda: [(new(), new()), (new(), new())],
        lambda p: p.__setitem__(1, (p[1][0], new())),
        r"params\[1\]\[1\]",
    ),
    "a list in a tuple": (lambda: ([new()], [new()]), lambda p: p[1].__setitem__(0, new()), r"params\[1\]\[0\]"),
    "pairs": (lambda: [("w", new()), ("b", new())], lambda p: p.__setitem__(1, ("b", new())), r"params\['b'\]"),
    "keys of any kind": (
        lambda: {("a", 1): new(), 2.5: [new()]},
        lambda p: p[2.5].__setitem__(0, new()),
        r"params\[2\.5\]\[0\]",
    ),
    "keys of any kind, reordered": (
        lambda: {("a", 1): new(), 2.5: new()},
        lambda p: (p.update({("a", 1): p.pop(("a", 1))}), p.update({2.5: new()})),
        r"params\[2\.5\]",
    ),
    "a proxy": (
        lambda: {"a": MappingProxyType({"w": [new()]})},
        lambda p: p["a"]["w"].__setitem__(0, new()),
        r"params\['a'\]\['w'\]\[0\]",
    ),
    "another mapping": (lambda: UserDict(w=new(), b=new()), lambda p: p.update(b=new()), r"params\['b'\]"),
    "a mapping in a list": (
        lambda: [Store({"w": new()})],
        lambda p: p[0].items_.update(w=new()),
        r"params\[0\]\['w'\]",
    ),
    "a mapping of views": (
        lambda: Store({1: new()}, views=True),
        lambda p: p.items_.update({1: new()}),
        r"params\[1\]",
    ),
}


def zeros_like(params: Any) -> Any:
    if isinstance(params, Mapping):
        return {key: zeros_like(params[key]) for key in params}
    if isinstance(params, (list, tuple)):
        return type(params)(zeros_like(value) for value in params)
    return params if isinstance(params, str) else np.zeros(3)


@pytest.mark.parametrize("kind", DEEP)
def test_replaced_arrays_are_noticed_in_any_depth(kind: str) -> None:
    make, replace, label = DEEP[kind]
    params = make()
    optimizer = ac.SGD(params, lr=1.0)
    grads = zeros_like(params)
    for _ in range(2):
        optimizer.step(grads)
    replace(params)
    with pytest.raises(
        ValueError, match=rf"^{label}: another array has taken its place in the .*opt\.rebind\(params\)"
    ):
        optimizer.step(grads)
    assert set(optimizer.steps.values()) == {2}


def test_what_is_added_or_removed_does_not_matter() -> None:
    params = {"a": {"w": new(), "b": new()}, "c": [new(), new()], "d": UserDict(w=new())}
    optimizer = ac.SGD(params, lr=1.0)
    grads = zeros_like(params)
    params["a"]["more"] = new()
    params["more"] = {"w": new()}
    params["c"].append(new())
    optimizer.step(grads)
    del params["a"]["w"], params["c"][1:], params["d"]["w"]
    optimizer.step(grads)
    params["a"] = None
    params["c"] = new()
    optimizer.step(grads)
    assert set(optimizer.steps.values()) == {3}


def test_the_same_arrays_in_another_list() -> None:
    params = [new(), new()]
    optimizer = ac.SGD(params, lr=1.0)
    optimizer.param_groups[0]["params"] = list(params)
    optimizer.step([new(), new()])
    optimizer.param_groups[0]["params"][1] = new()
    with pytest.raises(ValueError, match=r"\['params'\] has been changed: params\[1\] is another array now"):
        optimizer.step([new(), new()])


@pytest.mark.parametrize("kind", [list, dict, "pairs"])
def test_a_mapping_that_empties_the_container_it_is_in(kind: Any) -> None:
    class Emptying(Store):
        def __getitem__(self, key: Any) -> Any:
            if optimizer is not None:
                params.clear()
            return super().__getitem__(key)

    optimizer = None
    items: list[Any] = [Emptying({"w": new()}), *({"w": new()} for _ in range(100))]
    named = {f"k{i}": item for i, item in enumerate(items)}
    params: Any = items if kind is list else named if kind is dict else list(named.items())
    grads = zeros_like(params) if kind is not dict else {key: {"w": np.zeros(3)} for key in named}
    del items, named
    optimizer = ac.SGD(params, lr=1.0)
    optimizer.step(grads)
    assert not params
    assert set(optimizer.steps.values()) == {1}


def test_a_large_dict_in_another_order_takes_no_longer() -> None:
    params = {i: {"w": np.zeros(1)} for i in range(8000)}
    optimizer = ac.SGD(params, lr=1.0)
    grads = {i: {"w": np.zeros(1)} for i in params}
    params[0] = params.pop(0)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        optimizer.step(grads)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.1  # 0.5 s if each key is looked for among all
