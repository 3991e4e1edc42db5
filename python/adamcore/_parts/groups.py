"""The dicts in which users set hyper-parameters. Setting an unknown key raises an error."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from adamcore._checks.flags import FLAGS, require_flags
from adamcore._checks.suggestions import did_you_mean
from adamcore._core import check_hyper, numbers_at, short_repr
from adamcore._parts.clock import with_stand_ins
from adamcore._parts.views import CopiedAsDict, ParamNames, refuse_renaming

OWN_KEYS = ("params", "param_names", "name")
"""The keys of a group that are not hyper-parameters."""


class _Known(CopiedAsDict):
    """A dict whose keys are fixed when it is created."""

    __slots__ = ("_owner",)

    def __init__(self, owner: str, items: Mapping[str, Any]) -> None:
        self._owner = owner
        super().__init__(items)
        for key, value in items.items():
            self._check(key, value)

    def _place(self) -> str:
        raise NotImplementedError

    def _check(self, key: str, value: Any) -> None:
        """Raise TypeError unless `value` is valid for `key`."""
        require_values(self._owner, {key: value})

    def _refuse_unknown(self, key: object) -> NoReturn:
        _refuse_unknown(self._owner, key, self._place(), [key for key in self if key not in OWN_KEYS])

    def _refuse_removal(self, key: object) -> NoReturn:
        raise TypeError(
            f"{self._owner}: {short_repr(key)} cannot be removed from {self._place()}: write another value instead"
        )

    def __setitem__(self, key: str, value: Any) -> None:
        self._write({key: value})

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several values, or none if one of them is invalid."""
        self._write(dict(*args, **kwargs))

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self._write(dict(other))
        return self

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key. An unknown key raises TypeError."""
        if key not in self:
            self._write({key: default})
        return self[key]

    def _write(self, items: dict[str, Any]) -> None:
        for key, value in items.items():
            if key not in self:
                self._admit(key)
            self._check(key, value)
        super().update(items)

    def _admit(self, key: object) -> None:
        self._refuse_unknown(key)

    def __delitem__(self, key: str) -> None:
        self._remove(key)

    def _remove(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._refuse_removal(key)

    def pop(self, key: str, *default: Any) -> Any:
        """Remove the key "name". Other keys cannot be removed."""
        if key not in self and default:
            return default[0]
        value = self[key]
        self._remove(key)
        return value

    def popitem(self) -> NoReturn:
        """Raise TypeError."""
        self._refuse_removal(next(reversed(self)))

    def clear(self) -> NoReturn:
        """Raise TypeError."""
        self._refuse_removal(next(iter(self)))

    def copy(self) -> dict[str, Any]:
        """Return a plain dict."""
        return dict(self)


class ParamGroup(_Known):
    """One of an optimizer's groups.

    The names of hyper-parameters are checked when they are set. Their values are checked when a step reads them,
    because whether a value is valid may depend on others that are set later.
    """

    __slots__ = ()

    def __init__(self, owner: str, params: list[Any], names: list[str], hyper: Mapping[str, Any]) -> None:
        super().__init__(owner, {"params": params, **hyper, "param_names": ParamNames(names)})

    def _place(self) -> str:
        return "a group"

    def _check(self, key: str, value: Any) -> None:
        super()._check(key, value)
        if key == "param_names" and (not isinstance(value, (list, tuple)) or list(value) != list(self[key])):
            refuse_renaming()

    def __setitem__(self, key: str, value: Any) -> None:
        is_number = type(value) is float and key not in FLAGS and key not in OWN_KEYS
        if is_number and key in self:  # a new rate, in every step perhaps
            dict.__setitem__(self, key, value)
        else:
            self._write({key: value})

    def _admit(self, key: object) -> None:
        if key != "name":
            self._refuse_unknown(key)

    def _remove(self, key: str) -> None:
        if key != "name":
            super()._remove(key)
        dict.__delitem__(self, key)


class Defaults(_Known):
    """The values of hyper-parameters that a group does not set. They are checked whenever they are set."""

    __slots__ = ("_keys", "_rule")

    def __init__(
        self,
        owner: str,
        items: Mapping[str, Any],
        rule: Callable[[dict[str, Any]], str],
        variant_keys: tuple[str, ...],
    ) -> None:
        self._rule = rule
        self._keys = variant_keys
        super().__init__(owner, items)
        self._check_values(dict(items))

    def _place(self) -> str:
        return "defaults"

    def _write(self, items: dict[str, Any]) -> None:
        if all(key in self for key in items):
            self._check_values({**self, **items})
        super()._write(items)

    def _check_values(self, hyper: dict[str, Any]) -> None:
        numbers = with_stand_ins(hyper, self._rule, self._keys)  # schedules are called when a group takes them
        try:
            rule = self._rule(numbers)
        except ValueError:
            return  # the defaults cannot be combined, but may be valid with the values that a group sets
        check_hyper(rule, self._owner, numbers, 0, -1)


def current_numbers(
    owner: str, groups: list[dict[str, Any]], index: int, completed: int, rule_for: Callable[[dict[str, Any]], str]
) -> dict[str, Any]:
    """Return the hyper-parameters of a group as the next step would use them."""
    try:
        place = range(len(groups))[operator.index(index)]
    except IndexError:
        raise IndexError(f"{owner}: there is no group {index}; there are {len(groups)}") from None
    hyper = {key: value for key, value in groups[place].items() if key not in OWN_KEYS}
    numbers = numbers_at(owner, hyper, completed, place)
    check_hyper(rule_for(numbers), owner, hyper, completed, place)
    return numbers


def check_options_known(owner: str, options: Iterable[object], known: Iterable[str]) -> None:
    """Raise TypeError unless all options of a new group are hyper-parameters, or "name"."""
    names = list(known)
    for key in options:
        if key not in names and key not in OWN_KEYS:
            _refuse_unknown(owner, key, "a group", names)


def _refuse_unknown(owner: str, key: object, place: str, known: list[str]) -> NoReturn:
    raise TypeError(
        f"{owner}: unknown option {short_repr(key)} in {place}; the known options are {', '.join(known)}"
        + did_you_mean(key, [*known, "name"])
    )


def require_values(owner: str, items: Mapping[str, Any]) -> None:
    """Raise TypeError unless flags are True or False and a group's name is a str. Numbers are checked elsewhere."""
    require_flags(owner, items)
    if not isinstance(items.get("name", ""), str):
        raise TypeError(f"{owner}: the name of a group must be str, got {short_repr(items['name'])}")
