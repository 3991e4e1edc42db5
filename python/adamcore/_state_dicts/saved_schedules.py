"""Schedules in state dicts: saved with their arguments, and in how many places the same one stands."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

from adamcore._arrays.structures import Group
from adamcore._core import short_repr
from adamcore._parts.clock import replaced

if TYPE_CHECKING:
    from adamcore.schedules import Schedule

CODE = {"type": "callable"}
"""What is saved in the place of a callable that is no `Schedule`: code cannot be saved."""

Place = tuple[Any, ...]
"""Where a schedule stands: a group's index, the key of a hyper-parameter, and the place in the tuple that is its value,
or -1. The arguments and places that lead to a schedule within another one follow."""


def is_schedule(value: object) -> TypeGuard[Schedule]:
    """Whether a value is a `Schedule`. If their module has not been imported, there are none."""
    module: Any = sys.modules.get("adamcore.schedules")
    return module is not None and isinstance(value, module.Schedule)


def saved_value(value: Any) -> Any:
    """Return the value of a hyper-parameter with dicts in the place of schedules."""
    return replaced(value, lambda one, _: one.to_dict() if is_schedule(one) else dict(CODE))


def parts_of(schedule: Schedule, place: Place = ()) -> Iterator[tuple[Place, Schedule]]:
    """Yield a schedule and all those within it, with their places."""
    yield place, schedule
    for at, part in _within(schedule._arguments(), ()):
        yield from parts_of(part, (*place, *at))


def _within(value: Any, place: Place) -> Iterator[tuple[Place, Schedule]]:
    """Yield the schedules in an argument, which may be a list or a dict."""
    if is_schedule(value):
        yield place, value
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):  # equal dicts may be in any order
            yield from _within(value[key], (*place, key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _within(item, (*place, i))


def shared_places(groups: list[Group]) -> list[list[list[Any]]]:
    """Return the places of each schedule that has several, so that it is one object after loading too.

    Within others, only schedules that observe count.
    """
    places: dict[int, list[list[Any]]] = {}
    for i, group in enumerate(groups):
        for key, value in group.items():
            replaced(value, partial(_note, places, i, key))
    return [each for each in places.values() if len(each) > 1]


def _note(places: dict[int, list[list[Any]]], group: int, key: str, schedule: Any, index: int) -> None:
    is_new = id(schedule) not in places
    places.setdefault(id(schedule), []).append([group, key, index])
    if not is_new or not is_schedule(schedule):
        return
    for at, part in list(parts_of(schedule))[1:]:
        if part._has_state:
            places.setdefault(id(part), []).append([group, key, index, *at])


class Sharing:
    """Which schedules of a state dict were one object. `shared` is what shared_places() returned."""

    def __init__(self, shared: Any, groups: list[Mapping[str, Any]]) -> None:
        self._numbers: dict[Place, int] = {}
        label = "state_dict['schedules']"
        if not isinstance(shared, (list, tuple)):
            raise TypeError(f"{label}: expected a list, got {short_repr(shared)}")
        for number, places in enumerate(shared):
            if not isinstance(places, (list, tuple)):
                raise TypeError(f"{label}[{number}]: expected a list of places, got {short_repr(places)}")
            found = [_at(groups, place, f"{label}[{number}]") for place in places]
            if any(one != found[0] for one in found):
                raise ValueError(f"{label}[{number}]: there are different schedules in these places")
            self._numbers.update({tuple(place): number for place in places})

    def number_at(self, place: Place) -> int | None:
        """Return the number of the shared schedule in this place, if there is one."""
        return self._numbers.get(place)

    def numbers_in(self, saved: Mapping[str, Any], place: Place) -> dict[int, int]:
        """Return the number of each shared schedule in `saved`, by the identity of its dict."""
        size = len(place)
        within = {at[size:]: number for at, number in self._numbers.items() if at[:size] == place}
        return {id(_follow(saved, at)): number for at, number in within.items()}


def _at(groups: list[Mapping[str, Any]], place: Any, label: str) -> Any:
    wanted = f"{label}: expected places of schedules, such as [0, 'lr', -1], got {short_repr(place)}"
    if not isinstance(place, (list, tuple)) or list(map(type, place[:3])) != [int, str, int]:
        raise TypeError(wanted)
    group, key, index, *path = place
    try:
        found = _follow(groups[group][key] if index < 0 else groups[group][key][index], path)
    except (LookupError, TypeError):
        found = None
    if group < 0 or not isinstance(found, Mapping):
        raise ValueError(wanted)
    return found


def _follow(value: Any, path: Any) -> Any:
    for step in path:
        value = value[step]
    return value
