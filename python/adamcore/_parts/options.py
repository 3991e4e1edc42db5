"""The options of every optimizer that are not hyper-parameters of its rule: precision, clipping, non-finite values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from adamcore._checks.numbers import as_float
from adamcore._checks.suggestions import did_you_mean
from adamcore._core import is_less, short_repr
from adamcore._parts.guards import OPTION, guard_in, is_guard
from adamcore.precision import Precision

if TYPE_CHECKING:
    from adamcore._guards import SpikeGuard

NonFinite = Literal["propagate", "skip", "raise"]

CLIPS = {
    "clip_norm": "norm",
    "clip_norm_per_tensor": "norm_per_tensor",
    "clip_adaptive": "units",
    "clip_value": "value",
}
"""The clipping options and their names in C++."""


class Options(TypedDict, total=False):
    """Keyword arguments of every optimizer; `Optimizer` describes them."""

    clip_norm: float | SpikeGuard | None
    clip_norm_per_tensor: float | None
    clip_adaptive: float | None
    clip_value: float | None
    nonfinite: NonFinite
    precision: Precision | None


PRESETS: dict[str, Any] = {**dict.fromkeys(CLIPS), "nonfinite": "propagate", "precision": None}


def check_options(owner: str, given: dict[str, Any], hyper: Iterable[str]) -> dict[str, Any]:
    """Return all options with their values. Raises an error if a name is unknown or a value is invalid.

    `given` are the options that were passed, and `hyper` are the names of the other arguments.
    """
    if unknown := [name for name in given if name not in PRESETS]:
        known = [*hyper, *PRESETS]
        raise TypeError(
            f"{owner}: unexpected argument {unknown[0]!r}; the arguments are params, {', '.join(known)}"
            + did_you_mean(unknown[0], known)
        )
    options = {**PRESETS, **given}
    for name in CLIPS:
        if options[name] is not None and not (name == OPTION and is_guard(options[name])):
            options[name] = _limit(owner, name, options[name])
    clips = [name for name in CLIPS if options[name] is not None]
    if len(clips) > 1:
        raise ValueError(f"{owner}: {clips[0]} and {clips[1]} cannot be combined: use only one clipping option")
    if not isinstance(options["nonfinite"], str) or options["nonfinite"] not in ("propagate", "skip", "raise"):
        got = short_repr(options["nonfinite"])
        raise ValueError(f"{owner}: nonfinite must be 'propagate', 'skip' or 'raise', got {got}")
    if options["precision"] is None:
        options["precision"] = Precision()
    if not isinstance(options["precision"], Precision):
        raise TypeError(f"{owner}: precision must be an adamcore.Precision, got {short_repr(options['precision'])}")
    return options


def native_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked options in the form that C++ reads."""
    precision = options["precision"]
    clip = next((name for name in CLIPS if options[name] is not None), None)
    guard = guard_in(options)
    return {
        "weights": precision._weights,
        "state": precision.state,
        "state_rounding": precision.state_rounding,
        "seed": precision.seed,
        "clip": CLIPS[clip] if clip else "none",
        "limit": math.inf if guard else options[clip] if clip else 0.0,
        "guard": guard._memory if guard else None,
        "checks": options["nonfinite"] != "propagate",
        "raises": options["nonfinite"] == "raise",
    }


def require_use_of_precision(owner: str, precision: Precision, arrays: Iterable[Any]) -> None:
    """Raise ValueError if `precision` is for half-precision parameters and no array has half precision."""
    special = "master" if precision.master == "remainder" else "rounding" if precision.rounding != "nearest" else None
    if special and not any(may_be_half(array) for array in arrays):
        raise ValueError(
            f"{owner}: precision: {special}={getattr(precision, special)!r} is for half-precision parameters, and "
            "there are none"
        )


def may_be_half(array: Any) -> bool:
    """Whether an array of any library may have half precision, as far as its dtype tells."""
    return getattr(getattr(array, "dtype", None), "itemsize", 2) == 2


def _limit(owner: str, name: str, value: Any) -> float:
    if is_guard(value):
        raise TypeError(f"{owner}: {name} must be a number > 0, got {short_repr(value)}, which only {OPTION} can be")
    limit = as_float(value, f"{owner}: {name}", "a number > 0")
    if not is_less(0.0, limit):
        raise ValueError(f"{owner}: {name} must be a number > 0, got {short_repr(value)}")
    return limit
