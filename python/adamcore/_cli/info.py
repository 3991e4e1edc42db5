"""The ``info`` command: a description of this build, for example for a bug report."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

import adamcore as ac


def run() -> int:
    """Print the description, one fact per line."""
    print("\n".join(format_facts(ac.build_info() | _surroundings())))
    return 0


def format_facts(facts: dict[str, Any]) -> list[str]:
    """Return one line for each fact, with aligned names."""
    width = max(map(len, facts))
    return [f"{name.replace('_', ' '):<{width}}  {_readable(value)}" for name, value in facts.items()]


def _surroundings() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": np.__version__, "platform": platform.platform()}


def _readable(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)
