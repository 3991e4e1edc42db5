"""The signature of an optimizer that help() and editors show."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

from adamcore._parts.options import PRESETS, Options


class ShownSignature:
    """An optimizer's signature, with the options in place of ``**options``. It is computed when it is first read."""

    def __get__(self, instance: object, owner: type[Any]) -> inspect.Signature:
        return _signature_of(owner.__init__)


@functools.cache
def _signature_of(init: Callable[..., None]) -> inspect.Signature:
    notes = _annotations_of(init)
    given = list(inspect.signature(init).parameters.values())[1:]
    own = [p.replace(annotation=notes.get(p.name, p.annotation)) for p in given if p.kind is not p.VAR_KEYWORD]
    if len(own) == len(given):
        return inspect.Signature(own)
    from adamcore._guards import SpikeGuard  # noqa: PLC0415  (which few optimizers need)

    notes = typing.get_type_hints(Options, localns={"SpikeGuard": SpikeGuard})
    taken = {p.name for p in own}
    return inspect.Signature(
        own
        + [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=preset, annotation=notes[name])
            for name, preset in PRESETS.items()
            if name not in taken
        ]
    )


def _annotations_of(init: Callable[..., None]) -> dict[str, Any]:
    """Return the types of an optimizer's arguments, or {} if its module does not define their names at run time."""
    try:
        return typing.get_type_hints(init, localns={"Unpack": list})
    except (NameError, TypeError, AttributeError):
        return {}
