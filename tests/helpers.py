"""Helpers that several tests share: optimizers made from cases, and errors in units of the last place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import adamcore as ac
from adamcore import _core
from reference import Case, State


def make(case: Case, params: Any, **changed: Any) -> ac.Optimizer:
    """Make the case's optimizer."""
    return getattr(ac, case.optimizer)(params, **{**case.options, **changed})


def load(optimizer: ac.Optimizer, states: dict[str, State], step: int) -> None:
    """Put an optimizer into the state after some training: state by name, and the number of updates.

    Each state also has the numbers of the optimizer, if its rule keeps any.
    """
    state_dict = optimizer.state_dict()
    numbers = state_dict.get("numbers", {})
    for name, state in states.items():
        slots = {slot: array for slot, array in state.items() if slot not in numbers}
        state_dict["state"][name].update(slots, step=step)
        numbers.update({number: float(state[number]) for number in numbers if number in state})
    optimizer.load_state_dict(state_dict)


def bits(*arrays: np.ndarray) -> list[bytes]:
    return [a.tobytes() for a in arrays]


def everything(optimizer: ac.Optimizer) -> dict[str, bytes]:
    """Everything that an optimizer has computed, as bits."""
    found = {}
    for group in optimizer.param_groups:
        for name, param in zip(group["param_names"], group["params"], strict=True):
            found[name] = param.tobytes()
            found.update({f"{name}.{slot}": array.tobytes() for slot, array in optimizer.state[name].items()})
    found.update({f"numbers.{name}": number.hex().encode() for name, number in optimizer.numbers.items()})
    return found


def everywhere(run: Callable[[Any], Any]) -> list[Any]:
    """Run with every instruction set, on one and four threads, on arrays in C and in Fortran order."""
    before = _core.isa()
    results = []
    for isa in _core.isas():
        _core.set_isa(isa)
        for threads in (1, 4):
            ac.set_num_threads(threads)
            results += [run("C"), run("F")]
    _core.set_isa(before)
    return results


def ulp(x: np.ndarray, dtype: type) -> np.ndarray:
    """The distance from |x|, rounded to `dtype`, to the next larger number."""
    return np.spacing(np.abs(x).astype(dtype)).astype(np.float64)


def numeric_gradient(loss: Callable[[dict[str, np.ndarray]], float], params: dict, name: str) -> np.ndarray:
    """The derivatives of a loss by one of its parameters, by central differences."""
    numeric = np.empty_like(params[name])
    for place in np.ndindex(numeric.shape):
        losses = []
        for shift in (1e-5, -1e-5):
            moved = {key: p.copy() for key, p in params.items()}
            moved[name][place] += shift
            losses.append(loss(moved))
        numeric[place] = (losses[0] - losses[1]) / 2e-5
    return numeric
