"""What all built-in schedules have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from adamcore._core import make_evaluator
from adamcore.schedules._base import Schedule, register
from adamcore.schedules._described import parameters_of
from adamcore.schedules._readers import Reader, readers_of

FamilyClass = TypeVar("FamilyClass", bound="type[Family]")


class Family(Schedule):
    """A built-in schedule.

    A family is a frozen dataclass. The types of its fields say how they are read and checked, and the formula is the
    native code's, which knows it by the name of the class.
    """

    if TYPE_CHECKING:
        _kind: ClassVar[str]
        _readers: ClassVar[dict[str, Reader]]

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name, read in self._readers.items():
            object.__setattr__(self, name, read(getattr(self, name), f"{owner}: {name}"))
        self._check(owner)
        object.__setattr__(self, "_evaluator", make_evaluator(self._kind, self._native_arguments()))

    def _check(self, owner: str) -> None:
        """Raise ValueError if arguments that are right do not fit together."""

    def _native_arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._readers}

    @staticmethod
    def _text_of(value: Any) -> str:
        return repr(list(value)) if isinstance(value, tuple) else repr(value)


def family(schedule: FamilyClass) -> FamilyClass:
    """Complete a built-in schedule, and register it; a decorator."""
    schedule._kind = schedule.__name__
    readers = readers_of(schedule)
    schedule._readers = {name: readers[name] for name in parameters_of(schedule)}
    return register(schedule)
