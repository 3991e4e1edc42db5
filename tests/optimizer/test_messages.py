"""Error messages use the user's names, suggest what was meant, and never print an array's elements."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import _core, functional

BIG = np.full((1000, 1000), 0.125)


class Oddity:
    """An object that raises an error whatever it is asked."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")


ANYTHING: list[Any] = [
    None,
    "2",
    b"2",
    3,
    -1,
    1.5,
    True,
    10**30,
    10**400,
    1j,
    BIG,
    [BIG],
    (BIG, BIG),
    {"w": BIG},
    {1, 2},
]
ANYTHING += [
    {"params": [BIG]},
    [{"param": BIG}],
    [[BIG]],
    object(),
    Oddity(),
    dict,
    lambda: 0,
    iter([BIG]),
    "\udc80",
    BIG[0],
]
NAMES = [type(value).__name__ for value in ANYTHING]


def calls() -> dict[str, Callable[[Any], Any]]:
    """Every public call, with an arbitrary object as one argument."""
    w, g = np.ones(3), np.ones(3)
    found: dict[str, Callable[[Any], Any]] = {
        "set_num_threads": ac.set_num_threads,
        "global_norm": ac.global_norm,
        "clip_grad_norm_": lambda x: ac.clip_grad_norm_(x, 1e9),
        "clip_grad_norm_ max_norm": lambda x: ac.clip_grad_norm_(g, x),
        "clip_grad_value_": lambda x: ac.clip_grad_value_(x, 1e9),
        "clip_grad_value_ value": lambda x: ac.clip_grad_value_(g, x),
        "StepInfo.skipped": lambda x: ac.SGD(w).step(x),
        "step by name": lambda x: ac.SGD({"w": w}).step(x),
        "step of a name": lambda x: ac.SGD({"w": w}).step({"w": x}),
        "step of many": lambda x: ac.SGD([w, np.ones(2)]).step([g, x]),
        "step, named": lambda x: ac.SGD({"w": w}).step({"w": g, x: g}),
        "loss_scale": lambda x: ac.SGD(w).step(g, loss_scale=x),
        "add_param_group": lambda x: ac.SGD(w).add_param_group(x),
        "add_param_group params": lambda x: ac.SGD(w).add_param_group({"params": x}),
        "add_param_group names": lambda x: ac.SGD(w).add_param_group({"params": [np.ones(2)], "param_names": x}),
        "load_state_dict": lambda x: ac.SGD(w).load_state_dict(x),
        "param_groups": ac.SGD(w).param_groups[0].update,
        "scaler": lambda x: ac.LossScaler().load_state_dict(x),
        "device_scale": lambda x: ac.LossScaler().device_scale(x),
        "adam_update t": lambda x: ac.adam_update(w, g, np.zeros(3), np.zeros(3), x),
    }
    for key in ("lr", "momentum", "weight_decay", "nesterov", "maximize", "name", "param_names"):
        found[f"write {key}"] = lambda x, key=key: ac.SGD(w).param_groups[0].update({key: x})
        found[f"step with {key}"] = lambda x, key=key: (
            (opt := ac.SGD(w)).param_groups[0].update({key: x}),
            opt.step(g),
        )
    for name in ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad"):
        optimizer, function = getattr(ac, name), getattr(functional, name.lower())
        found[f"{name} params"] = optimizer
        found[f"{name} group"] = lambda x, f=optimizer: f([{"params": x}])
        for key in inspect.signature(optimizer).parameters:
            if key != "params":
                found[f"{name} {key}"] = lambda x, f=optimizer, key=key: f(np.ones(3), **{key: x})
        slots = len(_core.rules()[optimizer._rule(optimizer(w).defaults)]["slots"])
        for key in inspect.signature(function).parameters:
            if key != "state":
                found[f"functional.{name} {key}"] = lambda x, f=function, key=key, slots=slots: f(
                    *([] if key == "p" else [np.ones(3)]),
                    *([] if key == "g" else [np.ones(3)]),
                    *([np.zeros(3) for _ in range(slots)] if key not in ("p", "g") else []),
                    **{"t": 1, key: x},
                )
    for key in inspect.signature(ac.LossScaler).parameters:
        found[f"LossScaler {key}"] = lambda x, key=key: ac.LossScaler(**{key: x})
        found[f"LossScaler.{key}"] = lambda x, key=key: setattr(ac.LossScaler(), key.removeprefix("init_"), x)
    for key in inspect.signature(ac.Precision).parameters:
        found[f"Precision {key}"] = lambda x, key=key: ac.Precision(**{key: x})
    return found


