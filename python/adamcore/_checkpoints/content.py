"""What is in a file, and the arrays that are wanted of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adamcore._arrays.libraries import from_numpy
from adamcore._checkpoints.draft import TEXT, VERSION
from adamcore._files.dtypes import PAIRS, dtype_of
from adamcore._files.errors import CheckpointError
from adamcore._files.header import load_json
from adamcore._files.reading import ArrayFile
from adamcore._files.trees import decode


class Unread(NamedTuple):
    """An array that has not been read yet."""

    key: str
    library: str
    kind: str
    shape: tuple[int, ...]
    dtype: str


class Content:
    """The content of an open file. Raises CheckpointError if it is not as `Draft` makes it."""

    def __init__(self, file: ArrayFile) -> None:
        self._file = file
        self.label = file.label
        if TEXT not in file.texts:
            raise CheckpointError(f"{file.label}: this is no checkpoint of adamcore")
        found = load_json(file.texts[TEXT], file.label)
        version = found.get("version") if isinstance(found, dict) else None
        if type(version) is not int or version < 1:
            raise CheckpointError(f"{file.label}: the version of the file is {version!r:.40}")
        if version > VERSION:
            raise CheckpointError(
                f"{file.label}: the file has version {version}, and this version of adamcore reads up to {VERSION}; "
                f"it was written by adamcore {found.get('written_by')!r:.40}"
            )
        self.text: dict[str, Any] = found

    def entry(self, key: str, kind: type[Any]) -> Any:
        """Return what the text has of a part, or raise CheckpointError."""
        value = self.text.get(key)
        if not isinstance(value, kind):
            raise CheckpointError(f"{self.label}: {key!r} is missing")
        return value

    def decoded(self, value: Any) -> Any:
        """Return what was encoded, with `Unread` in the place of arrays."""
        return decode(value, self._unread, self.label)

    def _unread(self, given: Any) -> Unread:
        found = [given, "numpy", ""] if isinstance(given, str) else given
        if not isinstance(found, list) or len(found) != 3 or not all(isinstance(item, str) for item in found):
            raise CheckpointError(f"{self.label}: {given!r:.80} is no array")
        key, library, kind = found
        place = self._file.places.get(key)
        if place is None or library not in ("numpy", "torch", "cupy") or kind not in ("", PAIRS):
            raise CheckpointError(f"{self.label}: there is no array {key!r:.200}")
        shape = place.shape
        if kind == PAIRS:
            if place.dtype != "F64" or not shape or shape[-1] != 2:
                raise CheckpointError(f"{self.label}: {key!r}: complex numbers must be pairs of float64")
            shape = shape[:-1]
        return Unread(key, library, kind, shape, place.dtype)

    def dtype_of(self, array: Unread) -> np.dtype[Any]:
        """Return the dtype that an array has when it has been read."""
        return np.dtype(array.kind) if array.kind else dtype_of(array.dtype, f"{self.label}: {array.key!r}")

    def read(self, trees: Any) -> Any:
        """Return a tree with arrays in the place of `Unread`."""
        unread = {each.key: each for each in _unread_in(trees)}
        arrays = self._file.read(unread)
        return _with_arrays(trees, {key: self._as_it_was(array, unread[key]) for key, array in arrays.items()})

    @staticmethod
    def _as_it_was(array: NDArray[Any], of: Unread) -> Any:
        if of.kind == PAIRS:
            array = array.view(np.complex128).reshape(of.shape)
        return from_numpy(array, of.library)


def _unread_in(tree: Any) -> Iterator[Unread]:
    if isinstance(tree, Unread):
        yield tree
        return
    items: Iterable[Any] = tree.values() if isinstance(tree, Mapping) else tree if _is_list(tree) else ()
    for item in items:
        yield from _unread_in(item)


def _with_arrays(tree: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(tree, Unread):
        return arrays[tree.key]
    if isinstance(tree, Mapping):
        return {key: _with_arrays(item, arrays) for key, item in tree.items()}
    return type(tree)(_with_arrays(item, arrays) for item in tree) if _is_list(tree) else tree


def _is_list(tree: Any) -> bool:
    return type(tree) in (list, tuple)
