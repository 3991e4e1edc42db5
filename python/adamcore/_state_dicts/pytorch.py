"""State dicts of PyTorch's optimizers, for the rules that both libraries have.

PyTorch counts parameters, in the order of their groups; adamcore names them. A group of PyTorch has names if the
optimizer was made with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from adamcore import _core
from adamcore._arrays.libraries import as_numpy, from_numpy, library_of
from adamcore._arrays.memory import dtype_name, numpy_dtype
from adamcore._arrays.structures import Group, named_arrays
from adamcore._checks.suggestions import and_more
from adamcore._core import short_repr
from adamcore._state_dicts.serializer import Serializer

_SLOTS = {
    "Adam": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    "AdamW": ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    "SGD": ("momentum_buffer",),
    "RMSprop": ("square_avg", "momentum_buffer", "grad_avg"),
    "Adagrad": ("sum",),
    "Adafactor": ("row_var", "col_var", "variance"),
}
"""The state that both libraries have, under the same names, by optimizer."""

_DECOUPLED = {"Adam": False, "AdamW": True}
"""Whether decay is decoupled, which PyTorch's groups say."""


def from_pytorch(optimizer: Any, serializer: Serializer, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict of adamcore for one of PyTorch.

    What PyTorch has not (averages of weights, masters of half-precision weights, what guards remember) is as the
    optimizer has it now.
    """
    owner = _known(optimizer)
    groups = [_require_mapping(group, f"state_dict['param_groups'][{i}]") for i, group in enumerate(_list(saved))]
    names = _names_of(groups, optimizer.param_groups)
    own = serializer.save()
    state = _require_mapping(saved["state"], "state_dict['state']")
    if unknown := [key for key in state if key not in names]:
        raise ValueError(f"state_dict['state']: {unknown[0]!r} is in no group" + and_more(unknown))
    places = {name: i for i, group in enumerate(own["param_groups"]) for name in group["param_names"]}
    values = []
    for i, group in enumerate(groups):
        ids = _ids(group)
        place = places.get(names[ids[0]], 0) if ids else min(i, len(own["param_groups"]) - 1)
        value = _values_of(owner, group, own["param_groups"][place], i)
        values.append({**value, "param_names": [names[key] for key in ids]})
    arrays = dict(named_arrays(optimizer.param_groups))
    found = {}
    for i, group in enumerate(groups):
        slots = _slots_in(optimizer._rule({**optimizer.param_groups[0], **values[i]}))
        for key in _ids(group):
            label, name = f"state_dict['state'][{key!r}]", names[key]
            begin = _Beginning(slots, arrays.get(name), own["state"].get(name, {}), values[i], optimizer)
            found[name] = _state_of(owner, state.get(key, {}), begin, label)
    counted = [slots["step"] for slots in found.values()] if owner != "SGD" else []
    completed = max(counted, default=own["completed"])
    return {**own, "state": found, "param_groups": values, "completed": completed, "window": None, "schedules": []}


def _known(optimizer: Any) -> str:
    """Return the name of PyTorch's optimizer."""
    for cls in type(optimizer).__mro__:
        if cls.__name__ in _SLOTS and cls.__module__.startswith("adamcore."):
            return cls.__name__
    name = type(optimizer).__name__
    raise ValueError(f"{name}: PyTorch has no such optimizer: only {', '.join(_SLOTS)} can exchange state with it")


def _require_mapping(value: Any, label: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{label}: expected a dict, got {short_repr(value)}")
    return value


def _list(saved: Mapping[str, Any]) -> Sequence[Any]:
    groups = saved["param_groups"]
    if not isinstance(groups, (list, tuple)):
        raise TypeError(f"state_dict['param_groups']: expected a list, got {short_repr(groups)}")
    return groups


def _ids(group: Mapping[str, Any]) -> list[Any]:
    ids = group.get("params")
    return list(ids) if isinstance(ids, (list, tuple)) else []


def _names_of(groups: Sequence[Mapping[str, Any]], own: list[Group]) -> dict[Any, str]:
    """Return the optimizer's name of each of PyTorch's numbers: that of PyTorch, or else the one in the same place."""
    ids = [key for group in groups for key in _ids(group)]
    if len(set(map(_hashable, ids))) < len(ids):
        raise ValueError("state_dict['param_groups']: a parameter is in two places")
    own_names = [name for group in own for name in group["param_names"]]
    given = [name for group in groups for name in group.get("param_names") or ()]
    if len(given) == len(ids) and all(isinstance(name, str) for name in given) and set(given) & set(own_names):
        return dict(zip(ids, given, strict=True))
    sizes, own_sizes = [len(_ids(group)) for group in groups], [len(group["params"]) for group in own]
    if sizes != own_sizes:
        raise ValueError(
            f"state_dict['param_groups']: there are groups of {sizes} parameters, but the optimizer has {own_sizes}"
        )
    return dict(zip(ids, own_names, strict=True))


def _hashable(key: Any) -> Any:
    if not isinstance(key, (int, str)):
        raise TypeError(f"state_dict['param_groups']: expected numbers of parameters, got {short_repr(key)}")
    return key


class _Beginning:
    """What a parameter's state is if PyTorch has none, because there has been no gradient yet."""

    def __init__(self, slots: set[str], param: Any, own: Mapping[str, Any], values: Group, optimizer: Any) -> None:
        self.own = own
        self._slots = slots
        self._param = param
        self._value = values.get("initial_accumulator_value", 0.0)
        self._state = optimizer.options["precision"].state

    def arrays(self) -> dict[str, Any]:
        """Return the arrays of all slots of the rule."""
        if self._param is None:  # of a parameter that the optimizer does not have
            return {}
        shapes = {key: array.shape for key, array in self.own.items() if hasattr(array, "shape")}
        slots = self._slots & shapes.keys() if "row_var" in self._slots else self._slots
        shape = tuple(self._param.shape)
        return {key: np.full(shapes.get(key, shape), self._value, self.dtype()) for key in slots}

    def dtype(self) -> np.dtype[Any] | None:
        """Return the type of the optimizer's state."""
        if self._param is None:
            return None
        name = dtype_name(self._param)
        return numpy_dtype(name if name in ("float64", "complex64", "complex128") else self._state)


def _state_of(owner: str, saved: Any, begin: _Beginning, label: str) -> dict[str, Any]:
    """Return a parameter's state: PyTorch's, in the types of the optimizer's own, and what only the latter has."""
    saved = {key: value for key, value in _require_mapping(saved, label).items() if value is not None}
    if unknown := [key for key in saved if key != "step" and key not in _SLOTS[owner]]:
        raise ValueError(f"{label}: {unknown[0]!r} is no state of torch.optim.{owner}" + and_more(unknown))
    given = {key: _array(saved[key], begin.dtype(), f"{label}[{key!r}]") for key in _SLOTS[owner] if key in saved}
    kept = {key: value for key, value in begin.own.items() if key not in (*_SLOTS[owner], "step", "begun")}
    slots = {**kept, **(given or begin.arrays())}
    if owner == "SGD":  # PyTorch does not count its steps
        return {**slots, "step": max(begin.own.get("step", 0), int(bool(given))), "begun": int(bool(given))}
    if given and "step" not in saved:
        raise ValueError(f"{label}: 'step' is missing")
    return {**slots, "step": _step(saved["step"], f"{label}['step']") if "step" in saved else 0}


def _array(value: Any, dtype: np.dtype[Any] | None, label: str) -> Any:
    if library_of(value) is None:
        raise TypeError(f"{label}: expected a tensor, got {short_repr(value)}")
    array = as_numpy(value, label)
    if dtype is not None and array.dtype.kind != "c" and dtype.itemsize > array.dtype.itemsize:
        return array.astype(dtype)  # which has every number of the narrower type
    return array


def _step(value: Any, label: str) -> int:
    number = _number(value, label)
    if isinstance(number, (int, float)) and math.isfinite(number) and number == int(number) and number >= 0:
        return int(number)
    raise ValueError(f"{label}: expected a number of steps, got {short_repr(value)}")


def _values_of(owner: str, saved: Mapping[str, Any], own: Group, index: int) -> Group:
    """Return a group's hyper-parameters: PyTorch's, and its own where PyTorch has none."""
    decoupled = saved.get("decoupled_weight_decay", _DECOUPLED.get(owner))
    if owner in _DECOUPLED and bool(decoupled) != _DECOUPLED[owner]:
        other = "AdamW" if decoupled else "Adam"
        raise ValueError(
            f"state_dict['param_groups'][{index}]: this is of torch.optim.{other}, and cannot be loaded into {owner}"
        )
    if "lr" not in saved:
        raise ValueError(f"state_dict['param_groups'][{index}]: 'lr' is missing")
    label = f"state_dict['param_groups'][{index}]"
    shared = [key for key in own if key in saved and key != "param_names"]
    return {**own, **{key: _number(saved[key], f"{label}[{key!r}]") for key in shared}}


def _number(value: Any, label: str) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_number(item, label) for item in value)
    if not hasattr(value, "item"):
        return value
    try:
        return value.item()
    except (RuntimeError, ValueError):
        raise ValueError(f"{label}: expected a number, got {short_repr(value)}") from None


def to_pytorch(optimizer: Any, serializer: Serializer) -> dict[str, Any]:
    """Return a state dict for PyTorch's optimizer of the same name."""
    try:
        import torch  # noqa: PLC0415  (an optional part)
    except ImportError:
        raise ImportError("torch_state_dict needs PyTorch: pip install torch") from None
    owner = _known(optimizer)
    template = getattr(torch.optim, owner)([torch.zeros(1)]).state_dict()["param_groups"][0]
    state, *_ = serializer.snapshot()
    numbers = {name: i for i, name in enumerate(state)}
    groups = []
    for i, group in enumerate(optimizer.param_groups):
        values = optimizer.current(i)
        _require_known(owner, values, template, optimizer.defaults)
        named = {} if all(name.isdecimal() for name in group["param_names"]) else {"param_names": group["param_names"]}
        shared = {key: values[key] for key in template if key in values}
        params = [numbers[name] for name in group["param_names"]]
        groups.append({**template, **shared, **{k: list(v) for k, v in named.items()}, "params": params})
    slots = {
        name: _slots_in(optimizer._rule({**group, **optimizer.current(i)}))
        for i, group in enumerate(optimizer.param_groups)
        for name in group["param_names"]
    }
    return {
        "state": dict(_tensors(torch, owner, state, slots, numbers)),
        "param_groups": groups,
    }


def _require_known(owner: str, values: Group, template: Mapping[str, Any], defaults: Group) -> None:
    """Raise ValueError for an option that PyTorch's optimizer does not have, unless it does nothing."""
    for key, value in values.items():
        if key in defaults and key not in template and value is not False:
            raise ValueError(f"{owner}: torch.optim.{owner} has no option {key!r}, which is {value!r}")


def _slots_in(rule: str) -> set[str]:
    rules = _core.rules()
    return {*rules[rule]["slots"], *rules[rules[rule]["for_vectors"]]["slots"]}


def _tensors(
    torch: Any, owner: str, state: Mapping[str, Any], slots: Mapping[str, set[str]], numbers: Mapping[str, int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    for name, own in state.items():
        has_begun = own["step"] > 0 and own.get("begun", 1)
        if not has_begun and owner != "Adagrad":  # whose state exists from the beginning
            continue
        found = {key: from_numpy(own[key], "torch") for key in _SLOTS[owner] if key in own and key in slots[name]}
        if owner != "SGD":
            found = {"step": torch.tensor(float(own["step"])), **found}
        if found:
            yield numbers[name], found
