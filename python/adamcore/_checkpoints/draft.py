"""What is going to be in a file: arrays by key, and JSON that refers to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adamcore import _core
from adamcore._arrays.libraries import as_numpy, library_of
from adamcore._files.dtypes import PAIRS, is_pairs
from adamcore._files.trees import Encoder
from adamcore._files.writing import require_savable

VERSION = 1
"""The version of what the text in the file's metadata means."""

TEXT = "adamcore"
"""The key of this text."""


class Draft:
    """Collects arrays and JSON. `path` is what errors call the file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.arrays: dict[str, NDArray[Any]] = {}
        self.copies: set[str] = set()  # keys of arrays that nobody else has

    def encoded(self, value: Any, label: str, part: str) -> Any:
        """Return a value as JSON, and note its arrays as those of a part. `label` is what errors call it."""
        encoder = Encoder(label, lambda path, array: self._put(array, part, path, label))
        return encoder.encode(value)

    def _put(self, array: Any, part: str, path: tuple[str, ...], label: str) -> Any:
        """Note an array, and return JSON by which it is found again; or None for what is no array."""
        library = library_of(array)
        if library is None:
            return None
        label = label + "".join(f"[{key!r}]" for key in path)
        try:
            found = as_numpy(array, label)
        except (NotImplementedError, RuntimeError) as error:  # such as PyTorch's of sparse tensors
            raise TypeError(f"{label}: this array cannot be saved: {error}") from error
        require_savable(found, label)
        key = self._key(part, path)
        self.arrays[key] = found
        kind = PAIRS if is_pairs(found.dtype) else ""
        return [key, library, kind] if kind or library != "numpy" else key

    def _key(self, part: str, path: tuple[str, ...]) -> str:
        """Return ``part/name/slot``, whose first and last "/" separate, since names may have any."""
        *names, slot = path if len(path) > 1 and "/" not in path[-1] else (*path, "value")
        text = f"{part}/{'.'.join(names)}/{slot}"
        key = name = text.encode(errors="backslashreplace").decode()  # half of a character is no text elsewhere
        number = 1
        while key in self.arrays:
            number += 1
            key = f"{name}-{number}"
        return key

    def text(self, content: Mapping[str, Any]) -> str:
        """Return the text that describes the file."""
        described = {"version": VERSION, "written_by": _core.__version__, **content}
        return json.dumps(described, separators=(",", ":"), allow_nan=False)

    def copy_arrays(self) -> NDArray[np.uint8]:
        """Put copies in the place of all arrays that may change, in one block of memory, and return the block."""
        sizes = {key: array.nbytes for key, array in self.arrays.items() if key not in self.copies}
        block = _block_of(sum(sizes.values()), self.path)
        # What is contiguous comes first, and is copied by all threads.
        keys = sorted(sizes, key=lambda key: not self.arrays[key].flags.c_contiguous)
        contiguous = [array for key in keys if (array := self.arrays[key]).flags.c_contiguous]
        _core.gather(block, contiguous)
        at = 0
        for i, key in enumerate(keys):
            array = self.arrays[key]
            copy = block[at : at + sizes[key]].view(array.dtype).reshape(array.shape)
            if i >= len(contiguous):
                np.copyto(copy, array)
            self.arrays[key] = copy
            at += sizes[key]
        return block


_spare: list[NDArray[np.uint8]] = []
"""A block that a background save has left. The system needs longer to hand out new memory than it takes to fill it."""


def _block_of(size: int, path: str) -> NDArray[np.uint8]:
    """Return a block of memory, the spare one if it has this size."""
    found: NDArray[np.uint8] | None = None
    with suppress(IndexError):
        found = _spare.pop()
    if found is not None and found.size == size:
        return found
    del found
    try:
        return np.empty(size, np.uint8)
    except MemoryError:
        raise MemoryError(f"{path}: there is no memory for a copy of {size} bytes") from None


def leave_block(block: NDArray[np.uint8]) -> None:
    """Leave a block for the next background save."""
    _spare[:] = [block]
