"""Spaces that are named on the command line, such as ``lr=1e-4..1,eps``."""

from __future__ import annotations

import ast
from typing import Any

from adamcore._cli.problems import UsageError

_FORM = 'expected parts such as lr=1e-4..1, eps, weight_decay=0|0.01|0.1 or beta2=0.99, with "," between them'


def read_space(text: str) -> dict[str, Any]:
    """Return a space as `tune` takes it.

    A name alone adds the usual range of this number, ``name=low..high`` is a range, ``name=a|b|c`` are choices,
    ``name=value`` holds a number, and ``name=none`` leaves it at the rule's default.

    >>> read_space("lr=1e-4..1, eps, beta1=0.8|0.9, beta2=none, nesterov=True")
    {'lr': (0.0001, 1.0), 'eps': True, 'beta1': [0.8, 0.9], 'beta2': None, 'nesterov': True}
    """
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not name.isidentifier() or (equals and not value):
            raise UsageError(f"--space: {_FORM}, got {part.strip()!r}")
        if name in found:
            raise UsageError(f"--space: {name} is named twice")
        found[name] = _read_value(value, part.strip()) if equals else True
    return found


def _read_value(text: str, part: str) -> Any:
    if text.lower() == "none":
        return None
    if ".." in text:
        low, _, high = text.partition("..")
        ends = (_read_one(low, part), _read_one(high, part))
        # A range of rates may be written with whole numbers.
        return tuple(float(end) if isinstance(end, int) and not isinstance(end, bool) else end for end in ends)
    if "|" in text:
        return [_read_one(choice, part) for choice in text.split("|")]
    return _read_one(text, part)


def _read_one(text: str, part: str) -> Any:
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        raise UsageError(f"--space: {_FORM}, got {part!r}") from None
    if not isinstance(value, (bool, int, float, str)):
        raise UsageError(f"--space: {_FORM}, got {part!r}")
    return value
