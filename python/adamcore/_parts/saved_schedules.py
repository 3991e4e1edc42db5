"""Schedules in checkpoints: saved with their arguments, and compared with the optimizer's own on loading."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from adamcore._arrays.structures import Group
from adamcore._core import short_repr
from adamcore._parts.clock import replaced

if TYPE_CHECKING:
    from adamcore.schedules import Schedule

Choice = Literal["saved", "own"]
"""Which schedules count if the optimizer's own and the saved ones differ."""

CODE = {"type": "callable"}
"""What is saved in the place of a callable that is no `Schedule`: code cannot be saved."""

Place = tuple[int, str, int]
"""A group's index, the key of a hyper-parameter, and the place in the tuple that is its value, or -1."""


def saved_value(value: Any) -> Any:
    """Return the value of a hyper-parameter with dicts in the place of schedules."""
    return replaced(value, lambda one, _: one.to_dict() if _is_schedule(one) else dict(CODE))


def shared_places(groups: list[Group]) -> list[list[list[Any]]]:
    """Return the places of each schedule that stands in several places, so that it is one object after loading too."""
    places: dict[int, list[list[Any]]] = {}
    for i, group in enumerate(groups):
        for key, value in group.items():
            replaced(value, partial(_note, places, i, key))
    return [each for each in places.values() if len(each) > 1]


def _is_schedule(value: object) -> TypeGuard[Schedule]:
    """Whether a value is a `Schedule`. If their module has not been imported, there are none."""
    module: Any = sys.modules.get("adamcore.schedules")
    return module is not None and isinstance(value, module.Schedule)


def _from_dict(saved: Mapping[str, Any]) -> Schedule:
    from adamcore.schedules import Schedule  # noqa: PLC0415  (which takes longer than the rest of the package)

    return Schedule.from_dict(dict(saved))


def _note(places: dict[int, list[list[Any]]], group: int, key: str, schedule: object, place: int) -> None:
    places.setdefault(id(schedule), []).append([group, key, place])


class Loader:
    """Decides between the optimizer's own schedules and saved ones.

    `shared` is what shared_places() returned. With `keeps_own`, the optimizer's own schedules count without a choice.
    `memories` collects what schedules with a memory have to take over: the
    dict that is the memory of one of the optimizer's own, and its new items.
    """

    def __init__(self, choice: Choice | None, shared: Any, *, keeps_own: bool = False) -> None:
        if choice not in (None, "saved", "own"):
            raise ValueError(f"schedules must be 'saved', 'own' or None, got {short_repr(choice)}")
        self.choice = choice
        self.keeps_own = keeps_own
        self.memories: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._sharing = _sharing(shared)
        self._made: dict[int, Schedule] = {}

    def merged(self, own: Any, value: Any, place: tuple[int, str], label: str) -> Any:
        """Return the value that a hyper-parameter has after loading: `own`, `value`, or of each what counts."""
        if not isinstance(value, (list, tuple)):
            return self._choose(own, value, (*place, -1), label)
        mine = own if isinstance(own, (list, tuple)) and len(own) == len(value) else [None] * len(value)
        pairs = enumerate(zip(mine, value, strict=True))
        items = [self._choose(a, b, (*place, i), f"{label}[{i}]") for i, (a, b) in pairs]
        same = all(item is a for item, a in zip(items, mine, strict=True))
        return own if same and any(map(callable, items)) else type(value)(items)

    def _choose(self, own: Any, value: Any, place: Place, label: str) -> Any:
        is_saved, has_own = isinstance(value, Mapping), callable(own)
        if not is_saved and not has_own:
            return value
        if value == CODE:
            return self._own_code(own, label)
        if self.choice == "own" or (self.keeps_own and has_own):
            self._remember(own, value)
            return own
        made = self._made_at(value, place, label) if is_saved else value
        if not has_own or self.choice == "saved":
            return self._taken(own, made)
        if _is_schedule(own) and own == made:
            return self._taken(own, made)
        raise ValueError(
            f"{label}: the optimizer has {own!r}, and the state_dict has {made!r}; pass schedules='own' or "
            "schedules='saved' to load_state_dict to say which one to use"
        )

    def _own_code(self, own: Any, label: str) -> Any:
        if callable(own) or self.choice == "own" or self.keeps_own:
            return own
        raise ValueError(
            f"{label}: the state_dict was saved with a callable that is no Schedule, so it is not in there; make the "
            "optimizer with this callable, or pass schedules='own' to load_state_dict to go on with "
            f"{short_repr(own)}"
        )

    def _taken(self, own: Any, made: Any) -> Any:
        if not _is_schedule(own) or own != made:
            return made
        for mine, other in zip(_with_memory(own), _with_memory(made), strict=True):
            self.memories.append((mine, dict(other)))
        return own

    def _remember(self, own: Any, value: Any) -> None:
        """Let one of the optimizer's own schedules take over the memory of a saved one, if they are equal."""
        if not _is_schedule(own) or not isinstance(value, Mapping):
            return
        try:
            made = _from_dict(value)
        except (TypeError, ValueError):
            return
        self._taken(own, made)

    def _made_at(self, value: Mapping[str, Any], place: Place, label: str) -> Schedule:
        number = self._sharing.get(place)
        if number is not None and number in self._made:
            return self._made[number]
        try:
            made = _from_dict(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{label}: {error}") from None
        if number is not None:
            self._made[number] = made
        return made


def _with_memory(schedule: Schedule) -> Iterator[dict[str, Any]]:
    """Yield the memories of a schedule and of all that it holds, in the order of their places."""
    memory = getattr(schedule, "_memory", None)
    if memory is not None:
        yield memory
    for child in schedule._children():
        yield from _with_memory(child)


def _sharing(shared: Any) -> dict[Place, int]:
    label = "state_dict['schedules']"
    if not isinstance(shared, (list, tuple)):
        raise TypeError(f"{label}: expected a list, got {short_repr(shared)}")
    sharing: dict[Place, int] = {}
    for number, places in enumerate(shared):
        for place in places if isinstance(places, (list, tuple)) else [places]:
            if not isinstance(place, (list, tuple)) or list(map(type, place)) != [int, str, int]:
                raise TypeError(f"{label}: expected places such as [0, 'lr', -1], got {short_repr(place)}")
            sharing[place[0], place[1], place[2]] = number
    return sharing
