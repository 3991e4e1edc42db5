"""Checkpoints are checked: numbers that no optimizer writes, other kinds of arrays, and missing entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import adamcore as ac
from helpers import everything


def optimizers() -> dict[str, ac.Optimizer]:
    def half() -> np.ndarray:
        return np.ones(40, ml_dtypes.bfloat16)

    kinds = {"float32": np.float32, "float64": np.float64}
    made = {f"AdamW of {name}": ac.AdamW({"w": np.ones(40, kind)}, amsgrad=True) for name, kind in kinds.items()}
    made["half state"] = ac.AdamW({"w": np.ones(40, np.float32)}, precision=ac.Precision(state="bfloat16"))
    made["float16 state"] = ac.AdamW({"w": np.ones(40, np.float32)}, precision=ac.Precision(state="float16"))
    made["RMSprop"] = ac.RMSprop({"w": np.ones(40, np.float32)}, momentum=0.9, centered=True)
    made["Adagrad"] = ac.Adagrad({"w": np.ones(40, np.float32)})
    made["SGD"] = ac.SGD({"w": np.ones(40, np.float32)}, lr=0.1, momentum=0.9)
    made["master"] = ac.SGD({"w": half()}, lr=0.1, momentum=0.9)
    made["remainder"] = ac.SGD({"w": half()}, lr=0.1, momentum=0.9, precision=ac.Precision(master="remainder"))
    made["compensated"] = ac.SGD(
        {"w": half()}, lr=0.1, momentum=0.9, precision=ac.Precision(master=None, rounding="compensated")
    )
    for opt in made.values():
        opt.step({"w": np.linspace(0.1, 1, 40).astype(np.float32)})
    return made


SQUARES = ("exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum")


@pytest.mark.parametrize("kind", optimizers())
def test_numbers_that_cannot_be(kind: str) -> None:
    opt = optimizers()[kind]
    before = everything(opt)
    slots = [slot for slot, a in opt.state["w"].items() if a.dtype.kind != "u"]
    for slot in slots:
        for value in (np.nan, -1.0, -1e-7, -0.0, np.inf):
            saved = opt.state_dict()
            saved["state"]["w"][slot][37] = value
            if np.isnan(value) or (value < 0 and slot in SQUARES and saved["state"]["w"][slot][37] != 0):
                with pytest.raises(ValueError, match=rf"state_dict\['state'\]\['w'\]\['{slot}'\]: there "):
                    opt.load_state_dict(saved)
                assert everything(opt) == before
            else:
                opt.load_state_dict(saved)
                assert opt.state["w"][slot].tobytes() == saved["state"]["w"][slot].tobytes()
                saved["state"]["w"][slot][37] = 0.5
                opt = optimizers()[kind]


def edited(path: list[Any], value: Any) -> Callable[[dict], None]:
    def apply(saved: dict) -> None:
        place = saved
        for key in path[:-1]:
            place = place[key]
        if value is KeyError:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return apply


GROUP, STATE = ["param_groups", 0], ["state", "w"]
BAD = {
    "masked": (edited([*STATE, "exp_avg"], np.ma.masked_array(np.ones(40, np.float32))), r"\['exp_avg'\]: masked"),
    "other byte order": (edited([*STATE, "exp_avg"], np.ones(40, ">f4")), r"\['exp_avg'\]: dtype >f4 does not match"),
    "nested list": (edited([*STATE, "exp_avg"], [1.0] * 40), r"\['exp_avg'\]: expected a NumPy array, got list"),
    "text": (edited(STATE, "exp_avg"), r"state_dict\['state'\]\['w'\]: expected a dict, got str"),
    "no state": (edited(["state"], None), r"state_dict\['state'\]: expected a dict, got NoneType"),
    "steps of float": (edited([*STATE, "step"], 1.0), r"\['step'\]: expected an int"),
    "steps beyond": (edited([*STATE, "step"], 2**62 + 1), r"\['step'\]: expected a number of steps from 0"),
    "completed below": (edited(["completed"], -1), r"\['completed'\]: expected a number of steps from 0"),
    "eps missing": (edited([*GROUP, "eps"], KeyError), r"\['param_groups'\]\[0\]: 'eps' is missing"),
    "betas missing": (edited([*GROUP, "betas"], KeyError), r"\['param_groups'\]\[0\]: 'betas' is missing"),
    "maximize missing": (edited([*GROUP, "maximize"], KeyError), r"\['param_groups'\]\[0\]: 'maximize' is missing"),
    "names missing": (edited([*GROUP, "param_names"], KeyError), r"\['param_groups'\]\[0\]\['param_names'\]"),
    "names of int": (edited([*GROUP, "param_names"], [0]), r"\['param_groups'\]\[0\]\['param_names'\]"),
    "a flag of text": (edited([*GROUP, "maximize"], "no"), r"\['maximize'\]: expected True or False, got 'no'"),
    "a rate below 0": (edited([*GROUP, "lr"], -1.0), r"AdamW: lr must be"),
    "a rate of text": (edited([*GROUP, "lr"], "fast"), r"AdamW: lr must be"),
    "a group of list": (edited(["param_groups"], [[]]), r"\['param_groups'\]\[0\]: expected a dict, got list"),
    "no groups": (edited(["param_groups"], None), r"\['param_groups'\]: expected a list, got NoneType"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_does_not_fit_is_named(bad: str) -> None:
    apply, match = BAD[bad]
    opt = ac.AdamW({"w": np.ones(40, np.float32)}, lr=0.5)
    opt.step({"w": np.ones(40, np.float32)})
    saved = opt.state_dict()
    before, group = everything(opt), dict(opt.param_groups[0])
    apply(saved)
    opt.param_groups[0]["lr"] = group["lr"] = 0.25
    with pytest.raises((TypeError, ValueError), match=match):
        opt.load_state_dict(saved)
    assert everything(opt) == before
    assert dict(opt.param_groups[0]) == group
    assert opt.state_dict()["completed"] == 1


def test_state_of_the_optimizers_own_is_exchanged() -> None:
    w = {"a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32)}
    opt = ac.Adam(w)
    opt.step({"a": np.full(2, 1, np.float32), "b": np.full(2, 5, np.float32)})
    a, b = (opt.state[name]["exp_avg"].copy() for name in "ab")
    saved = opt.state_dict()
    saved["state"]["a"]["exp_avg"], saved["state"]["b"]["exp_avg"] = (
        opt.state["b"]["exp_avg"][::-1],
        opt.state["a"]["exp_avg"],
    )
    opt.load_state_dict(saved)
    assert opt.state["a"]["exp_avg"].tolist() == b[::-1].tolist()
    assert opt.state["b"]["exp_avg"].tolist() == a.tolist()


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_layout_are_loaded(order: str) -> None:
    opt = ac.Adam({"w": np.zeros((3, 5), np.float32, order=order)})
    saved = opt.state_dict()
    values = np.arange(1, 61, dtype=np.float32).reshape(6, 10)[::2, ::-2]
    saved["state"]["w"]["exp_avg_sq"] = values
    opt.load_state_dict(saved)
    assert np.array_equal(opt.state["w"]["exp_avg_sq"], values)


def test_a_copy_keeps_no_array_of_the_user() -> None:
    rate, betas = np.array(0.5), [0.9, 0.999]
    opt = ac.Adam(np.ones(3), lr=rate, betas=betas)
    saved = opt.state_dict()
    rate[...], betas[0] = 0.25, 0.1
    group = saved["param_groups"][0]
    assert (group["lr"], tuple(group["betas"])) == (0.5, (0.9, 0.999))
    group["betas"] = given = [0.8, 0.99]
    group["lr"] = rate
    other = ac.Adam(np.ones(3))
    other.load_state_dict(saved)
    given[0], rate[...] = 0.7, 0.1
    assert tuple(other.param_groups[0]["betas"]) == (0.8, 0.99)
    assert other.param_groups[0]["lr"] == 0.25


def test_flags_of_other_types_are_saved_as_what_can_be_loaded() -> None:
    opt = ac.AdamW(np.ones(3), amsgrad=1, maximize=np.True_)  # type: ignore[arg-type]
    saved = opt.state_dict()
    assert saved["param_groups"][0]["amsgrad"] is saved["param_groups"][0]["maximize"] is True
    ac.AdamW(np.ones(3), amsgrad=True).load_state_dict(saved)
