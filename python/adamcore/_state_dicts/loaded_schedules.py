"""Schedules on loading: the optimizer's own are compared with the saved ones, and one of both counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from adamcore._core import short_repr
from adamcore._state_dicts.saved_schedules import CODE, Place, Sharing, is_schedule, parts_of

if TYPE_CHECKING:
    from adamcore.schedules import Schedule

Choice = Literal["saved", "own"]
"""Which schedules count if the optimizer's own and the saved ones differ."""

Pair = tuple[Any, Any, Place, str]
"""A number or schedule of the optimizer, the one that was saved, its place, and what messages call it."""


def pairs(own: Any, saved: Any, place: Place, label: str) -> Iterator[Pair]:
    """Yield the numbers and schedules of a hyper-parameter, which may be a tuple."""
    if not isinstance(saved, (list, tuple)):
        yield own, saved, (*place, -1), label
        return
    mine = own if isinstance(own, (list, tuple)) and len(own) == len(saved) else [None] * len(saved)
    for i, (one, other) in enumerate(zip(mine, saved, strict=True)):
        yield one, other, (*place, i), f"{label}[{i}]"


class _Part(NamedTuple):
    """A schedule within another one: the optimizer's own, and the saved one that is equal to it."""

    at: Place
    own: Schedule
    made: Schedule


class Loader:
    """Decides between the optimizer's own schedules and saved ones.

    With `keeps_own`, the optimizer's own schedules count where there is no choice. Call compare() with everything
    first, then merged() for each hyper-parameter.
    """

    def __init__(self, choice: Choice | None, sharing: Sharing, *, keeps_own: bool = False) -> None:
        if choice not in (None, "saved", "own"):
            raise ValueError(f"schedules must be 'saved', 'own' or None, got {short_repr(choice)}")
        self._choice = "own" if keeps_own and choice is None else choice
        self._takes_any_code = keeps_own
        self._sharing = sharing
        self._made: dict[int, list[Schedule]] = {}  # by number in `sharing`: one, or none yet
        self._equal: set[tuple[int, Place]] = set()  # the identity of an own schedule, and the place of the saved one
        self._states: dict[int, tuple[dict[str, Any], Any]] = {}  # by the identity of a memory

    @property
    def memories(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """What own schedules that observe take over: the dict that is the memory of one, and its new items."""
        return [(memory, {"state": state}) for memory, state in self._states.values()]

    def compare(self, everything: Iterable[Pair]) -> None:
        """Find the own schedules that are equal to the saved ones."""
        equal = [(pair[2], pair[3], parts) for pair in everything if (parts := _equal_parts(pair[0], pair[1]))]
        torn = _with_several_histories((label, parts) for _, label, parts in equal)
        if torn and self._choice != "saved":
            raise ValueError(
                f"{' and '.join(next(iter(torn.values())))}: the state_dict has schedules that have observed different "
                "metrics, and the optimizer has a single one in their places; pass schedules='saved' to take the saved "
                "ones"
            )
        for place, _, parts in equal:
            if not any(part.own._has_state and id(part.own._memory) in torn for part in parts):
                self._equal.add((id(parts[0].own), place))
                self._adopt(place, parts)

    def _adopt(self, place: Place, parts: list[_Part]) -> None:
        """Note what is known of an own schedule that is equal to a saved one."""
        for part in parts:
            if part.own._has_state:
                self._states[id(part.own._memory)] = (part.own._memory, part.made._memory["state"])
            number = self._sharing.number_at((*place, *part.at))
            if number is not None:
                self._made.setdefault(number, [part.own])

    def merged(self, own: Any, saved: Any, place: Place, label: str) -> Any:
        """Return the value that a hyper-parameter has after loading: `own`, `saved`, or of each what counts."""
        found = list(pairs(own, saved, place, label))
        items = [self._choose(*pair) for pair in found]
        if not isinstance(saved, (list, tuple)):
            return items[0]
        same = all(item is pair[0] for item, pair in zip(items, found, strict=True))
        return own if same and any(map(callable, items)) else type(saved)(items)

    def _choose(self, own: Any, saved: Any, place: Place, label: str) -> Any:
        is_saved, has_own = isinstance(saved, Mapping), callable(own)
        if not is_saved and not has_own:
            return saved
        if saved == CODE:
            return self._own_code(own, label)
        if (id(own), place) in self._equal or self._choice == "own":
            return own
        made = self._made_from(saved, place, label) if is_saved else saved
        if not has_own or self._choice == "saved":
            return made
        raise ValueError(
            f"{label}: the optimizer has {own!r}, and the state_dict has {made!r}; pass schedules='own' or "
            "schedules='saved' to say which one to use"
        )

    def _own_code(self, own: Any, label: str) -> Any:
        if callable(own) or self._choice == "own" or self._takes_any_code:
            return own
        raise ValueError(
            f"{label}: the state_dict was saved with a callable that is no Schedule, so it is not in there; make the "
            "optimizer with this callable, or pass schedules='own' to go on with "
            f"{short_repr(own)}"
        )

    def _made_from(self, saved: Mapping[str, Any], place: Place, label: str) -> Schedule:
        numbers = self._sharing.numbers_in(saved, place)
        try:
            return _made_of(saved, {at: self._made.setdefault(number, []) for at, number in numbers.items()})
        except (TypeError, ValueError) as error:
            raise type(error)(f"{label}: {error}") from None


def _equal_parts(own: Any, saved: Any) -> list[_Part]:
    """Return the parts of an own schedule, itself included, if it is equal to the saved one."""
    if not is_schedule(own) or not isinstance(saved, Mapping):
        return []
    try:
        made = _made_of(saved, {})
    except (TypeError, ValueError):
        return []
    if own != made:
        return []
    both = zip(parts_of(own), parts_of(made), strict=True)
    return [_Part(at, mine, other) for (at, mine), (_, other) in both]


def _with_several_histories(equal: Iterable[tuple[str, list[_Part]]]) -> dict[int, list[str]]:
    """Return the labels of own schedules to which several saved ones are equal that have observed different metrics."""
    states: dict[int, dict[Any, None]] = {}
    labels: dict[int, dict[str, None]] = {}
    for label, parts in equal:
        for part in parts:
            if part.own._has_state:
                states.setdefault(id(part.own._memory), {})[part.made._memory["state"]] = None
                labels.setdefault(id(part.own._memory), {})[label] = None
    return {memory: list(labels[memory]) for memory, found in states.items() if len(found) > 1}


def _made_of(saved: Mapping[str, Any], known: dict[int, list[Schedule]]) -> Schedule:
    from adamcore.schedules import Schedule  # noqa: PLC0415  (which takes longer than the rest of the package)

    made: Schedule = Schedule._from_dict(saved, known)
    return made