@pytest.mark.parametrize("name", calls())
def test_messages_are_ours_and_short(name: str) -> None:
    call = calls()[name]
    for value, kind in zip(ANYTHING, NAMES, strict=True):
        error = error_of(call, value)
        text = "" if error is None else str(error)
        assert "incompatible" not in text, (kind, text)
        assert text.count("0.125") <= 1, (kind, text)
        assert "std::" not in text, (kind, text)
        assert len(text) < 700, (kind, text)
        assert isinstance(error, (TypeError, ValueError, KeyError, AttributeError, type(None))) or kind == "Oddity"


def error_of(call: Callable[[Any], Any], value: Any) -> Exception | None:
    try:
        call(value)
    except Exception as error:  # noqa: BLE001  (which it is, is looked at)
        return error
    return None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (BIG, "an array of shape (1000, 1000)"),
        ([BIG, BIG], "a list of 2"),
        ({"w": BIG}, "a dict of 1"),
        ((0.5, "a"), "(0.5, 'a')"),
        (list(range(100)), "a list of 100"),
        ("x" * 200, "'" + "x" * 79 + "..."),
        ("é" * 200, "'" + "é" * 39 + "..."),
        (np.array(0.5), "array(0.5)"),
        (np.ndarray, "<class 'numpy.ndarray'>"),
        (None, "None"),
    ],
    ids=str,
)
def test_values_in_a_few_words(value: Any, text: str) -> None:
    assert _core.short_repr(value) == text


def test_values_that_do_not_print() -> None:
    assert _core.short_repr(Oddity()) == "an object of type Oddity"

    class Interrupted:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _core.short_repr(Interrupted())
    assert _core.short_repr(10**5000) == "an object of type int"
    with pytest.raises(ValueError, match=r"SGD: lr must be .*, got an object of type int"):
        ac.SGD(np.ones(3), lr=10**5000)


def two(a: int, b: int) -> float:  # noqa: ARG001
    return 0.1


def keyword(*, step: int) -> float:  # noqa: ARG001
    return 0.1


def broken(step: int) -> float:
    return "a" + step  # type: ignore[operator, return-value]


SCHEDULES = [
    (two, r"cannot be called with one number: missing a required argument: 'b'"),
    (keyword, r"cannot be called with one number: too many positional arguments"),
    (lambda: 0.1, r"cannot be called with one number: too many positional arguments"),
    (ac.LossScaler.update, r"cannot be called with one number"),
    (dict, r"got <class 'dict'>, a class that cannot be constructed from one number"),
    (lambda _: None, r"got None from its schedule, <function"),
    (lambda _: "0.1", r"got '0.1' from its schedule"),
    (lambda _: BIG, r"got an array of shape \(1000, 1000\) from its schedule"),
    (
        ac.LossScaler,
        r"got <class 'adamcore.loss_scaler.LossScaler'>, a class that cannot be constructed from one number",
    ),
]


@pytest.mark.parametrize(("schedule", "match"), SCHEDULES, ids=[match for _, match in SCHEDULES])
def test_what_is_no_schedule(schedule: Any, match: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^AdamW: lr must be .*{match}.* \(in param_groups\[0\]\)$"):
        ac.AdamW(np.ones(3), lr=schedule)
    p = np.ones(3)
    optimizer = ac.AdamW(p)
    optimizer.param_groups[0]["lr"] = schedule
    with pytest.raises((TypeError, ValueError), match=rf"^AdamW: lr must be .*{match}"):
        optimizer.step(np.ones(3))
    assert p.tolist() == [1.0] * 3
    assert optimizer.steps["0"] == 0


def test_what_a_schedule_raises_is_its_own() -> None:
    with pytest.raises(TypeError, match="can only concatenate str"):
        ac.AdamW(np.ones(3), lr=broken)

    def keyerror(step: int) -> float:
        return {}[step]

    with pytest.raises(KeyError):
        ac.AdamW(np.ones(3), lr=keyerror)


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("learning_rate", "lr"),
        ("alpha", "lr"),
        ("beta1", "betas"),
        ("epsilon", "eps"),
        ("wieght_decay", "weight_decay"),
        ("max_grad_norm", "clip_norm"),
        ("clipvalue", "clip_value"),
        ("non_finite", "nonfinite"),
        ("momentum", None),
        ("dtype", None),
    ],
)
def test_unknown_arguments(argument: str, meant: str | None) -> None:
    hyper = "lr, betas, eps, weight_decay, amsgrad, cautious, maximize"
    known = f"{hyper}, clip_norm, clip_norm_per_tensor, clip_adaptive, clip_value"
    with pytest.raises(TypeError) as caught:
        ac.AdamW(np.ones(3), **{argument: 0.1})
    text = f"AdamW: unexpected argument {argument!r}; the arguments are params, {known}, nonfinite, precision"
    if "state_rounding" not in str(caught.value):
        assert str(caught.value) == text + (f"; did you mean {meant!r}?" if meant else "")


