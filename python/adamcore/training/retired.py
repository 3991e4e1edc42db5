"""Optimizers that have been switched to another rule: they refuse to be used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from adamcore._checks.successors import SUCCESSOR

_SHOWN = frozenset({"__class__", "__dict__", "__doc__", "__module__", "__repr__", "__weakref__"})


def retirement(opt: Any, successor: Any) -> list[Callable[[], Any]]:
    """Return calls of functions in C after which an optimizer refuses every use, and names what succeeds it."""
    before, now = type(opt), type(successor).__name__
    message = (
        f"{before.__name__}: this optimizer has been switched to {now}: use the one that ac.switch returned, which is "
        "its attribute switched_to"
    )

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError(message)

    def read(self: Any, name: str) -> Any:
        if name == "switched_to":
            return object.__getattribute__(self, "__dict__")[SUCCESSOR]
        return object.__getattribute__(self, name) if name in _SHOWN else refuse()

    def describe(_: Any) -> str:
        return f"<{before.__name__} that has been switched to {now}>"

    calls = ("__setattr__", "__delattr__", "__copy__", "__deepcopy__", "__reduce__", "__reduce_ex__", "__setstate__")
    members = {"__slots__": (), "__getattribute__": read, "__repr__": describe, **dict.fromkeys(calls, refuse)}
    metaclass: Any = type(before)
    retired = metaclass(before.__name__, (before,), members)
    attributes = opt.__dict__
    kept = dict(attributes)  # so that nothing is freed, which could run code, before all of this is done
    return [
        partial(object.__setattr__, opt, "__class__", retired),
        attributes.clear,
        partial(attributes.update, {SUCCESSOR: successor}),
        kept.copy,
    ]
