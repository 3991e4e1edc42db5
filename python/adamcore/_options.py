"""The options that every optimizer takes beside its rule's hyper-parameters: precision, clipping, non-finite values."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, TypedDict

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


def check_options(owner: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return all options with their values, held to their ranges; `given` are those that were passed."""
    if unknown := [name for name in given if name not in PRESETS]:
        raise TypeError(f"{owner}: unexpected argument {unknown[0]!r}")
    options = {**PRESETS, **given}
    for name in CLIPS:
        if options[name] is not None:
            options[name] = _limit(owner, name, options[name])
    clips = [name for name in CLIPS if options[name] is not None]
    if len(clips) > 1:
        raise ValueError(f"{owner}: {clips[0]} and {clips[1]} do not go together: choose one way of clipping")
    if options["nonfinite"] not in ("propagate", "skip", "raise"):
        raise ValueError(f"{owner}: nonfinite must be 'propagate', 'skip' or 'raise', got {options['nonfinite']!r}")
    if options["precision"] is None:
        options["precision"] = Precision()
    if not isinstance(options["precision"], Precision):
        raise TypeError(f"{owner}: precision must be an adamcore.Precision, got {options['precision']!r}")
    return options


def native_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return checked options as C++ reads them."""
    precision = options["precision"]
    clip = next((name for name in CLIPS if options[name] is not None), None)
    return {
        "weights": precision._weights,
        "state": precision.state,
        "seed": precision.seed,
        "clip": CLIPS[clip] if clip else "none",
        "limit": options[clip] if clip else 0.0,
        "checks": options["nonfinite"] != "propagate",
    }


def show_in_signature(optimizer: type[Optimizer]) -> None:
    """Put the options in place of ``**options`` in an optimizer's signature, where help and editors look."""
    signature = inspect.signature(optimizer.__init__)
    own = [p for p in signature.parameters.values() if p.name != "self" and p.kind is not p.VAR_KEYWORD]
    notes = Options.__annotations__
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=preset, annotation=notes[name])
        for name, preset in PRESETS.items()
    ]
    optimizer.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]


def _limit(owner: str, name: str, value: Any) -> float:
    limit = as_float(value, f"{owner}: {name}", "a number > 0")
    if not limit > 0:
        raise ValueError(f"{owner}: {name} must be a number > 0, got {value!r}")
    return limit
