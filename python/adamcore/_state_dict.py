"""Checkpoints of an optimizer in memory: by name, dtypes kept, checked before anything changes."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from adamcore import _core
from adamcore._memory import dtype_name, is_on_device, on_host

if TYPE_CHECKING:
    from adamcore._params import Group
    from adamcore.optimizer import Optimizer

FORMAT = 1


def make_state_dict(optimizer: Optimizer) -> dict[str, Any]:
    """Copy an optimizer's state."""
    memory = optimizer._memory
    memory.order(optimizer._core)
    steps = dict(zip(optimizer.state, memory.steps(optimizer._core), strict=True))
    return {
        "format": FORMAT,
        "optimizer": type(optimizer).__name__,
        "completed": optimizer._core.completed,
        "precision": asdict(optimizer.options["precision"]),
        "param_groups": [_saved_group(group) for group in optimizer.param_groups],
        "state": {
            name: {"step": steps[name], **{slot: memory.to_host(array) for slot, array in slots.items()}}
            for name, slots in optimizer.state.items()
        },
    }


def load_state_dict(optimizer: Optimizer, state_dict: Mapping[str, Any]) -> None:
    """Check all of `state_dict` against the optimizer, then copy it in."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict: expected a dict, got {type(state_dict).__name__}")
    required = ("format", "optimizer", "completed", "precision", "param_groups", "state")
    _require_names(state_dict, required, "state_dict")
    if state_dict["format"] != FORMAT:
        raise ValueError(f"state_dict['format']: this version reads format {FORMAT}, got {state_dict['format']!r}")
    name = type(optimizer).__name__
    if state_dict["optimizer"] != name:
        raise ValueError(f"state_dict: it is of {state_dict['optimizer']!r}, not of {name}")
    _require_precision(state_dict["precision"], asdict(optimizer.options["precision"]))
    completed = _count(state_dict["completed"], "state_dict['completed']")
    groups = _checked_groups(optimizer, state_dict["param_groups"], completed)
    steps = _checked_state(optimizer, state_dict["state"])

    optimizer._memory.order(optimizer._core)
    for group, saved in zip(optimizer.param_groups, groups, strict=True):
        group.update(saved)
    for index, (name, slots) in enumerate(optimizer.state.items()):
        for slot, array in slots.items():
            optimizer._memory.assign(array, on_host(state_dict["state"][name][slot]))
        optimizer._core.set_steps(index, steps[name])
    optimizer._core.completed = completed
    optimizer._memory.order(optimizer._core)
    optimizer.upload()


def _saved_group(group: Group) -> Group:
    kept = {key: value for key, value in group.items() if key != "params" and not callable(value)}
    kept["param_names"] = list(group["param_names"])
    return kept


def _checked_groups(optimizer: Optimizer, groups: Any, completed: int) -> list[Group]:
    if len(groups) != len(optimizer.param_groups):
        raise ValueError(
            f"state_dict['param_groups']: {len(groups)} groups, but the optimizer has {len(optimizer.param_groups)}"
        )
    checked = []
    rule_of = optimizer._rule
    for i, (group, saved) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
        label = f"state_dict['param_groups'][{i}]"
        _require_names(saved["param_names"], group["param_names"], f"{label}['param_names']")
        values = {key: value for key, value in saved.items() if key not in ("params", "param_names")}
        if unknown := [key for key in values if key not in group]:
            raise ValueError(f"{label}: unknown option {unknown[0]!r}")
        if callable(group["lr"]):
            values.pop("lr", None)
        merged = {**group, **values}
        rule = rule_of(merged)
        if _core.rules()[rule]["slots"] != _core.rules()[rule_of(group)]["slots"]:
            raise ValueError(f"{label}: its state is that of {rule!r}, the optimizer's that of {rule_of(group)!r}")
        _core.check_hyper(rule, type(optimizer).__name__, merged, completed, i)
        checked.append(values)
    return checked


def _checked_state(optimizer: Optimizer, state: Any) -> dict[str, int]:
    _require_names(state, optimizer.state, "state_dict['state']")
    steps = {}
    for name, slots in optimizer.state.items():
        label = f"state_dict['state'][{name!r}]"
        saved = state[name]
        _require_names(saved, ["step", *slots], label)
        steps[name] = _count(saved["step"], f"{label}['step']")
        for slot, array in slots.items():
            _require_like(saved[slot], array, f"{label}[{slot!r}]")
    return steps


def _require_precision(saved: Any, own: dict[str, Any]) -> None:
    _require_names(saved, own, "state_dict['precision']")
    for key, value in own.items():
        if saved[key] != value:
            raise ValueError(f"state_dict['precision']: {key} is {saved[key]!r}, the optimizer's is {value!r}")


def _require_names(found: Iterable[str], expected: Iterable[str], label: str) -> None:
    present, wanted = set(found), set(expected)
    if missing := sorted(wanted - present):
        raise ValueError(f"{label}: {missing[0]!r} is missing" + _and_more(missing))
    if surplus := sorted(map(str, present - wanted)):
        raise ValueError(f"{label}: {surplus[0]!r} is not in the optimizer" + _and_more(surplus))


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def _require_like(array: Any, like: np.ndarray[Any, Any], label: str) -> None:
    if not isinstance(array, np.ndarray) and not is_on_device(array):
        raise TypeError(f"{label}: expected a NumPy array, got {type(array).__name__}")
    if dtype_name(array) != dtype_name(like):
        raise TypeError(f"{label}: dtype {array.dtype} does not match the optimizer's, which is {like.dtype}")
    if tuple(array.shape) != tuple(like.shape):
        raise ValueError(f"{label}: shape {array.shape} does not match the optimizer's, which is {like.shape}")


def _count(value: Any, label: str) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{label}: expected an int, got {value!r}") from None
    if not 0 <= count < 2**63:
        raise ValueError(f"{label}: expected a number of steps from 0 to 2**63 - 1, got {count}")
    return count
