"""Hyper-parameters that are flags, None, infinite, or in tuples: in classes, functions, schedules, checkpoints."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from adamcore import functional

W = {"w": np.ones((2, 3), np.float32)}
PAIR = "Adafactor: eps must be a tuple of 2 elements, got "

REFUSED: list[tuple[Callable[..., Any], dict[str, Any], type[Exception], str]] = [
    (ac.Adafactor, dict(eps=1e-8), TypeError, PAIR + "1e-08"),
    (ac.Adafactor, dict(eps=None), TypeError, PAIR + "None"),
    (ac.Adafactor, dict(eps="ab"), TypeError, PAIR + "'ab'"),
    (ac.Adafactor, dict(eps=(None,)), ValueError, "Adafactor: eps must have 2 elements, got (None,)"),
    (ac.Adafactor, dict(eps=(-1, 0.0)), ValueError, "Adafactor: eps[0] must be a finite number >= 0 or None, got -1"),
    (ac.Adafactor, dict(eps=(math.nan, 0.0)), ValueError, "eps[0] must be a finite number >= 0 or None, got nan"),
    (ac.Adafactor, dict(eps=("x", 0.0)), TypeError, "eps[0] must be a finite number >= 0 or None, got 'x'"),
    (ac.Adafactor, dict(eps=(0.0, None)), TypeError, "Adafactor: eps[1] must be a finite number >= 0, got None"),
    (ac.Adafactor, dict(d=0.5), ValueError, "Adafactor: d must be a finite number >= 1, got 0.5"),
    (ac.Adafactor, dict(beta2_decay=0.5), ValueError, "beta2_decay must be a finite number <= 0, got 0.5"),
    (ac.LAMB, dict(betas=(0.9, 1.0)), ValueError, "LAMB: betas[1] must be a number in [0, 1), got 1.0"),
    (ac.LAMB, dict(betas=None), TypeError, "LAMB: betas must be a tuple of 2 numbers, got None"),
    (ac.LAMB, dict(bias_correction="no"), TypeError, "LAMB: bias_correction must be True or False, got 'no'"),
    (ac.LAMB, dict(trust_clip=0.5), TypeError, "LAMB: trust_clip must be True or False, got 0.5"),
    (ac.LAMB, dict(always_adapt=None), TypeError, "LAMB: always_adapt must be True or False, got None"),
    (ac.LAMB, dict(lr=None), TypeError, "LAMB: lr must be a finite number >= 0, got None"),
    (ac.LAMB, dict(max_grad_norm=1.0), TypeError, "did you mean 'clip_norm'?"),
    (ac.LARS, dict(nesterov=True), ValueError, "LARS: nesterov needs momentum > 0 and dampening 0"),
    (ac.LARS, dict(nesterov=True, momentum=0.9, dampening=0.1), ValueError, "LARS: nesterov needs momentum > 0"),
    (ac.LARS, dict(lr=math.inf), ValueError, "LARS: lr must be a finite number >= 0, got inf"),
    (ac.Prodigy, dict(growth_rate=0.5), ValueError, "Prodigy: growth_rate must be a number >= 1, or inf, got 0.5"),
    (ac.Prodigy, dict(growth_rate=math.nan), ValueError, "growth_rate must be a number >= 1, or inf, got nan"),
    (ac.Prodigy, dict(beta3=1.0), ValueError, "Prodigy: beta3 must be a number in [0, 1) or None, got 1.0"),
    (ac.Prodigy, dict(d0=0.0), ValueError, "Prodigy: d0 must be a finite number > 0, got 0.0"),
    (ac.Prodigy, dict(d0=None), TypeError, "Prodigy: d0 must be a finite number > 0, got None"),
]


@pytest.mark.parametrize(("optimizer", "given", "error", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_bad_values_are_named(optimizer: Any, given: dict[str, Any], error: type[Exception], message: str) -> None:
    """When an optimizer is made, a group is added, and a step reads them; and in the function."""
    with pytest.raises(error) as caught:
        optimizer(copy.deepcopy(W), **given)
    assert message in str(caught.value)
    made = optimizer(copy.deepcopy(W))
    if not set(given) <= set(made.defaults):
        return
    with pytest.raises(error) as caught:
        made.add_param_group({"params": {"x": np.ones(3)}, **given})
    assert message in str(caught.value)
    if "nesterov" not in given:
        dict.update(made.param_groups[0], given)  # past the checks of our own dict
        with pytest.raises(error) as caught:
            made.step(copy.deepcopy(W))
        assert message in str(caught.value)
        assert "(in param_groups[0])" in str(caught.value)
    call = getattr(functional, optimizer.__name__.lower(), None)
    if call:
        slots = optimizer(copy.deepcopy(W)).state["w"].values()
        with pytest.raises(error) as caught:
            call(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32), *slots, t=1, **given)
        assert message.replace(f"{optimizer.__name__}:", f"{call.__name__}:").partition(":")[2] in str(caught.value)


@pytest.mark.parametrize("value", [True, False, 1, 0, np.True_, np.int64(0)], ids=repr)
def test_flags_are_true_or_false(value: Any) -> None:
    optimizer = ac.LAMB(copy.deepcopy(W), grad_averaging=value, trust_clip=value)
    assert optimizer.state_dict()["param_groups"][0]["trust_clip"] is bool(value)


def test_flags_have_no_schedules() -> None:
    optimizer = ac.LAMB(copy.deepcopy(W))
    schedule = ac.schedules.Constant(1.0)
    with pytest.raises(TypeError, match="LAMB: trust_clip must be True or False, got Constant"):
        ac.LAMB(copy.deepcopy(W), trust_clip=schedule)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="LAMB: trust_clip must be True or False, got Constant"):
        optimizer.param_groups[0]["trust_clip"] = schedule
    dict.__setitem__(optimizer.param_groups[0], "trust_clip", schedule)
    with pytest.raises(TypeError, match="LAMB: trust_clip must be True or False, got Constant"):
        optimizer.step(copy.deepcopy(W))


def test_numbers_that_may_be_none_may_be_schedules() -> None:
    """Elements of tuples too. What they give is checked, and None is no number."""
    optimizer = ac.Adafactor(copy.deepcopy(W), eps=(ac.schedules.Linear(1e-3, 0.0, steps=2), 1e-3))
    assert optimizer.current()["eps"] == (1e-3, 1e-3)
    optimizer = ac.Prodigy(copy.deepcopy(W), beta3=lambda t: 0.5 + t)
    assert optimizer.current()["beta3"] == 0.5
    with pytest.raises(ValueError, match=r"beta3 must be a number in \[0, 1\), got 1\.5 from its schedule"):
        optimizer.load_state_dict({**optimizer.state_dict(), "completed": 1})
    with pytest.raises(TypeError, match=r"beta3 must be a number in \[0, 1\), got None from its schedule"):
        ac.Prodigy(copy.deepcopy(W), beta3=lambda _: None)  # type: ignore[arg-type, return-value]


SAVED: list[tuple[Any, dict[str, Any]]] = [
    (ac.Adafactor, dict(eps=(None, 1e-3))),
    (ac.Adafactor, dict(eps=(1e-30, 1e-3))),
    (ac.Prodigy, dict(beta3=None, growth_rate=math.inf, safeguard_warmup=True)),
    (ac.Prodigy, dict(beta3=0.25, growth_rate=2.0, decouple=False)),
    (ac.LAMB, dict(bias_correction=False, always_adapt=True)),
    (ac.LARS, dict(momentum=0.9, nesterov=True, trust_clip=True)),
]


@pytest.mark.parametrize(("optimizer", "given"), SAVED, ids=str)
def test_values_are_saved_as_they_are(optimizer: Any, given: dict[str, Any]) -> None:
    made = optimizer(copy.deepcopy(W), **given)
    saved = made.state_dict()
    for key, value in given.items():
        assert saved["param_groups"][0][key] == value
        assert type(saved["param_groups"][0][key]) is type(value)
    other = optimizer(copy.deepcopy(W))
    other.load_state_dict(saved)
    assert {key: other.param_groups[0][key] for key in given} == given
    assert {key: other.current()[key] for key in given} == given
    assert {key: copy.deepcopy(other).param_groups[0][key] for key in given} == given


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("eps", (-1.0, 1e-3), r"eps\[0\] must be a finite number >= 0 or None, got -1\.0"),
        ("eps", 1e-8, "eps must be a tuple of 2 elements, got 1e-08"),
        ("d", None, "d must be a finite number >= 1, got None"),
    ],
)
def test_bad_values_are_not_loaded(key: str, value: Any, message: str) -> None:
    optimizer = ac.Adafactor(copy.deepcopy(W))
    saved = optimizer.state_dict()
    saved["param_groups"][0][key] = value
    with pytest.raises((TypeError, ValueError), match=f"Adafactor: {message}"):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["eps"] == (None, 1e-3)


def test_schedules_of_such_numbers_are_compared() -> None:
    def made(first: Any) -> ac.Adafactor:
        return ac.Adafactor(copy.deepcopy(W), eps=(first, 1e-3))

    def schedule() -> ac.schedules.Schedule:
        return ac.schedules.Linear(1e-3, 0.0, steps=2)

    saved = made(schedule()).state_dict()
    other = made(None)
    other.load_state_dict(saved)
    assert other.param_groups[0]["eps"] == (schedule(), 1e-3)
    own = made(schedule())
    kept = own.param_groups[0]["eps"][0]
    own.load_state_dict(saved)
    assert own.param_groups[0]["eps"][0] is kept
    with pytest.raises(ValueError, match=r"\['eps'\]\[0\]: the optimizer has .*Linear.*, and the state_dict has None"):
        own.load_state_dict(made(None).state_dict())
    own.load_state_dict(made(None).state_dict(), schedules="saved")
    assert own.param_groups[0]["eps"] == (None, 1e-3)


def test_lars_takes_momentum_as_sgd_does() -> None:
    def slots(**given: Any) -> list[str]:
        return list(ac.LARS(copy.deepcopy(W), **given).state["w"])

    assert slots() == slots(dampening=0.5) == []
    assert slots(momentum=0.9) == slots(momentum=0.9, nesterov=True) == ["momentum_buffer"]
    with pytest.raises(ValueError, match="nesterov needs momentum > 0"):
        functional.lars(np.ones(3), np.ones(3), t=1, nesterov=True)
