"""What users do with an optimizer besides steps, on a device: the same as on the CPU."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import cupy
import numpy as np
import pytest

import adamcore as ac
from gpu.device import Library
from storage import F32


def test_a_schedule_does_not_use_the_optimizer_that_calls_it(library: Library) -> None:
    uses = {
        "state_dict": lambda: dict(opt.state_dict()),
        "load_state_dict": lambda: opt.load_state_dict(saved),
        "state": lambda: opt.state["0"],
        "add_param_group": lambda: opt.add_param_group({"params": {"b": library.put(np.ones(3, F32))}}),
        "step": lambda: opt.step(library.put(np.ones(3, F32))),
    }
    caught: list[str] = []

    def schedule(step: int) -> float:
        if step:
            assert opt.steps["0"] == step
            for name, use in uses.items():
                with pytest.raises(RuntimeError, match="in use by the call that this code is part of"):
                    use()
                caught.append(name)
        return 0.5

    opt = ac.AdamW(library.put(np.ones(3, F32)), lr=schedule)
    opt.step(library.put(np.ones(3, F32)))
    saved = opt.state_dict()
    opt.step(library.put(np.ones(3, F32)))
    assert caught == list(uses)
    assert (opt.steps["0"], len(opt.param_groups)) == (2, 1)


def test_a_refused_load_changes_nothing(library: Library) -> None:
    opt = ac.AdamW({"a": library.put(np.ones(3, F32)), "b": library.put(np.ones(3, F32))}, lr=0.5)
    opt.step({"a": library.put(np.ones(3, F32)), "b": library.put(np.full(3, 5, F32))})
    before = opt.state_dict()
    saved = opt.state_dict()
    saved["completed"], saved["param_groups"][0]["lr"] = 7, 0.25
    saved["state"]["a"]["step"], saved["state"]["a"]["exp_avg"][:] = 7, 7
    for value in (np.nan, -1.0):
        saved["state"]["b"]["exp_avg_sq"][1] = value
        with pytest.raises(ValueError, match=r"\['b'\]\['exp_avg_sq'\]: there "):
            opt.load_state_dict(saved)
        after = opt.state_dict()
        assert after["completed"] == 1
        assert after["param_groups"] == before["param_groups"]
        for name, slots in before["state"].items():
            assert all(np.array_equal(after["state"][name][slot], value) for slot, value in slots.items())


def test_state_of_the_optimizers_own_is_exchanged(library: Library) -> None:
    opt = ac.Adam({"a": library.put(np.ones(3, F32)), "b": library.put(np.ones(3, F32))})
    opt.step({"a": library.put(np.ones(3, F32)), "b": library.put(np.full(3, 5, F32))})
    saved = opt.state_dict()
    a, b = (saved["state"][name]["exp_avg"] for name in "ab")
    saved["state"]["a"]["exp_avg"], saved["state"]["b"]["exp_avg"] = (
        opt.state["b"]["exp_avg"],
        opt.state["a"]["exp_avg"],
    )
    opt.load_state_dict(saved)
    after = opt.state_dict()["state"]
    assert np.array_equal(after["a"]["exp_avg"], b)
    assert np.array_equal(after["b"]["exp_avg"], a)


def test_what_has_been_replaced_is_noticed(library: Library) -> None:
    params: dict[str, Any] = {"w": library.put(np.ones(3, F32))}
    opt = ac.SGD(params, lr=1.0)
    params["w"] = library.put(np.ones(3, F32))
    with pytest.raises(ValueError, match=r"params\['w'\]: another array has taken its place in the dict"):
        opt.step({"w": library.put(np.ones(3, F32))})
    opt = ac.SGD([library.put(np.ones(3, F32))], lr=1.0)
    opt.param_groups[0]["params"].append(library.put(np.ones(3, F32)))
    with pytest.raises(ValueError, match=r"param_groups\[0\]\['params'\] has been changed"):
        opt.step([library.put(np.ones(3, F32))])


def test_a_cycle_through_a_schedule_is_collected(library: Library) -> None:
    class Schedule:
        opt: Any = None

        def __call__(self, step: int) -> float:  # noqa: ARG002
            return 0.5

    rate = Schedule()
    rate.opt = ac.SGD(library.put(np.ones(3, F32)), lr=rate)
    rate.opt.step(library.put(np.ones(3, F32)))
    seen = weakref.ref(rate)
    del rate
    gc.collect()
    assert seen() is None


def test_groups_are_added_all_or_none(library: Library) -> None:
    opt = ac.SGD({"w": library.put(np.ones(3, F32))}, lr=1.0)
    with pytest.raises(TypeError, match="int32"):
        opt.add_param_group({"params": {"a": library.put(np.ones(3, F32)), "b": cupy.ones(3, np.int32)}})
    assert (len(opt.param_groups), list(opt.steps)) == (1, ["w"])
    opt.step({"w": library.put(np.ones(3, F32))})
    opt.add_param_group({"params": {"a": library.put(np.ones(3, F32))}})
    opt.step({"w": library.put(np.ones(3, F32)), "a": library.put(np.ones(3, F32))})
    assert dict(opt.steps) == {"w": 2, "a": 1}
