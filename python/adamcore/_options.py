"""The options that every optimizer takes beside its rule's hyper-parameters: precision, clipping, non-finite values."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from adamcore._core import is_less, short_repr
from adamcore._names import did_you_mean
from adamcore._numbers import as_float
from adamcore.precision import Precision

if TYPE_CHECKING:
    from adamcore.optimizer import Optimizer

NonFinite = Literal["propagate", "skip", "raise"]

CLIPS = {
    "clip_norm": "norm",
    "clip_norm_per_tensor": "norm_per_tensor",
    "clip_adaptive": "units",
    "clip_value": "value",
}
"""Ways of clipping, and what C++ calls them."""


class Options(TypedDict, total=False):
    """Keyword arguments of every optimizer; `Optimizer` says what they do."""

    clip_norm: float | None
    clip_norm_per_tensor: float | None
    clip_adaptive: float | None
    clip_value: float | None
    nonfinite: NonFinite
    precision: Precision | None


PRESETS: dict[str, Any] = {**dict.fromkeys(CLIPS), "nonfinite": "propagate", "precision": None}


def check_options(owner: str, given: dict[str, Any], hyper: Iterable[str]) -> dict[str, Any]:
    """Return all options with their values, held to their ranges.

    `given` are those that were passed, `hyper` the names of the other arguments.
    """
    if unknown := [name for name in given if name not in PRESETS]:
        known = [*hyper, *PRESETS]
        raise TypeError(
            f"{owner}: unexpected argument {unknown[0]!r}; there are params, {', '.join(known)}"
            + did_you_mean(unknown[0], known)
        )
    options = {**PRESETS, **given}
    for name in CLIPS:
        if options[name] is not None:
            options[name] = _limit(owner, name, options[name])
    clips = [name for name in CLIPS if options[name] is not None]
    if len(clips) > 1:
        raise ValueError(f"{owner}: {clips[0]} and {clips[1]} do not go together: choose one way of clipping")
    if not isinstance(options["nonfinite"], str) or options["nonfinite"] not in ("propagate", "skip", "raise"):
        got = short_repr(options["nonfinite"])
        raise ValueError(f"{owner}: nonfinite must be 'propagate', 'skip' or 'raise', got {got}")
    if options["precision"] is None:
        options["precision"] = Precision()
    if not isinstance(options["precision"], Precision):
        raise TypeError(f"{owner}: precision must be an adamcore.Precision, got {short_repr(options['precision'])}")
    return options


def native_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return checked options as C++ reads them."""
    precision = options["precision"]
    clip = next((name for name in CLIPS if options[name] is not None), None)
    return {
        "weights": precision._weights,
        "state": precision.state,
        "state_rounding": precision.state_rounding,
        "seed": precision.seed,
        "clip": CLIPS[clip] if clip else "none",
        "limit": options[clip] if clip else 0.0,
        "checks": options["nonfinite"] != "propagate",
    }


def describe_options(options: Mapping[str, Any]) -> list[str]:
    """Return lines for an optimizer's repr."""
    clips = [f"{name}: {options[name]}" for name in CLIPS if options[name] is not None]
    return [*(clips or ["clipping: none"]), f"nonfinite: {options['nonfinite']}", f"precision: {options['precision']}"]


class ShownSignature:
    """An optimizer's signature, with the options in place of ``**options``: for help and editors, when they ask."""

    def __get__(self, instance: object, owner: type[Optimizer]) -> inspect.Signature:
        return _signature_of(owner)


@functools.cache
def _signature_of(optimizer: type[Optimizer]) -> inspect.Signature:
    notes = _annotations_of(optimizer)
    given = list(inspect.signature(optimizer.__init__).parameters.values())[1:]
    own = [p.replace(annotation=notes.get(p.name, p.annotation)) for p in given if p.kind is not p.VAR_KEYWORD]
    if len(own) == len(given):
        return inspect.Signature(own)
    notes = typing.get_type_hints(Options)
    taken = {p.name for p in own}
    return inspect.Signature(
        own
        + [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=preset, annotation=notes[name])
            for name, preset in PRESETS.items()
            if name not in taken
        ]
    )


def _annotations_of(optimizer: type[Optimizer]) -> dict[str, Any]:
    """Return the types of an optimizer's arguments; none where its module does not have their names at run time."""
    try:
        return typing.get_type_hints(optimizer.__init__, localns={"Unpack": list})
    except (NameError, TypeError, AttributeError):
        return {}


def _limit(owner: str, name: str, value: Any) -> float:
    limit = as_float(value, f"{owner}: {name}", "a number > 0")
    if not is_less(0.0, limit):
        raise ValueError(f"{owner}: {name} must be a number > 0, got {short_repr(value)}")
    return limit
