"""Parameters that are views of memory which others can see. A copy would separate them, so it raises an error."""

from __future__ import annotations

import gc
import mmap
import pickle
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

_OWN = 2
"""References to the object of an entry that are only this module's: the entry's, and the argument of getrefcount()."""


def require_sole_views(owner: str, params: Iterable[tuple[str, Any]]) -> None:
    """Raise TypeError for the first of these (name, array) whose memory others than the parameters may see."""
    level: dict[int, list[Any]] = {}
    seen: set[int] = set()
    for name, array in params:
        seen.add(id(array))
        module = type(array).__module__.partition(".")[0]
        if module == "torch" or _is_tensor(array):
            _require_whole_storage(owner, name, array)
        elif isinstance(array, np.ndarray) or hasattr(array, "base"):
            if isinstance(array, np.memmap):
                _refuse(owner, name, "a memory map")
            _count(level, array.base, name)
    while level:
        seen.update(level)
        level = _bases_of(owner, level, seen)


def _bases_of(owner: str, level: dict[int, list[Any]], seen: set[int]) -> dict[int, list[Any]]:
    """Check objects that are [object, name, number of references known], and return those in turn that they view."""
    below: dict[int, list[Any]] = {}
    for entry in level.values():
        name = entry[1]
        if _is_held_elsewhere(entry, seen):
            _refuse(owner, name, "an array that is used elsewhere")
        if isinstance(entry[0], (np.memmap, mmap.mmap)):
            _refuse(owner, name, "a memory map")
        if isinstance(entry[0], memoryview):
            _count(below, entry[0].obj, name)
        elif not isinstance(entry[0], (bytes, bytearray)):
            if not hasattr(entry[0], "base"):
                _refuse(owner, name, f"memory of {type(entry[0]).__name__}")
            _count(below, entry[0].base, name)
    return below


def _is_held_elsewhere(entry: list[Any], seen: set[int]) -> bool:
    known: int = entry[2] + _OWN
    return sys.getrefcount(entry[0]) > known and sys.getrefcount(entry[0]) > known + _pickled(entry, seen)


def _pickled(entry: list[Any], seen: set[int]) -> int:
    """Return how many views of an entry's object picklers hold, other than those in `seen`.

    Protocol 5 writes an array in Fortran order as a transposed view, and keeps the view until it is done.
    """
    count = 0
    for found in gc.get_objects():
        if type(found) is pickle.PickleBuffer:
            try:
                view = found.raw().obj
            except (ValueError, BufferError):  # it has been released, or has gaps
                continue
            count += id(view) not in seen and getattr(view, "base", None) is entry[0]
    return count


def _count(level: dict[int, list[Any]], base: Any, name: str) -> None:
    if base is not None:
        level.setdefault(id(base), [base, name, 0])[2] += 1


def _is_tensor(array: Any) -> bool:
    return callable(getattr(array, "untyped_storage", None))


def _require_whole_storage(owner: str, name: str, tensor: Any) -> None:
    is_view = getattr(tensor, "_base", None) is not None
    if is_view or tensor.untyped_storage().nbytes() > tensor.numel() * tensor.element_size():
        _refuse(owner, name, "a larger storage")


def _refuse(owner: str, name: str, of: str) -> NoReturn:
    raise TypeError(
        f"{owner}: the parameter {name!r} is a view of {of}, and a copy of the optimizer would have an array of its "
        "own. Make the optimizer for whole arrays, or move the state with state_dict() and load_state_dict()"
    )
