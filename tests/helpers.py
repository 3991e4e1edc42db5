"""What several tests need: optimizers made from cases, and errors in units of the last place."""

from __future__ import annotations

from typing import Any

import numpy as np

import adamcore as ac
from reference import Case, State


def make(case: Case, params: Any, **changed: Any) -> ac.Optimizer:
    """Make the case's optimizer."""
    return getattr(ac, case.optimizer)(params, **{**case.options, **changed})


def load(optimizer: ac.Optimizer, states: dict[str, State], step: int) -> None:
    """Put an optimizer where training would have left it: state by name, and the number of updates done."""
    state_dict = optimizer.state_dict()
    for name, state in states.items():
        state_dict["state"][name].update(state, step=step)
    optimizer.load_state_dict(state_dict)


def bits(*arrays: np.ndarray) -> list[bytes]:
    return [a.tobytes() for a in arrays]


def everything(optimizer: ac.Optimizer) -> dict[str, bytes]:
    """All that an optimizer has computed, to the bit."""
    found = {}
    for group in optimizer.param_groups:
        for name, param in zip(group["param_names"], group["params"], strict=True):
            found[name] = param.tobytes()
            found.update({f"{name}.{slot}": array.tobytes() for slot, array in optimizer.state[name].items()})
    return found


def ulp(x: np.ndarray, dtype: type) -> np.ndarray:
    """The distance from |x|, rounded to `dtype`, to the next larger number."""
    return np.spacing(np.abs(x).astype(dtype)).astype(np.float64)