def test_groups_that_are_none() -> None:
    with pytest.raises(
        TypeError, match=r"^params\[0\]: expected a group, .*got one with \['param', 'lr'\]; did you mean 'pa"
    ):
        ac.SGD([{"param": BIG, "lr": 0.1}])
    with pytest.raises(TypeError, match=r"^group: expected a dict with the key 'params', got one with \['weights'\]"):
        ac.SGD(np.ones(3)).add_param_group({"weights": BIG})
    with pytest.raises(TypeError, match=r"^params: a group must be in a list of groups: \[\{'params': \.\.\.\}"):
        ac.SGD({"params": [BIG], "lr": 0.1})


def test_swapped_arguments_print_no_arrays() -> None:
    for call, match in (
        (lambda: ac.SGD(0.1, BIG), r"^SGD: lr must be .*, got an array of shape \(1000, 1000\)$"),
        (lambda: ac.SGD(BIG, lr=[BIG]), "^SGD: lr must be .*, got a list of 1$"),
        (lambda: ac.AdamW(BIG, betas=BIG), r"^AdamW: betas must .*, got an array of shape \(1000, 1000\)$"),
        (lambda: ac.clip_grad_norm_(1.0, BIG), r"max_norm must be a number, got an array of shape \(1000, 1000\)"),
        (lambda: ac.clip_grad_value_(1.0, [BIG]), "value must be a number, got a list of 1"),
        (lambda: ac.SGD(BIG.copy()).step(BIG, loss_scale=BIG), r"loss_scale must be .*, got an array of shape"),
        (lambda: ac.SGD(BIG, clip_norm=BIG), "clip_norm must be a number > 0, got an array of shape"),
        (lambda: ac.SGD(BIG, clip_norm="1.0"), "clip_norm must be a number > 0, got '1.0'"),
        (lambda: ac.SGD(BIG, clip_norm=True), "clip_norm must be a number > 0, got True"),
        (lambda: ac.SGD(BIG, nonfinite=BIG), "nonfinite must be 'propagate', 'skip' or 'raise', got an array"),
        (lambda: ac.SGD(BIG, precision=BIG), "precision must be an adamcore.Precision, got an array of shape"),
        (lambda: ac.Precision(master=BIG), "Precision: master must be one of .*, got an array of shape"),  # type: ignore[arg-type]
        (lambda: ac.Precision(seed=BIG), "Precision: seed must be an int, got an array of shape"),  # type: ignore[arg-type]
        (lambda: ac.set_num_threads("2"), "the number of threads must be at least 1, and an int, got '2'"),  # type: ignore[arg-type]
        (lambda: ac.set_num_threads(BIG), "the number of threads must be .*, got an array of shape"),  # type: ignore[arg-type]
        (lambda: ac.set_num_threads(0), "the number of threads must be at least 1"),
        (lambda: functional.sgd(BIG, BIG.copy(), t=BIG), "sgd: t must be an integer, .*, got an array of shape"),
        (
            lambda: functional.sgd(BIG, BIG.copy(), t=10**30),
            "sgd: t must be the number of this update, from 1 to .*, got 1000",
        ),
        (
            lambda: functional.sgd(BIG, BIG.copy(), t=1, lr=lambda _: 0.1),
            r"got a schedule; call it: lr=schedule\(t - 1",
        ),
    ):
        with pytest.raises((TypeError, ValueError), match=match):
            call()
    before = ac.get_num_threads()
    ac.set_num_threads(10**12)  # more than there are is all there may be
    assert ac.get_num_threads() == 2**31 - 1
    ac.set_num_threads(before)


def test_repr_shows_clipping_checks_and_precision() -> None:
    optimizer = ac.SGD([{"params": [BIG], "name": "all"}], lr=lambda t: 0.1 / (1 + t), clip_norm=0.5, nonfinite="skip")
    text = repr(optimizer)
    assert "Parameter group 0 'all': 1 parameters" in text
    assert "clip_norm: 0.5" in text
    assert "nonfinite: skip" in text
    assert "precision: Precision(master='float32', rounding='nearest', state='float32'" in text
    optimizer.param_groups[0]["lr"] = BIG
    assert "lr: an array of shape (1000, 1000)" in repr(optimizer)
    assert "clipping: none" in repr(ac.SGD(BIG))


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "RMSprop", "Adagrad"])
def test_signatures_can_be_read(name: str) -> None:
    text = str(inspect.signature(getattr(ac, name)))
    assert "ForwardRef" not in text
    assert "lr: float | collections.abc.Callable[[int], float] = " in text
    assert "clip_norm: float | adamcore._guards.SpikeGuard | None = None, clip_norm_per_tensor: float | None" in text
    assert "nonfinite: Literal['propagate', 'skip', 'raise'] = 'propagate'" in text
    assert "options" not in text
    assert all(
        a.kind <= b.kind for a, b in itertools.pairwise(inspect.signature(getattr(ac, name)).parameters.values())
    )
