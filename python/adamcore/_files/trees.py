"""Nested values as JSON: what JSON lacks is in dicts with one key that begins with "$"."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adamcore._files.errors import CheckpointError
from adamcore._files.generators import generator_from, saved_generator

Path = tuple[str, ...]
"""The keys that lead to a value."""

Put = Callable[[Path, Any], Any]
"""Notes the array at a place, and returns JSON by which Take finds it again. Returns None if it is no array."""

Take = Callable[[Any], Any]
"""Returns the array for what Put has returned."""

_DEEPEST = 200
_MOST_BITS = 8192  # Python reads and writes up to 4300 digits


class Encoder:
    """Turns values into JSON. `label` is what errors call the outermost value."""

    def __init__(self, label: str, put: Put) -> None:
        self._label = label
        self._put = put

    def encode(self, value: Any, path: Path = ()) -> Any:
        """Return a value as JSON. Raises TypeError that names the place of what cannot be saved."""
        if value is None or isinstance(value, (bool, int, str)):
            if isinstance(value, int) and value.bit_length() > _MOST_BITS:
                raise ValueError(f"{self.place(path)}: the number has more than {_MOST_BITS} bits")
            return _plain(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
        if len(path) > _DEEPEST:
            raise ValueError(f"{self._label}: it is nested more than {_DEEPEST} deep, or contains itself")
        if isinstance(value, Mapping):
            return self._mapping(value, path)
        if isinstance(value, (list, tuple)):
            items = [self.encode(item, (*path, str(i))) for i, item in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
        return self._other(value, path)

    def _mapping(self, value: Mapping[Any, Any], path: Path) -> Any:
        items = [(key, self.encode(item, (*path, str(key)))) for key, item in value.items()]
        if all(type(key) is str and not key.startswith("$") for key, _ in items):
            return dict(items)
        return {"$dict": [[self.encode(key, (*path, "(key)")), item] for key, item in items]}

    def _other(self, value: Any, path: Path) -> Any:
        if isinstance(value, (np.bool_, np.integer, np.floating)) and not isinstance(value, np.longdouble):
            return self.encode(value.item(), path)
        if isinstance(value, np.random.Generator):
            return {"$generator": self.encode(saved_generator(value, self.place(path)), path)}
        array = self._put(path, value)
        if array is not None:
            return {"$array": array}
        raise TypeError(
            f"{self.place(path)}: {type(value).__name__} cannot be saved; numbers, texts, None, lists, tuples, dicts, "
            "arrays and numpy.random.Generator can"
        )

    def place(self, path: Path) -> str:
        """Return what errors call a place."""
        return self._label + "".join(f"[{key!r}]" for key in path)


def _plain(value: Any) -> Any:
    """Return a value of JSON without a type of its own, such as an enum's."""
    for kind in (bool, int, str):
        if isinstance(value, kind):
            return kind(value) if kind is not str else str.__str__(value)
    return value


def decode(value: Any, take: Take, label: str) -> Any:
    """Return what was encoded. Raises CheckpointError, which starts with `label`, for JSON that was not."""
    try:
        return _decoded(value, take, label)
    except RecursionError:
        raise CheckpointError(f"{label}: it is nested too deep") from None


def _decoded(value: Any, take: Take, label: str) -> Any:
    if isinstance(value, list):
        return [_decoded(item, take, label) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not (tag := next(iter(value))).startswith("$"):
        return {key: _decoded(item, take, label) for key, item in value.items()}
    return _tagged(tag, value[tag], take, label)


def _tagged(tag: str, content: Any, take: Take, label: str) -> Any:
    if tag == "$array":
        return take(content)
    if tag == "$float" and content in ("nan", "inf", "-inf"):
        return float(content)
    if tag == "$generator":
        return generator_from(_decoded(content, take, label), label)
    if isinstance(content, list) and tag == "$tuple":
        return tuple(_decoded(item, take, label) for item in content)
    if isinstance(content, list) and tag == "$dict":
        return _dict_of(content, take, label)
    raise CheckpointError(f"{label}: {tag!r:.40} with such a content is unknown")


def _dict_of(pairs: list[Any], take: Take, label: str) -> dict[Any, Any]:
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise CheckpointError(f"{label}: a dict must consist of pairs")
    decoded = [(_decoded(key, take, label), _decoded(item, take, label)) for key, item in pairs]
    try:
        return dict(decoded)
    except TypeError as error:
        raise CheckpointError(f"{label}: {error}") from None
