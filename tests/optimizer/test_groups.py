"""Writes to what an optimizer shows: each takes effect, or raises an error that says how to do it."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core
from helpers import bits


def write(key: str, value: Any) -> list[Callable[[dict[str, Any]], Any]]:
    """All ways to write to a dict."""

    def by_or(group: dict[str, Any]) -> None:
        group |= {key: value}

    return [
        lambda group: group.__setitem__(key, value),
        lambda group: group.update({key: value}),
        lambda group: group.update([(key, value)]),
        lambda group: group.update(**{key: value}),
        lambda group: group.setdefault(key, value),
        by_or,
        lambda group: group.__ior__([(key, value)]),
    ]


@pytest.mark.parametrize("way", range(7))
@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("learning_rate", "; did you mean 'lr'?"),
        ("LR", "; did you mean 'lr'?"),
        ("beta1", "; did you mean 'betas'?"),
        ("weight_dacay", "; did you mean 'weight_decay'?"),
        ("names", ""),
        ("momentum", ""),
        ("initial_lr", ""),
    ],
)
def test_unknown_keys_are_refused_at_once(way: int, key: str, hint: str) -> None:
    optimizer = ac.AdamW([{"params": {"w": np.ones(3)}}, {"params": {"b": np.ones(3)}}])
    for shown, place in ((optimizer.param_groups[1], "a group"), (optimizer.defaults, "defaults")):
        before = dict(shown)
        with pytest.raises(TypeError) as caught:
            write(key, 0.5)[way](shown)
        assert str(caught.value).startswith(
            f"AdamW: unknown option {key!r} in {place}; the known options are lr, betas, eps, weight_decay, amsgrad, "
            f"cautious, maximize{hint}"
        )
        assert dict(shown) == before


def test_an_update_with_one_unknown_key_writes_nothing() -> None:
    group = ac.SGD(np.ones(3)).param_groups[0]
    before = dict(group)
    with pytest.raises(TypeError, match=r"unknown option 'moment'.*did you mean 'momentum'"):
        group.update(lr=0.5, moment=0.9)
    with pytest.raises(TypeError, match="unknown option 3 in a group"):
        group[3] = 0.5  # type: ignore[index]
    assert dict(group) == before


def test_needed_keys_stay() -> None:
    optimizer = ac.SGD([{"params": {"w": np.ones(3)}, "name": "all"}])
    for shown in (optimizer.param_groups[0], optimizer.defaults):
        before = dict(shown)

        def delete(shown: dict[str, Any] = shown) -> None:
            del shown["lr"]

        for remove in (delete, lambda shown=shown: shown.pop("lr"), shown.popitem, shown.clear):
            with pytest.raises(TypeError, match=r"cannot be removed from .*: write another value instead"):
                remove()
        with pytest.raises(KeyError):
            del shown["rate"]
        assert shown.pop("rate", None) is None
        assert dict(shown) == before
    assert optimizer.param_groups[0].pop("name") == "all"
    optimizer.param_groups[0]["name"] = "again"
    del optimizer.param_groups[0]["name"]
    optimizer.step({"w": np.ones(3)})


def test_what_is_known_is_taken() -> None:
    p = np.zeros(3)
    optimizer = ac.SGD(p, lr=1.0)
    group = optimizer.param_groups[0]
    assert isinstance(group, dict)
    total = 0.0
    for k, way in enumerate(w for value in (0.5, np.float32(0.25), 2) for w in write("lr", value)):
        way(group)
        optimizer.step(np.ones(3))
        total += (0.5, 0.25, 2)[k // 7] if k % 7 != 4 else group["lr"]
    assert p.tolist() == [-total] * 3
    group.update(group)  # what a checkpoint of one's own may do
    group.update(dict(group))
    assert group.setdefault("lr", 3.0) == 2


def test_flags_are_flags() -> None:
    optimizer = ac.SGD(np.ones(3), momentum=0.9)
    for bad in ("no", None, np.ones(2), 2, 0.0):
        with pytest.raises(TypeError, match="SGD: nesterov must be True or False, got"):
            optimizer.param_groups[0]["nesterov"] = bad
        with pytest.raises(TypeError, match="SGD: maximize must be True or False, got"):
            ac.SGD(np.ones(3), maximize=bad)
        with pytest.raises(TypeError, match="sgd: maximize must be True or False, got"):
            ac.functional.sgd(np.ones(3), np.ones(3), t=1, maximize=bad)
    for good in (True, 0, np.bool_(1)):
        optimizer.param_groups[0]["maximize"] = good


def test_names_cannot_be_changed() -> None:
    optimizer = ac.SGD({"w": np.ones(3), "b": np.ones(2)})
    names = optimizer.param_groups[0]["param_names"]
    assert isinstance(names, list)
    for change in (
        lambda: names.append("c"),
        names.reverse,
        lambda: names.__setitem__(0, "v"),
        lambda: names.__iadd__(["v"]),
        lambda: optimizer.param_groups[0].update(param_names=["b", "w"]),
        lambda: optimizer.param_groups[0].update(param_names=3),
    ):
        with pytest.raises(TypeError, match="param_names cannot be changed"):
            change()
    optimizer.param_groups[0]["param_names"] = ["w", "b"]
    assert list(optimizer.steps) == optimizer.param_groups[0]["param_names"] == ["w", "b"]


def test_copies_of_a_group_are_plain() -> None:
    group = ac.AdamW([{"params": {"w": np.ones(3)}, "name": "all"}]).param_groups[0]
    for copied in (dict(group), group.copy(), copy.copy(group), {**group}, group | {}):
        assert type(copied) is dict
        assert copied == group
        assert copied["params"] is group["params"]
    for copied in (copy.deepcopy(group), pickle.loads(pickle.dumps(group))):  # noqa: S301
        assert type(copied) is dict
        assert copied.keys() == group.keys()
        assert copied["param_names"] == ["w"]
        assert copied["params"][0] is not group["params"][0]
        copied["note"] = 1
        copied["param_names"].append("mine")
    hyper = {key: value for key, value in group.items() if key != "params"}
    assert json.loads(json.dumps(hyper)) == {**hyper, "betas": [0.9, 0.999]}


def test_defaults_are_those_of_later_groups() -> None:
    optimizer = ac.SGD({"w": np.ones(3)}, lr=0.5)
    optimizer.defaults["lr"] = 0.25
    optimizer.defaults.update(momentum=0.9)
    assert optimizer.param_groups[0]["lr"] == 0.5
    b = np.zeros(2)
    optimizer.add_param_group({"params": {"b": b}})
    optimizer.step({"w": None, "b": np.ones(2)})
    assert b.tolist() == [-0.25, -0.25]
    assert list(optimizer.state["b"]) == ["momentum_buffer"]
    for key, value in (("lr", -1.0), ("lr", "fast"), ("momentum", float("nan")), ("nesterov", "no")):
        with pytest.raises((TypeError, ValueError), match=f"SGD: {key} must be"):
            optimizer.defaults[key] = value
    assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (0.25, 0.9)


def test_a_default_out_of_range_is_refused_though_no_group_takes_it() -> None:
    with pytest.raises(ValueError, match=r"^AdamW: lr must be a finite number >= 0, got -1$"):
        ac.AdamW([{"params": np.ones(3), "lr": 0.1}], lr=-1)
    p = np.zeros(3)  # what goes together only with what a group says does
    ac.SGD([{"params": p, "momentum": 0.5}], lr=1.0, nesterov=True).step(np.ones(3))
    assert p.tolist() == [-1.5] * 3


OPTIONS = ("clip_norm", "clip_norm_per_tensor", "clip_adaptive", "clip_value", "nonfinite", "precision")


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "RMSprop", "Adagrad"])
def test_hyper_parameters_and_options_are_not_attributes(name: str) -> None:
    p = np.ones(3)
    optimizer = getattr(ac, name)(p)
    for key in optimizer.defaults:
        with pytest.raises(AttributeError) as caught:
            setattr(optimizer, key, 0.5)
        assert f"for group in opt.param_groups: group[{key!r}] = x" in str(caught.value)
        with pytest.raises(AttributeError):
            getattr(optimizer, key)
    for key in OPTIONS:
        with pytest.raises(AttributeError, match=rf"{name}\(params, {key}=\.\.\.\); opt.options\['{key}'\] returns it"):
            setattr(optimizer, key, 1.0)
    others = {f for rule in _core.rules().values() for f in rule["fields"]} | {"betas", "nesterov", "centered"}
    for key in (others - set(optimizer.defaults)) | {"learning_rate", "weight_dcay", "clipnorm", "clip_nrom"}:
        with pytest.raises(AttributeError, match=f"{name}: the attribute '{key}' cannot be written to; "):
            setattr(optimizer, key, 0.5)
    for key in ("loss_scale", "params"):
        with pytest.raises(AttributeError, match=f"{name}: the attribute '{key}' cannot be written to: "):
            setattr(optimizer, key, 0.5)
    with pytest.raises(AttributeError, match="did you mean 'lr'"):
        optimizer.learning_rate = 0.5
    assert set(vars(optimizer)) == set(vars(getattr(ac, name)(p)))


def test_what_an_optimizer_shows_is_not_replaced() -> None:
    optimizer = ac.AdamW({"w": np.ones(3)})
    for name, hint in (
        ("param_groups", "write to the dicts in it, or call add_param_group"),
        ("state", "write into its arrays"),
        ("steps", "load_state_dict sets step counts"),
        ("defaults", "write to its keys"),
        ("options", "pass them when the optimizer is made"),
    ):
        before = list(getattr(optimizer, name))
        with pytest.raises(AttributeError, match=f"^AdamW: {name} cannot be replaced: {hint}"):
            setattr(optimizer, name, {})
        with pytest.raises(AttributeError, match=f"^AdamW: {name} cannot be replaced: {hint}"):
            delattr(optimizer, name)
        assert list(getattr(optimizer, name)) == before
    with pytest.raises(AttributeError, match="completed cannot be replaced: load_state_dict sets the number of"):
        optimizer.completed = 3  # type: ignore[misc]
    for shown in (optimizer.steps, optimizer.state, optimizer.options):
        with pytest.raises(TypeError, match=r"cannot be replaced|does not support item assignment"):
            shown["w"] = 3  # type: ignore[index]
    with pytest.raises(AttributeError):
        optimizer.step({"w": np.ones(3)}).skipped = True  # type: ignore[misc]


def test_state_is_written_into_and_not_replaced() -> None:
    optimizer = ac.AdamW({"w": np.ones(3)})
    optimizer.step({"w": np.ones(3)})
    slots = optimizer.state["w"]
    slots["exp_avg"] *= 2
    slots["exp_avg_sq"][...] = 4.0
    before = {slot: array.copy() for slot, array in slots.items()}
    assert np.allclose(before["exp_avg"], 0.2)
    for write in (
        lambda: slots.__setitem__("exp_avg", np.zeros(3)),
        lambda: slots.update(exp_avg=np.zeros(3)),
        lambda: slots.setdefault("master", np.zeros(3)),
        lambda: slots.pop("exp_avg"),
        slots.clear,
    ):
        with pytest.raises(
            TypeError, match=r"state cannot be replaced: write into its arrays, state\[name\]\[slot\]\[...\] = x"
        ):
            write()
    assert {slot: array.tolist() for slot, array in optimizer.state["w"].items()} == {
        slot: array.tolist() for slot, array in before.items()
    }
    assert type(copy.deepcopy(slots)) is type(copy.copy(slots)) is type(pickle.loads(pickle.dumps(slots))) is dict  # noqa: S301


def test_attributes_of_ones_own_are_taken() -> None:
    class Noted(ac.AdamW):
        def __init__(self, params: Any, *, warmup: int) -> None:
            self.warmup = warmup
            super().__init__(params)

        @property
        def lr(self) -> float:
            return self.param_groups[0]["lr"]

        @lr.setter
        def lr(self, value: float) -> None:
            self.param_groups[0]["lr"] = value

    optimizer = Noted(np.ones(3), warmup=10)
    optimizer.tag = "mine"
    optimizer.lr = 0.5
    assert (optimizer.warmup, optimizer.tag, optimizer.param_groups[0]["lr"]) == (10, "mine", 0.5)


def test_a_step_sees_every_change_of_a_group() -> None:
    """Groups that have not changed are not read again: each kind of change is noticed, also within a value."""
    betas, plain = [0.9, 0.99], {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-6, "weight_decay": 0.1}
    w, v, g = np.ones(3), np.ones(3), np.full(3, 0.3)
    opt, fresh = ac.AdamW(w, amsgrad=True), ac.AdamW(v, amsgrad=True)

    group = opt.param_groups[0]

    def change(write: Callable[[dict[str, Any]], object]) -> None:
        for _ in range(3):
            opt.step(g)
            fresh.step(g)
        write(group)
        # A new optimizer reads everything.
        state = fresh.state_dict()
        other = ac.AdamW(v, amsgrad=True)
        other.load_state_dict(state)
        write(other.param_groups[0])
        opt.step(g)
        other.step(g)
        assert bits(w) == bits(v)
        fresh.load_state_dict(other.state_dict(), schedules="own")
        write(fresh.param_groups[0])

    for key, value in plain.items():
        change(lambda group, key=key, value=value: group.__setitem__(key, value))
    change(lambda group: group.update(betas=betas))
    change(lambda _: betas.__setitem__(0, 0.3))
    change(lambda group: group.update(maximize=True))
    change(lambda group: group.update(amsgrad=True, maximize=np.False_))
    change(lambda group: group.update(lr=float("0.25")))
    change(lambda group: group.update(lr=lambda t: 0.1 / (t + 1)))
