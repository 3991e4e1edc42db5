"""The text of an optimizer's repr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adamcore._arrays.structures import Group
from adamcore._core import short_repr
from adamcore._parts.groups import OWN_KEYS
from adamcore._parts.options import CLIPS


def describe(owner: str, param_groups: list[Group], options: Mapping[str, Any]) -> str:
    """Return lines that describe the groups, and then the options."""
    lines = [f"{owner} ("]
    for i, group in enumerate(param_groups):
        name = f" {group['name']!r}" if "name" in group else ""
        lines.append(f"Parameter group {i}{name}: {len(group['params'])} parameters")
        lines += [f"    {key}: {short_repr(value)}" for key, value in group.items() if key not in OWN_KEYS]
    return "\n".join([*lines, *_describe_options(options), ")"])


def _describe_options(options: Mapping[str, Any]) -> list[str]:
    clips = [f"{name}: {options[name]}" for name in CLIPS if options[name] is not None]
    return [*(clips or ["clipping: none"]), f"nonfinite: {options['nonfinite']}", f"precision: {options['precision']}"]
