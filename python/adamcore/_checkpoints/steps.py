"""What a load does to each object. All of it can be undone, because another object may not take what is in the file."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from adamcore._arrays.libraries import as_numpy, assign, has_shared_elements, library_of, numpy_dtype_of
from adamcore._arrays.structures import named_arrays
from adamcore._checkpoints.content import Content, Unread
from adamcore._checkpoints.parts import kind_of, loans, overriding_state_dict
from adamcore._checks.suggestions import and_more
from adamcore._core import short_repr
from adamcore._files.errors import CheckpointError


class Step(ABC):
    """Loads one object, of which everything has been read."""

    is_whole = False
    """Whether do() does everything or nothing, and says which."""

    @abstractmethod
    def remember(self) -> None:
        """Prepare undo(), which is called after an error, also one in do()."""

    @abstractmethod
    def do(self, done: dict[str, bool]) -> None:
        """Load the object. Optimizers set ``done["done"]`` at the same time."""

    @abstractmethod
    def undo(self) -> None:
        """Make the object what it was."""


def run(steps: Sequence[Step]) -> None:
    """Do all steps, or none if there is an error or an interrupt.

    If the last one does everything or nothing, it is not remembered, which would take memory.
    """
    done = {"done": False}
    begun: list[Step] = []
    try:
        for step in steps:
            if step.is_whole and step is steps[-1]:
                step.do(done)
                continue
            step.remember()
            begun.append(step)
            step.do({"done": False})
    except BaseException as error:
        if not done["done"]:
            _undo(begun, error)
        raise


def _undo(begun: Sequence[Step], error: BaseException) -> None:
    """Undo all steps, also if one cannot be undone."""
    failures: list[BaseException] = []
    for step in reversed(begun):
        try:
            step.undo()
        except BaseException as failure:  # noqa: BLE001, PERF203
            failures.append(failure)
    if failures:
        raise RuntimeError(f"load: after an error, an object could not be made what it was: {failures[0]}") from error


class _Arrays(Step):
    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        self._pairs = pairs
        self._before: list[Any] = []

    def remember(self) -> None:
        self._before = [as_numpy(array, "").copy() for array, _ in self._pairs]

    def do(self, done: dict[str, bool]) -> None:  # noqa: ARG002
        for array, values in self._pairs:
            assign(array, values)

    def undo(self) -> None:
        for (array, _), before in zip(self._pairs, self._before, strict=True):
            assign(array, before)


class _Object(Step):
    def __init__(self, value: Any, state: Any) -> None:
        self._object = value
        self._state = state
        self._before: Any = None

    def remember(self) -> None:
        self._before = copy.deepcopy(self._object.state_dict())

    def do(self, done: dict[str, bool]) -> None:  # noqa: ARG002
        self._object.load_state_dict(self._state)

    def undo(self) -> None:
        self._object.load_state_dict(self._before)


class _Optimizer(Step):
    def __init__(self, optimizer: Any, label: str, state_dict: Any, params: Any, options: Mapping[str, Any]) -> None:
        self._optimizer = optimizer
        self._label = label
        self._state_dict = state_dict
        self._params = params
        self._options = options
        self._before: tuple[Any, Any, list[dict[str, Any]]] = (None, None, [])
        self.is_whole = not optimizer._overrides_state_dicts()

    def remember(self) -> None:
        groups = [dict(group) for group in self._optimizer.param_groups]
        overriding = copy.deepcopy(overriding_state_dict(self._optimizer))
        with loans([self._optimizer]) as (borrowed,):
            state_dict, params = self._optimizer._lent(borrowed)
            if overriding is None:
                overriding = copy.deepcopy(state_dict)
            self._before = (overriding, copy.deepcopy(params), groups)

    def do(self, done: dict[str, bool]) -> None:
        try:
            _load_optimizer(self._optimizer, self._state_dict, self._params, done, self._options)
        except (TypeError, ValueError) as error:
            if len(error.args) == 1 and not isinstance(error, CheckpointError):
                error.args = (f"{self._label}: {error}",)
            raise
        if not done["done"]:
            name = type(self._optimizer).__name__
            raise TypeError(f"{name}: load_state_dict must call that of its base class")

    def undo(self) -> None:
        state_dict, params, groups = self._before
        for group, values in zip(self._optimizer.param_groups, groups, strict=True):
            group.update(values)
        _load_optimizer(self._optimizer, state_dict, params, {"done": False}, {"strict": True, "schedules": "own"})


def _load_optimizer(
    optimizer: Any, state_dict: Any, params: Any, done: dict[str, bool], options: Mapping[str, Any]
) -> None:
    """Load a state dict and parameters, and set ``done["done"]`` at the same time."""
    more = {"params": params, "memories": [(done, {"done": True})]}
    if not optimizer._overrides_state_dicts():
        optimizer._load(state_dict, **options, **more)
        return
    given = {key: value for key, value in options.items() if value != _PRESETS[key]}
    object.__setattr__(optimizer, "_with_load", more)
    try:
        optimizer.load_state_dict(state_dict, **given)
    finally:
        object.__delattr__(optimizer, "_with_load")


_PRESETS = {"strict": True, "schedules": None}


def step_for_part(value: Any, name: str, entry: Any, content: Content, options: Mapping[str, Any]) -> Step:
    """Read a part. Raises an error if it does not fit."""
    label = f"{content.label}: {name}"
    kind = kind_of(value, label)
    if not isinstance(entry, dict) or entry.keys() != {"kind", "content"}:
        raise CheckpointError(f"{label}: it is no part")
    if entry["kind"] != kind:
        raise ValueError(f"{label}: the file has {entry['kind']!r:.40}, and {kind!r} cannot take it")
    if kind == "optimizer":
        return step_for_optimizer(value, label, entry["content"], content, options)
    decoded = content.decoded(entry["content"])
    if kind == "object":
        return _Object(value, content.read(decoded))
    pairs = list(_pairs(value, decoded, label, content))
    arrays = content.read([unread for _, unread in pairs])
    return _Arrays([(array, as_numpy(found, label)) for (array, _), found in zip(pairs, arrays, strict=True)])


def _pairs(value: Any, saved: Any, label: str, content: Content) -> Iterator[tuple[Any, Unread]]:
    """Yield the arrays of a structure, and those that are to be written into them."""
    if isinstance(saved, Unread):
        require_like(value, saved, label, content)
        yield value, saved
        return
    keys = _keys_of(saved)
    own = None if library_of(value) is not None else _keys_of(value)
    if keys is None or own is None or own != keys:
        raise ValueError(f"{label}: the file has {_shown(saved)}, which does not fit {_shown(value)}")
    for key in keys:
        yield from _pairs(value[key], saved[key], f"{label}[{key!r}]", content)


def _keys_of(value: Any) -> list[Any] | None:
    if isinstance(value, dict):
        return sorted(value, key=repr)
    return list(range(len(value))) if isinstance(value, (list, tuple)) else None


def _shown(value: Any) -> str:
    keys = _keys_of(value)
    if isinstance(value, dict):
        return f"a dict with {short_repr(keys)}"
    return f"{len(keys)} arrays" if keys is not None else "an array"


def require_like(array: Any, saved: Unread, label: str, content: Content) -> None:
    """Raise an error unless an array has the dtype and shape of one in the file, and can be written."""
    if library_of(array) is None:
        raise TypeError(f"{label}: expected an array, got {short_repr(array)}")
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        raise ValueError(f"{label}: the array is read-only")
    if has_shared_elements(array):
        raise ValueError(f"{label}: several elements of the array are in the same memory")
    _require_form(array, saved, label, content)


def _require_form(array: Any, saved: Unread, label: str, content: Content) -> None:
    dtype, own = content.dtype_of(saved), numpy_dtype_of(array)
    if dtype != own:
        raise TypeError(f"{label}: the file has dtype {dtype}, and the array has {own}")
    if saved.shape != tuple(array.shape):
        raise ValueError(f"{label}: the file has shape {saved.shape}, and the array has {tuple(array.shape)}")


def step_for_optimizer(optimizer: Any, label: str, entry: Any, content: Content, options: Mapping[str, Any]) -> Step:
    """Read an optimizer. Raises an error if it does not fit."""
    if not isinstance(entry, dict) or entry.keys() != {"state_dict", "state", "sums", "params"}:
        raise CheckpointError(f"{label}: it is no optimizer")
    optimizer._native.require_params(optimizer.param_groups)
    found = {key: content.decoded(entry[key]) for key in entry}
    arrays = {key: _by_name(found[key] or {}, f"{label}: {key}") for key in ("state", "sums", "params")}
    own = dict(named_arrays(optimizer.param_groups))
    if options["strict"]:
        _require_same(arrays["params"], own, label)
    else:
        if own and not own.keys() & arrays["params"].keys():
            theirs, mine = next(iter(arrays["params"]), None), next(iter(own))
            raise ValueError(f"{label}: there is no parameter of both: the file has {theirs!r}, the optimizer {mine!r}")
        arrays = {key: {name: item for name, item in of.items() if name in own} for key, of in arrays.items()}
    _require_sizes(arrays, own, label, content)
    arrays = content.read(arrays)
    state_dict = found["state_dict"]
    if not isinstance(state_dict, dict):
        raise CheckpointError(f"{label}: the state must be a dict")
    state_dict["state"] = arrays["state"]
    if found["sums"] is not None and isinstance(state_dict.get("window"), dict):
        state_dict["window"]["sums"] = {name: item["sum"] for name, item in arrays["sums"].items()}
    params = {name: item["value"] for name, item in arrays["params"].items()}
    return _Optimizer(optimizer, label, content.read(state_dict), params, options)


def _by_name(found: Any, label: str) -> dict[str, dict[str, Any]]:
    if not isinstance(found, dict) or not all(isinstance(item, dict) for item in found.values()):
        raise CheckpointError(f"{label}: expected a dict for each parameter")
    return found


def _require_same(saved: Mapping[str, Any], own: Mapping[str, Any], label: str) -> None:
    if missing := [name for name in own if name not in saved]:
        raise ValueError(f"{label}: the file has no parameter {missing[0]!r}" + and_more(missing) + _WAY_ON)
    if surplus := [name for name in saved if name not in own]:
        raise ValueError(f"{label}: the optimizer has no parameter {surplus[0]!r}" + and_more(surplus) + _WAY_ON)


_WAY_ON = "; strict=False loads what both have"


def _require_sizes(arrays: Mapping[str, Any], own: Mapping[str, Any], label: str, content: Content) -> None:
    """Raise an error for arrays that cannot be a parameter's, before there is memory for them."""
    for key, slot in (("params", "value"), ("sums", "sum")):
        for name, item in arrays[key].items():
            if item.keys() != {slot} or not isinstance(item[slot], Unread):
                raise CheckpointError(f"{label}: {key} of {name!r:.80} must be an array")
    for name, item in arrays["params"].items():
        _require_form(own[name], item["value"], f"{label}: parameter {name!r}", content)
    for key in ("state", "sums"):
        for name, item in arrays[key].items():
            if name not in own:
                raise ValueError(f"{label}: the optimizer has no parameter {name!r}")
            for slot, array in item.items():
                if isinstance(array, Unread) and math.prod(array.shape) > max(math.prod(own[name].shape), 1):
                    raise ValueError(
                        f"{label}: {slot!r} of {name!r}: the file has shape {array.shape}, which is more than the "
                        f"parameter's {tuple(own[name].shape)}"
                    )
