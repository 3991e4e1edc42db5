"""Averages of weights as an optimizer keeps them: their options by name, and how they are saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adamcore._core import short_repr

KINDS = {"EMA": 0, "SWA": 1, "Lookahead": 2}
"""The numbers by which C++ knows the kinds of averages, in the order of WeightAverage::Kind."""


def attach(optimizer: Any, name: str, options: Mapping[str, Any]) -> None:
    """Let an optimizer begin an average: its type, and the arguments of the class of that name."""
    begin_native(optimizer._native, name, options)
    optimizer._averages = {**optimizer._averages, name: dict(options)}


def begin_native(native: Any, name: str, options: Mapping[str, Any]) -> None:
    """Let a native optimizer begin an average."""
    native.add_average(
        name,
        KINDS[options["type"]],
        options.get("decay", 0.0),
        options.get("warmup", False),
        options.get("alpha", 0.0),
        options.get("every", options.get("k", 1)),
        options.get("start", 0),
    )


def saved_averages(options: Mapping[str, Mapping[str, Any]], progress: Mapping[str, Mapping[str, int]]) -> Any:
    """Return what a checkpoint says of averages: their options, and how far they have come."""
    return {name: {**options[name], **progress[name]} for name in options}


def loaded_averages(saved: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]], count: Any) -> dict[str, Any]:
    """Return how far the averages of a checkpoint have come. `count` checks a number of steps.

    Raises TypeError or ValueError for averages that are not of the optimizer's types. Their other options may differ.
    """
    progress = {}
    for name, options in own.items():
        label = f"state_dict['averages'][{name!r}]"
        found = saved[name]
        if not isinstance(found, Mapping):
            raise TypeError(f"{label}: expected a dict, got {short_repr(found)}")
        if found.get("type") != options["type"]:
            raise ValueError(
                f"{label}: the type is {short_repr(found.get('type'))}, but the optimizer's is {options['type']!r}"
            )
        for key in ("steps", "averaged"):
            if key not in found:
                raise ValueError(f"{label}: {key!r} is missing")
        progress[name] = tuple(count(found[key], f"{label}[{key!r}]") for key in ("steps", "averaged"))
    return progress
