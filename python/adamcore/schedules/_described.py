"""Immutable objects that are described by the arguments of their constructors."""

from __future__ import annotations

import abc
import inspect
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from adamcore._checks.suggestions import did_you_mean
from adamcore._core import short_repr
from adamcore.schedules._plain import comparable, from_plain, hash_of, to_plain

_KNOWN: dict[str, type[Described]] = {}
"""The classes that `Described.from_dict` makes objects of, by name."""

_KEYS = ("type", "state")
"""What dicts of saved objects have beside the arguments."""

_CODE = "callable"
"""The type that state dicts have in the place of callables that are not saved."""

Class = TypeVar("Class", bound="type[Described]")


class Sealing(abc.ABCMeta):
    """Makes objects read-only after ``__init__``."""

    if not TYPE_CHECKING:  # checkers read the signature of __init__

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            made = super().__call__(*args, **kwargs)
            made._seal()
            return made

    def __setattr__(cls, name: str, value: Any) -> None:
        if name in ("__eq__", "__hash__") and "__dataclass_params__" in cls.__dict__:
            return  # dataclass() makes its own, for which (1, 2) and [1, 2] differ
        super().__setattr__(name, value)

    @property
    def __signature__(cls) -> inspect.Signature:
        init = cls.__init__  # type: ignore[misc]
        types = _types_of(init)
        parameters = _parameters_after_self(init).values()
        return inspect.Signature([p.replace(annotation=types.get(p.name, p.annotation)) for p in parameters])


class Described(metaclass=Sealing):
    """An immutable object whose arguments are attributes of the same names.

    They are what is shown, compared, saved and copied.
    """

    __slots__ = ("__weakref__", "_is_sealed")

    _has_state: ClassVar[bool] = False
    """Whether ``_memory["state"]`` holds an immutable object that changes, and is saved beside the arguments."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_is_known" in cls.__dict__:  # dataclass(slots=True) makes a copy of a class that is known
            _KNOWN[cls.__name__] = cls

    def __init__(self) -> None:
        pass

    def _seal(self) -> None:
        object.__setattr__(self, "_is_sealed", True)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, "_is_sealed"):
            raise AttributeError(f"{type(self).__name__} is immutable, so {name} cannot be set: make another one")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if hasattr(self, "_is_sealed"):
            raise AttributeError(f"{type(self).__name__} is immutable, so {name} cannot be deleted")
        object.__delattr__(self, name)

    def _argument(self, name: str) -> Any:
        try:
            value = getattr(self, name)
        except AttributeError as error:
            raise _not_an_attribute(self, name) from error
        if getattr(value, "__self__", None) is self:
            raise _not_an_attribute(self, name)  # a method has this name
        return value

    def _arguments(self) -> dict[str, Any]:
        return {name: self._argument(name) for name in parameters_of(type(self))}

    def __repr__(self) -> str:
        shown, places = [], True
        for parameter in parameters_of(type(self)).values():
            value = self._argument(parameter.name)
            places = places and parameter.kind is not parameter.KEYWORD_ONLY
            if parameter.default is not parameter.empty and _is_same(value, parameter.default):
                places = False  # what follows needs its name
                continue
            text = self._text_of(value)
            shown.append(text if places else f"{parameter.name}={text}")
        return f"{type(self).__name__}({', '.join(shown)})"

    @staticmethod
    def _text_of(value: Any) -> str:
        return repr(value)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return bool(comparable(self._arguments()) == comparable(other._arguments()))

    def __hash__(self) -> int:
        return hash((type(self), hash_of(comparable(self._arguments()))))

    def __reduce__(self) -> tuple[Any, ...]:
        made = (_make, (type(self), self._arguments()))
        return (*made, self._memory["state"]) if self._has_state else made

    def __setstate__(self, state: Any) -> None:
        self._memory["state"] = state

    if TYPE_CHECKING:

        @property
        def _memory(self) -> dict[str, Any]: ...

    def _state_to_dict(self) -> Any:
        """Return the state as JSON, if there is any."""
        raise NotImplementedError

    def _state_from_dict(self, saved: Any) -> Any:
        """Return the state that was saved, or raise ValueError."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as a dict that can be stored as JSON.

        The class is under ``"type"``. Arguments that are schedules are dicts too.

        Returns
        -------
        dict
            It is what `from_dict` takes.
        """
        name = type(self).__name__
        if _KNOWN.get(name) is not type(self):
            raise TypeError(f"{name} cannot be saved: register the class with @adamcore.schedules.register")
        _require_free_keys(type(self))
        saved = {"type": name}
        for key, value in self._arguments().items():
            saved[key] = to_plain(value, Described, f"{name}: {key}")
        if self._has_state:
            saved["state"] = self._state_to_dict()
        return saved

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Any:
        """Make an object of what `to_dict` returned.

        Only registered classes are known; nothing is imported or evaluated. The arguments are checked as the
        constructor does.

        Parameters
        ----------
        saved : mapping
            A ``"type"``, and the arguments of the constructor. Those that are missing have their defaults.

        Returns
        -------
        Schedule
            An object that is equal to the one that was saved.

        Raises
        ------
        TypeError
            If `saved` is no mapping, or an argument has a wrong type.
        ValueError
            If the type is not registered, a key is unknown, an argument without a default is missing, an argument
            has a wrong value, or the dict is nested too deeply.
        """
        return cls._from_dict(saved, {})

    @classmethod
    def _from_dict(cls, saved: Mapping[str, Any], known: dict[int, list[Any]]) -> Any:
        """Make an object of what `to_dict` returned.

        `known` maps the identity of a dict in `saved` to a list, which dicts share that are one object. The object is
        put there, unless there is one already.
        """
        if not isinstance(saved, Mapping):
            raise TypeError(f"a saved schedule must be a dict, got {short_repr(saved)}")
        if found := known.get(id(saved)):
            return found[0]
        described = _class_named(saved.get("type"))
        if not issubclass(described, cls):
            raise ValueError(f"{described.__name__} is no {cls.__name__}")  # noqa: TRY004  (of a file)
        given = {key: value for key, value in saved.items() if key != "type"}
        state = given.pop("state", None) if described._has_state else None
        _require_keys(described, given)

        def within(part: Mapping[str, Any]) -> Any:
            return Described._from_dict(part, known)

        try:
            arguments = {key: from_plain(value, within) for key, value in given.items()}
        except RecursionError:
            raise ValueError("a saved schedule is nested too deeply") from None
        made = _make(described, arguments)
        if state is not None:
            made._memory["state"] = made._state_from_dict(state)
        if id(saved) in known:
            known[id(saved)].append(made)
        return made


def parameters_of(described: type[Described]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a constructor, which are the names of attributes too."""
    init = described.__init__
    of, found = described.__dict__.get("_parameters", (None, None))
    if of is not init:  # a decorator may replace it
        found = _parameters_after_self(init)
        for parameter in found.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TypeError(f"{described.__name__}: its constructor must name all arguments, got {parameter}")
        type.__setattr__(described, "_parameters", (init, found))
    return typing.cast("Mapping[str, inspect.Parameter]", found)


