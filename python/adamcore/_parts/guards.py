"""Guards that stand where an option takes a number, and what state dicts have of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from adamcore._core import short_repr

if TYPE_CHECKING:
    from adamcore._guards import SpikeGuard

OPTION = "clip_norm"
"""The option that may be a guard."""

_LABEL = f"state_dict['guards'][{OPTION!r}]"


def is_guard(value: object) -> TypeGuard[SpikeGuard]:
    """Whether a value is a `SpikeGuard`. If their module has not been imported, there are none."""
    module: Any = sys.modules.get("adamcore._guards")
    return module is not None and isinstance(value, module.SpikeGuard)


def guard_in(options: Mapping[str, Any]) -> SpikeGuard | None:
    """Return the guard among an optimizer's options, if there is one."""
    value = options[OPTION]
    return value if is_guard(value) else None


def take_guard(optimizer: Any, options: Mapping[str, Any]) -> None:
    """Let the guard belong to a new optimizer, or raise ValueError if another one has it."""
    guard = guard_in(options)
    if guard is not None:
        guard._belong_to(optimizer)


def saved_guards(own: SpikeGuard | None) -> dict[str, Any]:
    """Return what a state dict has of an optimizer's guard."""
    return {} if own is None else {OPTION: own.to_dict()}


def loaded_guards(
    own: SpikeGuard | None, saved: Any, choice: str | None
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the dict that is the memory of an optimizer's guard, and its new items: nothing if there is no guard.

    `saved` is what saved_guards() returned. If the optimizer's guard has other arguments, or there is none, the
    `choice` must be "own".
    """
    found = _checked(saved)
    if found is None:
        return [] if own is None else [(own._memory, {"state": own._history_of([], 0)})]
    made = _made_of(found)
    if own is None:
        if choice == "own":
            return []
        raise ValueError(
            f"{_LABEL}: the state_dict has {made!r}, but the optimizer was made without a SpikeGuard; make it with "
            f"{OPTION}={made!r}, or pass schedules='own' to go on without one"
        )
    if made != own and choice != "own":
        raise ValueError(
            f"{_LABEL}: the optimizer has {own!r}, and the state_dict has {made!r}; make the optimizer with that one, "
            "or pass schedules='own' to go on with the optimizer's"
        )
    return [(own._memory, {"state": own._state_from_dict(made._state_to_dict())})]


def _checked(saved: Any) -> Mapping[str, Any] | None:
    """Return the dict of the saved guard, if there is one."""
    label = "state_dict['guards']"
    if not isinstance(saved, Mapping):
        raise TypeError(f"{label}: expected a dict, got {short_repr(saved)}")
    if unknown := [name for name in saved if name != OPTION]:
        raise ValueError(f"{label}: {short_repr(unknown[0])} is no option that can be a guard")
    if OPTION not in saved:
        return None
    guard = saved[OPTION]
    if not isinstance(guard, Mapping) or guard.get("type") != "SpikeGuard":
        raise ValueError(f"{_LABEL}: expected what SpikeGuard.to_dict() returned, got {short_repr(guard)}")
    return guard


def _made_of(saved: Mapping[str, Any]) -> SpikeGuard:
    from adamcore._guards import SpikeGuard  # noqa: PLC0415  (which few optimizers need)

    try:
        made: SpikeGuard = SpikeGuard.from_dict(saved)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{_LABEL}: {error}") from None
    return made
