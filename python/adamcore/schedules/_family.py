"""What all built-in schedules have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from adamcore._core import make_evaluator
from adamcore.schedules._base import Schedule, register
from adamcore.schedules._readers import Reader, readers_of

FamilyClass = TypeVar("FamilyClass", bound="type[Family]")


class Family(Schedule):
    """A built-in schedule.

    A family is a frozen dataclass, unless an argument has the name of a method. The types of the arguments say how they
    are read and checked. The formula is the native code's, which knows it by the name of the class.
    """

    if TYPE_CHECKING:
        _kind: ClassVar[str]
        _readers: ClassVar[dict[str, Reader]]

    def __post_init__(self) -> None:
        self._take(**{name: getattr(self, name) for name in self._readers})

    def _take(self, **given: Any) -> None:
        """Check all arguments and set the attributes."""
        owner = type(self).__name__
        for name, value in given.items():
            object.__setattr__(self, _ATTRIBUTES.get(name, name), self._readers[name](value, f"{owner}: {name}"))
        self._check(owner)
        object.__setattr__(self, "_formula", make_evaluator(self._kind, self._native_arguments()))

    def _check(self, owner: str) -> None:
        """Raise ValueError if arguments that are right do not fit together."""

    def _native_arguments(self) -> dict[str, Any]:
        return {name: self._argument(name) for name in self._readers}

    def _argument(self, name: str) -> Any:
        return getattr(self, _ATTRIBUTES.get(name, name))

    @staticmethod
    def _text_of(value: Any) -> str:
        return repr(list(value)) if isinstance(value, tuple) else repr(value)


_ATTRIBUTES = {"every": "_every"}
"""Arguments that are attributes of another name, because theirs is a method's."""


def family(schedule: FamilyClass) -> FamilyClass:
    """Complete a built-in schedule, and register it; a decorator."""
    schedule._kind = schedule.__name__
    schedule._readers = readers_of(schedule.__init__)
    return register(schedule)