def _parameters_after_self(init: Any) -> dict[str, inspect.Parameter]:
    return dict(list(inspect.signature(init).parameters.items())[1:])


def add_known(described: Class) -> Class:
    """Let `Described.from_dict` make objects of a class."""
    name = described.__name__
    if name == _CODE:
        raise ValueError(f"a schedule cannot be named {name!r}, which stands for functions in state dicts")
    _require_free_keys(described)
    other = _KNOWN.get(name)
    if other is not None and (other.__module__, other.__qualname__) != (described.__module__, described.__qualname__):
        raise ValueError(f"another schedule named {name} is registered, of module {other.__module__}: rename this one")
    type.__setattr__(described, "_is_known", True)
    _KNOWN[name] = described
    return described


def known(name: str) -> Any:
    """Return a registered class."""
    return _KNOWN[name]


def known_names() -> tuple[str, ...]:
    """Return the names of registered classes."""
    return tuple(_KNOWN)


def _class_named(name: Any) -> type[Described]:
    if not isinstance(name, str):
        raise ValueError(  # noqa: TRY004  (of a file, not of an argument)
            f"a saved schedule must have the name of its class as 'type', got {short_repr(name)}"
        )
    if name not in _KNOWN:
        hint = did_you_mean(name, _KNOWN) or "."
        raise ValueError(
            f"there is no schedule of type {name!r}{hint} If it is your own class, import it first, and register it "
            "with @adamcore.schedules.register"
        )
    return _KNOWN[name]


def _require_free_keys(described: type[Described]) -> None:
    for key in _KEYS:
        if key in parameters_of(described):
            raise ValueError(
                f"{described.__name__}: an argument cannot be named {key!r}, which is a key of saved schedules"
            )


def _require_keys(described: type[Described], given: Mapping[str, Any]) -> None:
    name, wanted = described.__name__, parameters_of(described)
    for key in given:
        if key not in wanted:
            raise ValueError(f"{name}: there is no argument {key!r}{did_you_mean(key, wanted)}")
    missing = [key for key, parameter in wanted.items() if key not in given and parameter.default is parameter.empty]
    if missing:
        raise ValueError(f"{name}: {missing[0]} is missing from what was saved")


def _not_an_attribute(described: Described, name: str) -> TypeError:
    owner = type(described).__name__
    return TypeError(f"{owner}: the constructor's argument {name!r} must be kept as the attribute {owner}.{name}")


def _types_of(init: Any) -> dict[str, Any]:
    """Return the types of arguments, or {} if their module does not define the names at run time."""
    try:
        return typing.get_type_hints(init)
    except (NameError, TypeError, AttributeError):
        return {}


def _make(described: type[Any], arguments: Mapping[str, Any]) -> Any:
    """Call a constructor; arguments that can only be given by their place are too."""
    places = [p.name for p in parameters_of(described).values() if p.kind is p.POSITIONAL_ONLY]
    rest = {key: value for key, value in arguments.items() if key not in places}
    return described(*(arguments[name] for name in places if name in arguments), **rest)


def _is_same(value: Any, default: Any) -> bool:
    return type(value) in (type(default), int, float) and bool(value == default)
