"""Objects that another one has succeeded."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")

SUCCESSOR = "_successor"
"""The attribute in which such an object has the one that came after it."""


def latest(found: T) -> T:
    """Return an object, or the last of those that succeeded it."""
    while SUCCESSOR in (attributes := _attributes_of(found)):
        found = attributes[SUCCESSOR]
    return found


def _attributes_of(found: object) -> dict[str, Any]:
    try:
        attributes: dict[str, Any] = object.__getattribute__(found, "__dict__")  # its class may refuse to be asked
    except AttributeError:
        return {}
    return attributes
