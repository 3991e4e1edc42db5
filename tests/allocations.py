"""Lets every allocation of C++ fail in turn, in all that an optimizer does: what raises has changed nothing.

To be run where `failing_new.cpp` is preloaded; prints what is wrong, and then how many allocations there were.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import adamcore as ac
from adamcore import schedules

FAILING = ctypes.CDLL(os.environ["LD_PRELOAD"])
FAILING.fail_at.argtypes = [ctypes.c_long]
FAILING.fail_at.restype = ctypes.c_long

Setting = tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]
"""What is called, everything that it must not change, and what must succeed afterwards."""


def arrays(prefix: str = "p", value: float = 0.0) -> dict[str, np.ndarray]:
    return {f"{prefix}{i}": np.full((3, 5 + i), value, np.float32)[:, ::2] for i in range(4)}


def grads_for(*params: dict) -> dict[str, np.ndarray]:
    return {name: np.asfortranarray(np.full(a.shape, 0.5, np.float32)) for p in params for name, a in p.items()}


def everything(opt: ac.Optimizer) -> Any:
    return (
        [[p.tobytes() for p in group["params"]] for group in opt.param_groups],
        [{k: v for k, v in group.items() if k != "params"} for group in opt.param_groups],
        opt.state_dict()["param_groups"],
        {name: {slot: a.tobytes() for slot, a in state.items()} for name, state in opt.state.items()},
        dict(opt.steps),
        opt._native.completed,
        len(opt._native),
        repr(opt.state_dict()["window"]),
    )


def construction(**options: Any) -> Setting:
    params = arrays()

    def after() -> None:
        ac.Adam(params, **options).step(grads_for(params))

    return (
        lambda: ac.Adam([{"params": params}, {"params": arrays("q"), "lr": 0.1}], **options),
        lambda: [p.tobytes() for p in params.values()],
        after,
    )


def method(call: Callable[[ac.Optimizer], Callable[[], Any]], **options: Any) -> Setting:
    params = arrays()
    opt = ac.Adam(params, **options)
    opt.step({name: np.ones(p.shape, np.float32) for name, p in params.items()})

    def after() -> None:
        opt.step(
            grads_for(
                *(
                    {n: opt.param_groups[g]["params"][i] for i, n in enumerate(group["param_names"])}
                    for g, group in enumerate(opt.param_groups)
                )
            )
        )
        assert len(set(opt.steps.values())) <= 2
        opt.load_state_dict(opt.state_dict())

    return call(opt), lambda: everything(opt), after


def add_group(opt: ac.Optimizer) -> Callable[[], Any]:
    return lambda: opt.add_param_group({"params": arrays("q")})


def step(opt: ac.Optimizer) -> Callable[[], Any]:
    grads = grads_for(arrays())
    return lambda: opt.step(grads)


def step_with_new_options(opt: ac.Optimizer) -> Callable[[], Any]:
    grads = grads_for(arrays())

    def call() -> None:
        opt.param_groups[0]["lr"] = 0.25
        opt.step(grads)

    opt.param_groups[0]["lr"] = 0.25
    return call


def step_with_more_state(opt: ac.Optimizer) -> Callable[[], Any]:
    opt.param_groups[0]["amsgrad"] = True
    return step(opt)


def first_leaf(opt: ac.Optimizer) -> Callable[[], Any]:
    grads = grads_for(arrays())
    return lambda: opt.accumulate(grads)


def second_leaf(opt: ac.Optimizer) -> Callable[[], Any]:
    grads = grads_for(arrays())
    opt.accumulate({name: g.astype(np.float64) for name, g in grads.items()}, weight=0.3)
    return lambda: opt.accumulate({**grads, "p0": None})


def last_leaf(opt: ac.Optimizer) -> Callable[[], Any]:
    grads = grads_for(arrays())
    opt.accumulate(grads, weight=0.3)
    return lambda: opt.step(grads)


def load_window(opt: ac.Optimizer) -> Callable[[], Any]:
    opt.accumulate(grads_for(arrays("p", 2.0)), weight=0.3)
    saved = opt.state_dict()
    opt.step()
    return lambda: opt.load_state_dict(saved)


def with_schedules(opt: ac.Optimizer) -> Any:
    """Give an optimizer schedules of each kind. Return the one that observes."""
    plateau = schedules.ReduceOnPlateau(schedules.Warmup(schedules.Cosine(0.25, steps=20), steps=3), patience=0)
    plateau.observe(1.0, step=1)
    opt.param_groups[0].update(lr=plateau, betas=(schedules.Linear(0.5, 0.75, steps=9), 0.75), eps=lambda _: 1e-6)
    return plateau


def step_with_schedules(opt: ac.Optimizer) -> Callable[[], Any]:
    with_schedules(opt)
    return step(opt)


def step_with_new_schedules(opt: ac.Optimizer) -> Callable[[], Any]:
    grads, equal = grads_for(arrays()), [schedules.Linear(0.5, 0.75, steps=9) for _ in range(2)]

    def call() -> None:
        equal.reverse()
        opt.param_groups[0]["lr"] = equal[0]
        opt.step(grads)

    opt.param_groups[0]["lr"] = equal[0]
    return call


def load_schedules(opt: ac.Optimizer) -> Callable[[], Any]:
    plateau = with_schedules(opt)
    saved = opt.state_dict()
    memory = dict(plateau._memory)
    plateau.observe(1.0, step=2)
    opt.param_groups[0]["weight_decay"] = 0.125

    def call() -> None:
        opt.load_state_dict(saved)
        assert plateau._memory == memory

    return call


def load_more_state(opt: ac.Optimizer) -> Callable[[], Any]:
    other = ac.Adam(arrays(), amsgrad=True)
    other.step(grads_for(arrays()))
    saved = other.state_dict()
    return lambda: opt.load_state_dict(saved)


def load(opt: ac.Optimizer) -> Callable[[], Any]:
    saved = opt.state_dict()
    for state in saved["state"].values():
        state["step"], state["exp_avg"] = 7, np.asfortranarray(state["exp_avg"] + 1)
    saved["param_groups"][0]["lr"] = 0.5
    return lambda: opt.load_state_dict(saved)


def save(opt: ac.Optimizer) -> Callable[[], Any]:
    return opt.state_dict


def collection() -> Setting:
    """The garbage collector, which clears an optimizer that is in a cycle, comes whenever it likes."""
    params = arrays()

    def make_cycle() -> None:
        opt = ac.Adam([{"params": params}, {"params": arrays("a name that no short string holds")}])
        opt.param_groups[0]["lr"] = lambda _: opt.param_groups[1]["lr"]

    def call() -> None:
        make_cycle()
        gc.collect()

    return call, lambda: [p.tobytes() for p in params.values()], call


def bare(call: Callable[[list, list], Any]) -> Setting:
    params, grads = list(arrays().values()), list(arrays("g", 3.0).values())
    return (
        lambda: call(params, grads),
        lambda: [a.tobytes() for a in (*params, *grads)],
        lambda: call(params, grads),
    )


def moments(params: list) -> tuple[list, list]:
    return tuple([np.zeros(p.shape, np.float32) for p in params] for _ in range(2))  # type: ignore[return-value]


def rebind(opt: ac.Optimizer) -> Callable[[], Any]:
    copies = {name: a.copy() for name, a in zip(opt.steps, opt.param_groups[0]["params"], strict=True)}
    return lambda: opt.rebind(copies)


def rebind_wider(opt: ac.Optimizer) -> Callable[[], Any]:
    wide = arrays()

    def call() -> None:
        opt.rebind({name: a.astype(np.float64) for name, a in wide.items()})

    return call


HALF = {"precision": ac.Precision(state="float16")}
SETTINGS: dict[str, Callable[[], Setting]] = {
    "construction": construction,
    "construction with half-precision state": lambda: construction(**HALF),
    "collection": collection,
    "add_param_group": lambda: method(add_group),
    "add_param_group by units": lambda: method(add_group, clip_adaptive=0.1),
    "step": lambda: method(step),
    "step with another rate": lambda: method(step_with_new_options),
    "step with schedules": lambda: method(step_with_schedules),
    "step with new schedules": lambda: method(step_with_new_schedules),
    "load_state_dict, schedules": lambda: method(load_schedules),
    "step, norm": lambda: method(step, clip_norm=1.0),
    "step, norms of tensors": lambda: method(step, clip_norm_per_tensor=0.1),
    "step by units": lambda: method(step, clip_adaptive=0.1),
    "step, values": lambda: method(step, clip_value=0.1),
    "step, checked": lambda: method(step, nonfinite="skip"),
    "step with half-precision state": lambda: method(step, **HALF),
    "step with more state": lambda: method(step_with_more_state),
    "step with more state, checked": lambda: method(step_with_more_state, nonfinite="skip", **HALF),
    "load_state_dict, more state": lambda: method(load_more_state),
    "load_state_dict": lambda: method(load),
    "load_state_dict, half-precision state": lambda: method(load, **HALF),
    "state_dict": lambda: method(save),
    "accumulate": lambda: method(first_leaf),
    "accumulate, second leaf": lambda: method(second_leaf),
    "step with a window": lambda: method(last_leaf, nonfinite="raise"),
    "load_state_dict, window": lambda: method(load_window),
    "rebind": lambda: method(rebind),
    "rebind by units": lambda: method(rebind, clip_adaptive=0.1),
    "rebind to float64": lambda: method(rebind_wider),
    "global_norm": lambda: bare(lambda _, g: ac.global_norm(g)),
    "clip_grad_norm_": lambda: bare(lambda _, g: ac.clip_grad_norm_(g, 0.5)),
    "clip_grad_value_": lambda: bare(lambda _, g: ac.clip_grad_value_(g, 0.5)),
    "functional.adam": lambda: bare(lambda p, g: ac.functional.adam(p, g, *moments(p), t=1)),
    "functional.sgd": lambda: bare(lambda p, g: ac.functional.sgd(p, g, t=1)),
}


def try_one(setting: Setting, number: int) -> tuple[bool, list[str]]:
    """Let this allocation fail. Return whether it was reached, and what went wrong."""
    call, look, after = setting
    before, wrong = look(), []
    raised: BaseException | None = None
    FAILING.fail_at(number)
    try:
        call()
    except BaseException as error:  # noqa: BLE001
        raised = error
    reached = FAILING.fail_at(0) >= number
    if raised is not None and type(raised) is not MemoryError:
        wrong.append(f"raised {type(raised).__name__}: {str(raised)[:90]}")
    if raised is not None and look() != before:
        wrong.append("something has changed")
    try:
        after()
    except BaseException as error:  # noqa: BLE001
        wrong.append(f"and then {type(error).__name__}: {str(error)[:90]}")
    return reached, wrong


def main() -> None:
    for name, make in SETTINGS.items():
        call, _, after = make()
        call()
        after()
        number = 0
        while True:
            number += 1
            reached, wrong = try_one(make(), number)
            if wrong:
                print(f"WRONG: {name}: allocation {number}: {'; '.join(wrong)}", flush=True)
            if not reached:
                break
        print(f"{name}: {number - 1}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
