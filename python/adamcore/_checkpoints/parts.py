"""The kinds of objects that files have, and how each is saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adamcore._arrays.libraries import library_of
from adamcore._arrays.memory import HOST
from adamcore._checkpoints.draft import Draft
from adamcore._core import Paired, short_repr

_OWN = ("param", "state", "window")
"""The first words of keys, which no part may have as its name."""

_ARGUMENTS = ("always", "background", "extra", "metric", "opt", "path", "schedules", "step", "strict", "which")
"""The arguments of functions that take parts by name too."""

_LONGEST_LABEL = 2000
"""A label grows with the depth, so that a longer one is of arrays that contain themselves."""


def kind_of(value: Any, label: str) -> str:
    """Return how an object is saved. Raises TypeError, which starts with `label`, if it cannot be."""
    if is_optimizer(value):
        return "optimizer"
    if library_of(value) is not None or isinstance(value, (dict, list, tuple)):
        return "arrays"
    if callable(getattr(value, "state_dict", None)) and callable(getattr(value, "load_state_dict", None)):
        return "object"
    raise TypeError(
        f"{label}: expected an optimizer, an object with state_dict and load_state_dict, or arrays in lists and "
        f"dicts, got {short_repr(value)}; numbers, texts and generators can be in extra"
    )


def is_optimizer(value: Any) -> bool:
    """Whether a value is an optimizer."""
    return not isinstance(value, type) and hasattr(value, "_lent") and hasattr(value, "_native")


def require_optimizer(value: Any, label: str) -> None:
    """Raise TypeError unless a value is an optimizer."""
    if not is_optimizer(value):
        raise TypeError(f"{label}: opt must be an optimizer, got {short_repr(value)}")


def require_names(parts: Mapping[str, Any], label: str) -> None:
    """Raise ValueError for a part whose name cannot be the beginning of keys."""
    for name in parts:
        if name in _ARGUMENTS:
            raise ValueError(f"{label}: a part cannot be named {name!r}, which is an argument of save or load")
        if name in _OWN or not name.isidentifier():
            raise ValueError(f"{label}: a part cannot be named {name!r}")


def loans(optimizers: Iterable[Any]) -> Paired:
    """Return a block that gives what each optimizer has, in which nothing else can use them.

    Raises ValueError if users have replaced parameters.
    """
    natives: list[Any] = []
    for optimizer in optimizers:
        if optimizer._native in natives:
            raise ValueError(f"save: there is the same {type(optimizer).__name__} twice")
        optimizer._native.require_params(optimizer.param_groups)
        natives.append(optimizer._native)
    return Paired([(native.borrow, native.give_back) for native in natives])


def overriding_state_dict(optimizer: Any) -> dict[str, Any] | None:
    """Return the state dict of an optimizer whose class overrides this method. Call it before loans()."""
    if not optimizer._overrides_state_dicts():
        return None
    found = dict(optimizer.state_dict())
    if missing := [key for key in ("state", "window") if key not in found]:
        name = type(optimizer).__name__
        raise TypeError(f"{name}: state_dict must have what that of its base class has: {missing[0]!r} is missing")
    return found


def saved_optimizer(optimizer: Any, borrowed: Any, overriding: dict[str, Any] | None, draft: Draft, part: str) -> Any:
    """Return JSON for an optimizer with its parameters.

    `borrowed` is what loans() gave, and `overriding` what overriding_state_dict() returned.
    """
    before = set(draft.arrays)
    state_dict, params = optimizer._lent(borrowed)
    if overriding is not None:
        state_dict = overriding
    label, dot = f"{type(optimizer).__name__}: state_dict", f"{part}." if part else ""
    state, window = state_dict.pop("state"), state_dict.pop("window")
    sums = None
    if window is not None:
        sums = {name: {"sum": array} for name, array in window["sums"].items()}
        window = {key: value for key, value in window.items() if key != "sums"}
    saved = {
        "state_dict": draft.encoded({**state_dict, "window": window}, label, f"{dot}state"),
        "state": draft.encoded(state, label, f"{dot}state"),
        "sums": draft.encoded(sums, label, f"{dot}window"),
        "params": draft.encoded({name: {"value": array} for name, array in params.items()}, label, f"{dot}param"),
    }
    if optimizer._memory is not HOST:
        draft.copies |= draft.arrays.keys() - before
    return saved


def state_of(value: Any, name: str) -> tuple[str, Any]:
    """Return the kind of a part, and what is saved of it unless it is an optimizer."""
    label = f"save: {name}"
    kind = kind_of(value, label)
    if kind == "arrays":
        _require_arrays(value, label)
    return kind, value.state_dict() if kind == "object" else value


def _require_arrays(value: Any, label: str) -> None:
    """Raise TypeError unless there is nothing but arrays in lists and dicts."""
    if library_of(value) is not None:
        return
    if not isinstance(value, (dict, list, tuple)):
        raise TypeError(f"{label}: expected an array, got {short_repr(value)}; numbers and texts can be in extra")
    if len(label) > _LONGEST_LABEL:
        raise ValueError(f"{label[:80]}...: it is nested too deep, or contains itself")
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        _require_arrays(item, f"{label}[{key!r}]")
