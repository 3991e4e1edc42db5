"""A load that is refused because of its last entry has not changed earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adamcore as ac
from helpers import everything


def trained(lr: Any, steps: int, size: int = 3) -> ac.Optimizer:
    optimizer = ac.SGD([{"params": {"a": np.ones(3)}}, {"params": {"b": np.ones(size)}}], lr=lr, momentum=0.9)
    for _ in range(steps):
        optimizer.step({"a": np.ones(3), "b": np.ones(size)})
    return optimizer


def put(place: tuple[Any, ...], value: Any) -> Callable[[dict[str, Any]], None]:
    def change(state_dict: dict[str, Any]) -> None:
        at: Any = state_dict
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = value

    return change


BAD = [
    put(("state", "b", "momentum_buffer"), np.ones(4)),
    put(("state", "b", "momentum_buffer"), np.ones(3, np.float32)),
    put(("state", "b", "momentum_buffer"), None),
    put(("state", "b", "step"), -1),
    put(("state", "b"), {}),
    put(("state", "c"), {}),
    put(("param_groups", 1, "momentum"), -1.0),
    put(("param_groups", 1, "nesterovv"), True),
    put(("param_groups", 1, "maximize"), "no"),
    put(("completed",), -1),
]


@pytest.mark.parametrize("change", BAD, ids=lambda c: str(c.__closure__[0].cell_contents))
def test_groups_counts_and_state_are_as_before(change: Callable[[dict[str, Any]], None]) -> None:
    asked: list[int] = []
    optimizer = trained(lambda step: asked.append(step) or 0.5, 2)
    state_dict = trained(0.25, 7).state_dict()
    for group in state_dict["param_groups"]:
        group.update(momentum=0.5, weight_decay=0.125, maximize=True)
    change(state_dict)
    before = everything(optimizer), dict(optimizer.steps), optimizer.state_dict()["completed"]
    groups = [dict(group) for group in optimizer.param_groups]
    with pytest.raises((TypeError, ValueError)):
        optimizer.load_state_dict(state_dict)
    assert (everything(optimizer), dict(optimizer.steps), optimizer.state_dict()["completed"]) == before
    assert [dict(group) for group in optimizer.param_groups] == groups
    asked.clear()
    optimizer.step({"a": np.ones(3), "b": np.ones(3)})
    assert set(asked) == {2}
