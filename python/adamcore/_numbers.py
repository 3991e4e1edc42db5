"""Numbers that users pass."""

from __future__ import annotations

from typing import Any


def as_float(value: Any, label: str, wanted: str) -> float:
    """Return `value` as a float, or raise TypeError that says what `label` must be."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{label} must be {wanted}, got {value!r}") from None
